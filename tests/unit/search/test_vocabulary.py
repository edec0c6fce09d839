"""The vocabulary: which words it holds, what it takes a word for, and when it is renewed."""

import apsw
import pytest

from lamdb.search import tables, upkeep, vocabulary
from lamdb.search.definition import ColumnSource, Language, SearchDefinition, SearchField
from lamdb.search.statistics import SearchIndex, Totals, read_totals
from lamdb.search.vocabulary import Vocabularies, VocabularyCache, pack, unpack
from lamdb.storage.waiting import NoWaiting, WouldWait

DEFINITION = SearchDefinition(
    model="Note",
    table="Note",
    rowid="id",
    index="Note_search",
    fields=(SearchField(("text",), "text", 1.0, ColumnSource("text")),),
    uniques=(("id",),),
    language=Language.EN,
)

INDEX = SearchIndex.of(DEFINITION)

WORDS = unpack(
    pack(sorted({"terminal": 90, "terminals": 3, "thermal": 40, "editor": 500, "editors": 7, "credits": 20,
                 "open": 900, "source": 800, "emulation": 30, "emulator": 60, "cat": 4, "car": 9}.items()))
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("terminl", "terminal"),
        ("terminall", "terminal"),
        ("temrinal", "terminal"),
        ("rerminal", "terminal"),
        ("emulattorr", "emulator"),
        ("editr", "editor"),
        ("cat", None),
        ("cas", None),
        ("xylophone", None),
        ("emulatooor", "emulator"),
        ("edtorr", None),
    ],
)
def test_corrections(word: str, meant: str | None) -> None:
    found = WORDS.corrections(word, 3)
    assert (found[0].word if found else None) == meant


def test_of_too_many_words_the_most_common_are_kept() -> None:
    packed = pack([("aaa", 4), ("bbb", 900), ("ccc", 70), ("ddd", 2), ("eee", 5000)])
    assert unpack(packed, 3).words == ["bbb", "ccc", "eee"]
    assert unpack(packed, 3).commonness("ccc") == unpack(packed).commonness("ccc")
    assert unpack(packed, 0).words == []


def test_the_prefixes_that_are_kept_are_bounded() -> None:
    words = sorted({f"{chr(97 + n % 26)}{n * 7919:x}word" for n in range(500)})
    held = unpack(pack([(word, 3) for word in words]))
    for length in range(3, 13):
        for letter in ("", *"abcdefghijklmnopqrstuvwxyz"):
            assert held._beginnings(letter, length) == held._beginnings(letter, length)
            assert sum(map(len, held._prefixes.values())) <= 2 * len(held.words)


def test_vocabularies_share_their_memory() -> None:
    size = 100 * vocabulary.BYTES_PER_WORD
    shared = Vocabularies(2 * size + 1)
    caches = [VocabularyCache(INDEX, shared) for _ in range(3)]
    packed = pack([(f"word{n:03d}", 3) for n in range(100)])
    for cache in (*caches[:2], caches[0], caches[2]):
        cache._hold("version", lambda: packed)
    assert [cache._held is not None for cache in caches] == [True, False, True]
    assert len(caches[1]._hold("version", lambda: packed).words) == 100
    shared.clear()
    assert [cache._held for cache in caches] == [None] * 3


def test_beginnings_and_splits() -> None:
    assert [each.word for each in WORDS.completions("e", 2)] == ["editor", "emulator"]
    assert [each.word for each in WORDS.completions("ca", 5)] == ["car", "cat"]
    assert WORDS.completions("zz", 5) == []
    assert WORDS.prefix_corrections("emlat", 3)[0].word == "emulat"
    assert WORDS.split("opensource") == ("open", "source")
    assert WORDS.split("openxsource") is None
    assert WORDS.commonness("editor") > WORDS.commonness("car") > WORDS.commonness("cat") > 0
    assert "open" in WORDS
    assert "ope" not in WORDS


def test_an_empty_vocabulary() -> None:
    empty = unpack(pack([]))
    assert empty.words == []
    assert (empty.corrections("terminal", 3), empty.completions("t", 3), empty.split("opensource")) == (
        [],
        [],
        None,
    )


def test_large_vocabularies_drop_the_rarest_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_FEW_WORDS", 3)
    monkeypatch.setattr(vocabulary, "MAX_WORDS", 2)
    assert unpack(pack([("aaa", 1), ("bbb", 5), ("ccc", 9), ("ddd", 2)])).words == ["bbb", "ccc"]


@pytest.fixture
def connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE Note (id INTEGER PRIMARY KEY, text)")
    for statement in tables.ddl(DEFINITION):
        connection.execute(statement)
    return connection


def test_totals(connection: apsw.Connection) -> None:
    assert read_totals(connection, INDEX) == Totals(0, (0,))
    connection.execute("INSERT INTO Note (text) VALUES ('one two three'), ('four')")
    assert read_totals(connection, INDEX) == Totals(2, (4,))
    connection.execute("INSERT INTO Note (text) VALUES (?)", ("word " * 40_000,))
    assert read_totals(connection, INDEX) == Totals(3, (40_004,))


def test_words_are_counted_unstemmed(connection: apsw.Connection) -> None:
    connection.execute(
        "INSERT INTO Note (text) VALUES ('Editing 東京都庁 x 12345 Café'), ('editing cafe '), (NULL)"
    )
    assert vocabulary.count_words(connection, INDEX) == [("cafe", 2), ("editing", 2)]
    assert connection.execute("SELECT count(*) FROM sqlite_temp_schema").get == 0


def test_a_vocabulary_is_renewed_after_changes(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "_SMALL_TABLE", 5)
    assert not vocabulary.is_outdated(connection, INDEX)
    connection.executemany("INSERT INTO Note (text) VALUES (?)", [("some words",)] * 100)
    assert vocabulary.is_outdated(connection, INDEX)
    upkeep.settle(connection)
    assert not vocabulary.is_outdated(connection, INDEX)
    connection.execute("INSERT INTO Note (text) VALUES ('other words')")
    assert not vocabulary.is_outdated(connection, INDEX)
    monkeypatch.setattr(vocabulary, "_MAX_AGE_SECONDS", -1.0)
    assert vocabulary.is_outdated(connection, INDEX)
    monkeypatch.setattr(vocabulary, "_MAX_AGE_SECONDS", 3600.0)
    connection.executemany("INSERT INTO Note (text) VALUES (?)", [("some words",)] * 6)
    assert vocabulary.is_outdated(connection, INDEX)


def test_the_cache_follows_the_table(connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_SMALL_TABLE", 0)
    cache = VocabularyCache(INDEX)
    connection.execute("INSERT INTO Note (text) VALUES ('terminal')")
    totals = read_totals(connection, INDEX)
    assert cache.get(connection, totals).words == []
    vocabulary.rebuild(connection, INDEX)
    first = cache.get(connection, totals)
    assert first.words == ["terminal"]
    assert cache.get(connection, totals) is first
    connection.execute("INSERT INTO Note (text) VALUES ('emulator')")
    vocabulary.rebuild(connection, INDEX)
    assert cache.get(connection, totals).words == ["emulator", "terminal"]


def test_small_tables_need_no_kept_vocabulary(connection: apsw.Connection) -> None:
    cache = VocabularyCache(INDEX)
    connection.execute("INSERT INTO Note (text) VALUES ('terminal')")
    assert cache.get(connection, read_totals(connection, INDEX)).words == ["terminal"]
    connection.execute("INSERT INTO Note (text) VALUES ('emulator')")
    assert cache.get(connection, read_totals(connection, INDEX)).words == ["emulator", "terminal"]


def test_attempts_that_must_be_quick_load_none(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO Note (text) VALUES ('terminal')")
    cache, totals = VocabularyCache(INDEX), read_totals(connection, INDEX)
    with pytest.raises(WouldWait), NoWaiting(quick=True):
        cache.get(connection, totals)
    loaded = cache.get(connection, totals)
    with NoWaiting(quick=True):
        assert cache.get(connection, totals) is loaded
