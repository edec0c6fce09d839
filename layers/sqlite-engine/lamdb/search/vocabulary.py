"""The words of a searched model, from which misspelt ones are corrected and short prefixes completed.

`_lamdb_search_words` holds one row per index: the words before stemming with how common they are,
compressed (some 150 KiB for 63,000 documents with 27 MB of text). SQLite alone does without it: a restored
file is searchable all the same. Maintenance renews it. Words that are newer are found, as a search asks the
index itself for them; they are only not corrected to.
"""

import bisect
import heapq
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from lamdb.errors import CorruptFile
from lamdb.memory import DEFAULT_VOCABULARY_BYTES
from lamdb.search import agreement
from lamdb.search.statistics import SearchIndex, Totals, read_totals
from lamdb.search.tables import quote
from lamdb.storage.waiting import about_to_work

TABLE: Final = "_lamdb_search_words"
CREATE: Final = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
  search TEXT PRIMARY KEY,
  built INTEGER NOT NULL,
  documents INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  signals TEXT NOT NULL DEFAULT '{{}}',
  words BLOB NOT NULL
)"""

MAX_WORDS: Final = 200_000
"""The most common words are kept."""
_FEW_WORDS: Final = 20_000
"""Up to so many words, those of a single document are kept too. In larger vocabularies most of those are
misspelt themselves, or names."""
_LETTERS: Final = range(3, 41)
_LARGEST: Final = MAX_WORDS * (4 * _LETTERS.stop + 2)
"""Bytes of the words and their counts, not compressed."""
_SMALL_TABLE: Final = 1_000
"""Documents up to which a vocabulary is made where it is needed: it is then never out of date."""

_SHARE_CHANGED: Final = 0.05
_MAX_AGE_SECONDS: Final = 24 * 3600.0

_ONE_EDIT: Final = 4
_TWO_EDITS: Final = 9
"""Letters from which a word may have one, or two, wrong."""
_OTHER_FIRST_LETTER: Final = 0.5
"""A wrong first letter counts for half an edit more: it is the rarest mistake."""
_PREFIXES: Final = 12
"""Letters up to which a prefix with a mistake is looked for."""
_PREFIXES_PER_WORD: Final = 2
"""Prefixes that are kept for corrections, in relation to the words."""
_COMPLETED_KEPT: Final = 200
"""Beginnings of words whose completions are kept."""
_BUCKET_BASE: Final = ord("0")

BYTES_PER_WORD: Final = 200
"""Memory of a word and the prefixes that are kept: 70 and twice 60 bytes were measured."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may be meant; `commonness` is the binary logarithm of the number of its documents."""

    word: str
    edits: float
    commonness: int


def most_edits(word: str) -> int:
    """Returns how many letters of a word may be wrong, missing, doubled or swapped."""
    return 0 if len(word) < _ONE_EDIT else 1 if len(word) < _TWO_EDITS else 2


class Vocabulary:
    """Words in memory. Thread-safe: what is made on demand is complete before it is kept."""

    def __init__(self, words: list[str], commonness: bytes) -> None:
        """`words` are sorted; `commonness` has a byte for each."""
        self.words = words
        self._commonness = commonness
        self._prefixes: dict[tuple[str, int], list[str]] = {}
        self._prefix_count = 0
        self._completed: dict[tuple[str, int], list[Candidate]] = {}
        self._words = _Shelves()
        for word in words:
            self._words.put(word)

    def __contains__(self, word: str) -> bool:
        return self._place(word) is not None

    def commonness(self, word: str) -> int:
        """The binary logarithm of how many documents have the word; 0 also for one that is not known."""
        place = self._place(word)
        return 0 if place is None else self._commonness[place] - _BUCKET_BASE

    def _place(self, word: str) -> int | None:
        place = bisect.bisect_left(self.words, word)
        return place if place < len(self.words) and self.words[place] == word else None

    def corrections(self, word: str, limit: int) -> list[Candidate]:
        """Returns the words that `word` may be a misspelling of, the most likely first."""
        found = _near(word, self._words.beginning_with, self._words.others)
        scored = [Candidate(near, edits, self.commonness(near)) for near, edits in found]
        return heapq.nsmallest(limit, scored, key=lambda each: (each.edits, -each.commonness, each.word))

    def prefix_corrections(self, prefix: str, limit: int) -> list[Candidate]:
        """Returns the beginnings of words that `prefix` may be a misspelling of, the most likely first."""
        found = _near(prefix, self._beginnings, lambda _, length: self._beginnings("", length))
        scored = [Candidate(near, edits, self._commonest(near)) for near, edits in found]
        return heapq.nsmallest(limit, scored, key=lambda each: (each.edits, -each.commonness, each.word))

    def completions(self, prefix: str, limit: int) -> Sequence[Candidate]:
        """Returns the most common words that begin with `prefix`."""
        known = self._completed.get((prefix, limit))
        if known is not None:
            return known
        first, last = self._range(prefix)
        best = heapq.nsmallest(
            limit, range(first, last), key=lambda place: (-self._commonness[place], len(self.words[place]))
        )
        if len(self._completed) >= _COMPLETED_KEPT:
            self._completed.clear()
        found = [Candidate(self.words[p], 0, self._commonness[p] - _BUCKET_BASE) for p in best]
        self._completed[prefix, limit] = found
        return found

    def split(self, word: str) -> tuple[str, str] | None:
        """Returns the two words that `word` may be without the space between them."""
        best: tuple[int, tuple[str, str]] | None = None
        for at in range(3, len(word) - 2):
            parts = word[:at], word[at:]
            if parts[0] in self and parts[1] in self:
                weight = min(map(self.commonness, parts))
                if best is None or weight > best[0]:
                    best = weight, parts
        return best[1] if best else None

    def _beginnings(self, letter: str, length: int) -> list[str]:
        """The beginnings of words with a first letter; with `letter` empty, of all words."""
        known = self._prefixes.get((letter, length))
        if known is None:
            known = []
            if _LETTERS.start <= length <= _PREFIXES:
                first, last = self._range(letter)
                known = list({word[:length] for word in self.words[first:last] if len(word) >= length})
            if self._prefix_count + len(known) > _PREFIXES_PER_WORD * len(self.words):
                self._prefixes.clear()
                self._prefix_count = 0
            self._prefix_count += len(known)
            self._prefixes[letter, length] = known
        return known

    def _range(self, prefix: str) -> tuple[int, int]:
        first = bisect.bisect_left(self.words, prefix)
        return first, bisect.bisect_left(self.words, prefix + "\U0010ffff", first)

    def _commonest(self, prefix: str) -> int:
        first, last = self._range(prefix)
        return max(self._commonness[first:last], default=_BUCKET_BASE) - _BUCKET_BASE


class _Shelves:
    """Words by their length and first letter."""

    def __init__(self) -> None:
        self._all: dict[int, dict[str, list[str]]] = {}

    def put(self, word: str) -> None:
        self._all.setdefault(len(word), {}).setdefault(word[0], []).append(word)

    def beginning_with(self, letter: str, length: int) -> list[str]:
        return self._all.get(length, {}).get(letter, [])

    def others(self, letter: str, length: int) -> list[str]:
        shelves = self._all.get(length, {})
        return [word for first, words in shelves.items() if first != letter for word in words]


def _near(
    word: str, alike: Callable[[str, int], list[str]], others: Callable[[str, int], list[str]]
) -> list[tuple[str, float]]:
    """The words near enough to `word`, with their distances.

    `alike` gives the words with a first letter and of a length, `others` those with another first letter.

    Words with another first letter are only examined if there is no other: they are most of all words, and
    the first letter is seldom the wrong one.
    """
    most = most_edits(word)
    if not most:
        return []
    # Imported here: a process that is never asked for a misspelt word is spared 12 MB and some 30 ms.
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extract

    lengths = range(len(word) - most, len(word) + most + 1)

    def near(words: list[str]) -> list[tuple[str, float]]:
        found = extract(word, words, scorer=OSA.distance, score_cutoff=most, limit=64)
        return [(other, edits) for other, edits, _ in found if other != word]

    same = [each for n in lengths for each in near(alike(word[0], n))]
    if same:
        return same
    rest = [each for n in lengths for each in near(others(word[0], n))]
    return [(other, edits + _OTHER_FIRST_LETTER) for other, edits in rest]


def pack(counts: Iterable[tuple[str, int]]) -> bytes:
    """Returns the words as the table keeps them. `counts` are words with numbers of documents, sorted."""
    known = list(counts)
    fewest = 1 if len(known) <= _FEW_WORDS else 2
    kept = [(word, count) for word, count in known if count >= fewest]
    if len(kept) > MAX_WORDS:
        kept = sorted(heapq.nlargest(MAX_WORDS, kept, key=lambda each: each[1]))
    buckets = "".join(chr(_BUCKET_BASE + count.bit_length() - 1) for _, count in kept)
    return zlib.compress(f"{'\n'.join(word for word, _ in kept)}\0{buckets}".encode(), 6)


def unpack(data: bytes, most: int = MAX_WORDS) -> Vocabulary:
    """Returns the words that `pack` has packed; the `most` common ones, if there are more.

    Raises `CorruptFile` for other bytes: a database file may come from anybody, and a few bytes could stand
    for gigabytes.
    """
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(data, _LARGEST).decode()
    except (zlib.error, UnicodeDecodeError, TypeError) as error:
        raise _damaged() from error
    words, _, buckets = text.partition("\0")
    listed = words.split("\n") if words else []
    if not inflater.eof or len(listed) != len(buckets):
        raise _damaged()
    if len(listed) > most:
        common = sorted(heapq.nlargest(most, range(len(listed)), key=buckets.__getitem__))
        listed, buckets = [listed[place] for place in common], "".join([buckets[place] for place in common])
    return Vocabulary(listed, buckets.encode())


def _damaged() -> CorruptFile:
    return CorruptFile(
        "the vocabulary of a search is damaged", hint="Restore an earlier state, or declare the search anew."
    )


def count_words(connection: apsw.Connection, index: SearchIndex) -> list[tuple[str, int]]:
    """Returns the words of all documents, sorted, with the number of documents of each.

    Makes a temporary index, which takes 1.5 s for 63,000 documents. Needs no right to write.
    """
    columns = [quote(column) for column in index.columns]
    connection.execute("DROP TABLE IF EXISTS temp.lamdb_words; DROP TABLE IF EXISTS temp.lamdb_words_index")
    connection.execute(
        "CREATE VIRTUAL TABLE temp.lamdb_words_index USING fts5("
        f"{', '.join(columns)}, content='', columnsize=0, detail=none,"
        " tokenize='unicode61 remove_diacritics 2')"
    )
    connection.execute(
        "CREATE VIRTUAL TABLE temp.lamdb_words USING fts5vocab('temp', 'lamdb_words_index', 'row')"
    )
    try:
        connection.execute(
            f"INSERT INTO temp.lamdb_words_index (rowid, {', '.join(columns)})"
            f" SELECT docid, {', '.join(columns)} FROM {quote(index.rows)}"
        )
        rows = connection.execute(
            "SELECT term, doc FROM temp.lamdb_words WHERE length(term) BETWEEN ? AND ? ORDER BY term",
            (_LETTERS.start, _LETTERS.stop - 1),
        )
        return sorted((word, count) for word, count in rows if any(map(_is_letter, word)))
    finally:
        connection.execute("DROP TABLE temp.lamdb_words; DROP TABLE temp.lamdb_words_index")


def _is_letter(character: str) -> bool:
    # Writing without spaces has no words that could be misspelt in this sense.
    return character.isalpha() and not "\u2e80" <= character <= "\uffdc"


@dataclass(frozen=True, slots=True)
class Made:
    """The vocabulary of an index, packed, with what else is measured of its records."""

    totals: Totals
    words: bytes
    signals: str
    """The agreement of signals, as JSON."""


def make(connection: apsw.Connection, index: SearchIndex) -> Made:
    """Makes the vocabulary of one model. Needs no right to write."""
    totals = read_totals(connection, index)
    words = pack(count_words(connection, index))
    return Made(totals, words, agreement.dump(agreement.measure(connection, index)))


def rebuild(connection: apsw.Connection, index: SearchIndex) -> None:
    """Makes and keeps the vocabulary of one model. The connection must be able to write."""
    save(connection, index, make(connection, index))


def save(connection: apsw.Connection, index: SearchIndex, made: Made) -> None:
    """Keeps a vocabulary."""
    if not connection.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = 'signals'", (TABLE,)).get:
        # Earlier versions measured no signals. All that the table holds is made anew.
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
    connection.execute(CREATE)
    totals = made.totals
    connection.execute(
        f"INSERT OR REPLACE INTO {TABLE} (search, built, documents, tokens, signals, words)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (index.name, time.time_ns() // 1000, totals.documents, sum(totals.tokens), made.signals, made.words),
    )


def is_outdated(connection: apsw.Connection, index: SearchIndex) -> bool:
    """Tells whether maintenance should rebuild the vocabulary.

    That is so, in tables that are not small, if more than 5 % of the documents or of the text came or went,
    or, a day after it was built, if anything did.
    """
    row = _row(connection, "built, documents, tokens, length(signals)", index)
    totals = read_totals(connection, index)
    if totals.documents <= _SMALL_TABLE:
        return False
    if row is None:
        return True
    built, documents, tokens, _ = row
    changed = abs(totals.documents - documents), abs(sum(totals.tokens) - tokens)
    if changed[0] > _SHARE_CHANGED * documents or changed[1] > _SHARE_CHANGED * tokens:
        return True
    return any(changed) and time.time_ns() // 1000 - built > _MAX_AGE_SECONDS * 1e6


def _row(connection: apsw.Connection, columns: str, index: SearchIndex) -> tuple[Any, ...] | None:
    try:
        rows = connection.execute(f"SELECT {columns} FROM {TABLE} WHERE search = ?", (index.name,))
        found: tuple[Any, ...] | None = next(iter(rows), None)
    except apsw.SQLError as error:
        if f"no such table: {TABLE}" in str(error) or "no such column: signals" in str(error):
            return None
        raise
    return found


class Vocabularies:
    """The memory of all vocabularies that a process holds, in bytes. Thread-safe.

    The least recently used are dropped. Of a vocabulary that is too large by itself, the most common words
    are kept.
    """

    def __init__(self, budget: int = DEFAULT_VOCABULARY_BYTES) -> None:
        self.most_words = min(MAX_WORDS, budget // BYTES_PER_WORD)
        self._budget = budget
        self._held: OrderedDict[VocabularyCache, int] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, cache: "VocabularyCache", vocabulary: Vocabulary) -> None:
        """Notes that a vocabulary is in use, and drops others if there is not enough memory for all."""
        with self._lock:
            self._held[cache] = len(vocabulary.words) * BYTES_PER_WORD
            self._held.move_to_end(cache)
            while sum(self._held.values()) > self._budget and len(self._held) > 1:
                dropped, _ = self._held.popitem(last=False)
                dropped.drop()

    def clear(self) -> None:
        with self._lock:
            for cache in self._held:
                cache.drop()
            self._held.clear()


class VocabularyCache:
    """The vocabulary of one index in this process, loaded when a word is first not found. Thread-safe."""

    def __init__(self, index: SearchIndex, shared: Vocabularies | None = None) -> None:
        """`shared`: the memory for this vocabulary and others."""
        self._index = index
        self._shared = shared or Vocabularies()
        self._held: tuple[object, Vocabulary] | None = None
        self._loading = threading.Lock()
        self._signals: tuple[object, dict[str, agreement.Agreement]] | None = None

    def get(self, connection: apsw.Connection, totals: Totals) -> Vocabulary:
        """Returns the newest vocabulary; an empty one if none was built yet."""
        if totals.documents <= _SMALL_TABLE:
            return self._hold(totals, lambda: pack(count_words(connection, self._index)))
        row = _row(connection, "built", self._index)
        if row is None:
            return Vocabulary([], b"")
        return self._hold(row[0], lambda: self._load(connection))

    def signals(self, connection: apsw.Connection, totals: Totals) -> dict[str, agreement.Agreement]:
        """Returns the agreement of signals with texts, by columns; of none if it was not measured."""
        if totals.documents <= _SMALL_TABLE:
            return {}
        row = _row(connection, "signals", self._index)
        if row is None:
            return {}
        if self._signals is None or self._signals[0] != row[0]:
            self._signals = row[0], agreement.load(row[0])
        return self._signals[1]

    def _hold(self, version: object, packed: Callable[[], bytes]) -> Vocabulary:
        held = self._held
        if held is not None and held[0] == version:
            self._shared.used(self, held[1])
            return held[1]
        # Takes some 20 ms, which is not for an attempt that must be quick.
        about_to_work()
        with self._loading:
            # Another search may have loaded it meanwhile.
            held = self._held
            if held is None or held[0] != version:
                held = self._held = version, unpack(packed(), self._shared.most_words)
        self._shared.used(self, held[1])
        return held[1]

    def drop(self) -> None:
        """Lets go of the vocabulary; the next search that needs it loads it again."""
        self._held = None

    def _load(self, connection: apsw.Connection) -> bytes:
        words: bytes = connection.execute(
            f"SELECT words FROM {TABLE} WHERE search = ?", (self._index.name,)
        ).get
        return words
