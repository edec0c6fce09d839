"""Writing without spaces: an index of three characters (`trigram`) finds any part of a text from three on.

A word of a query is then such a part. Those of one and two characters, as many words of Chinese are, stand
in no index. Records are looked through for them: those that match the rest of the query or, if there is no
rest, the newest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lamdb.search.definition import DOCID, SearchDefinition
from lamdb.search.syntax import Clause, IndexedWord, Query, Term
from lamdb.search.tables import quote

SHORTEST: Final = 3
LOOKED_THROUGH: Final = 20_000
"""Records that are looked through for short words, without other words the newest."""
_PIECES: Final = 8


@dataclass(frozen=True, slots=True)
class ShortWords:
    """The words of a query that no index of three characters knows."""

    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)

    def condition(
        self, definition: SearchDefinition, columns: Sequence[str], record: str
    ) -> tuple[str, list[str]]:
        """The condition that the record with the rowid `record` has them, or not, and its parameters."""
        parts, parameters = [], []
        fields = [quote(each) for each in columns or [field.column for field in definition.fields]]
        for word, negated in [*((w, "") for w in self.wanted), *((w, "NOT ") for w in self.unwanted)]:
            anywhere = " OR ".join(f"coalesce({field}, '') LIKE ? ESCAPE '\\'" for field in fields)
            parts.append(f"{negated}({anywhere})")
            parameters += [pattern(word)] * len(fields)
        found = f"SELECT 1 FROM {quote(definition.rows)} v WHERE v.{DOCID} = {record}"
        return f"EXISTS ({found} AND {' AND '.join(parts)})", parameters


def pattern(word: str) -> str:
    """Returns the pattern of LIKE for texts that contain a word; a backslash escapes."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def without_short_words(query: Query) -> tuple[Query, ShortWords]:
    """Returns a query as an index of three characters takes it, and the words that it cannot take."""
    clauses, wanted = [], []
    for clause in query.clauses:
        terms = clause.alternatives[0] if len(clause.alternatives) == 1 else ()
        short = [text for term in terms if len(text := _text(query, term)) < SHORTEST]
        if terms and len(short) == len(terms):
            wanted += short
        else:
            clauses.append(Clause(tuple(_as_written(query, each) for each in clause.alternatives)))
    unwanted = [_text(query, term) for term in query.excluded]
    excluded = [term for term in query.excluded if len(_text(query, term)) >= SHORTEST]
    kept = replace(query, clauses=tuple(clauses), excluded=_as_written(query, excluded), open_ended=False)
    return kept, ShortWords(tuple(wanted), tuple(word for word in unwanted if len(word) < SHORTEST))


def _text(query: Query, term: Term) -> str:
    return query.text[term.tokens[0].start : term.tokens[-1].end]


def _as_written(query: Query, terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms as single words with their spaces and signs: all of that is in the index."""
    found = []
    for term in terms:
        start, end = term.tokens[0].start, term.tokens[-1].end
        text = query.text[start:end].replace('"', "")
        found.append(Term((IndexedWord(text, start, end),), term.quoted, prefix=False))
    return tuple(found)


def pieces(term: Term) -> list[Term]:
    """Returns the overlapping parts of a word of more than three characters, each of three."""
    token = term.tokens[0]
    last = len(token.text) - SHORTEST
    starts = range(last + 1) if last < _PIECES else range(0, last + 1, last // _PIECES + 1)
    return [
        Term((IndexedWord(token.text[at : at + SHORTEST], token.start + at, token.start + at + SHORTEST),))
        for at in starts
    ]
