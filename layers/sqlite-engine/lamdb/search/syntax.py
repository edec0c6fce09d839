"""The query language for people: words, "phrases", -exclusions, OR and prefix*, read without errors.

Prisma's operators work too: `&`, `|` and `!`. Whatever else a text holds separates words. `parse` bounds
what it takes from a text, so that no text makes a search slow:

- the first 4,096 characters,
- the first 16 different words or phrases, and 32 exclusions,
- 64 words in a phrase, 16 alternatives between ORs,
- words of up to 256 bytes; a longer one stands for all that begin with these bytes.

`&` binds its words more tightly than `|` and OR, and these more tightly than a space does: `red | blue
shoes` means shoes that are red or blue, `fox | cat & dog` foxes, or cats together with dogs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import apsw

MAX_CHARACTERS: Final = 4096
MAX_CLAUSES: Final = 32
MAX_EXCLUDED: Final = 32
MAX_PHRASE: Final = 64
MAX_ALTERNATIVES: Final = 16
_MAX_WORD_BYTES: Final = 256

_SHORT: Final = 2
"""A part of a compound such as `3.14` or `t-coffee` that has so few letters means nothing on its own."""

_QUOTES: Final = str.maketrans(dict.fromkeys("“”„‟«»＂", '"') | {"\0": " ", "＊": "*", "｜": "|", "＆": "&"})
_LEXER: Final = re.compile(
    r'(?P<exclude>(?<![^\s|&(])[-!]+(?=["\w]))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"|&*]+))(?P<star>\*?)'
    r"|(?P<any>\|+)|(?P<all>&+)"
)


class IndexedWord(NamedTuple):
    """A word as the index has it before stemming, and its place in the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several that must follow each other.

    `quoted` terms are to be found exactly as they are. `prefix` terms stand for all that begin with them.
    """

    tokens: tuple[IndexedWord, ...]
    quoted: bool = False
    prefix: bool = False

    @property
    def key(self) -> tuple[tuple[str, ...], bool, bool]:
        """The identity of a term, wherever it stands."""
        return tuple(token.text for token in self.tokens), self.quoted, self.prefix

    def match(self) -> str:
        """The term in FTS5's language."""
        return '"' + " ".join(token.text for token in self.tokens) + '"' + ("*" if self.prefix else "")


@dataclass(frozen=True, slots=True)
class Clause:
    """The condition on a record: one of the alternatives, each of them all terms of a list."""

    alternatives: tuple[tuple[Term, ...], ...]

    @property
    def word(self) -> Term | None:
        """The only term, if it is a single word without quotes."""
        if len(self.alternatives) != 1 or len(self.alternatives[0]) != 1:
            return None
        term = self.alternatives[0][0]
        return term if len(term.tokens) == 1 and not term.quoted else None

    def match(self) -> str:
        """The clause in FTS5's language."""
        parts = [" AND ".join(term.match() for term in terms) for terms in self.alternatives]
        if len(parts) == 1:
            return parts[0]
        return " OR ".join(
            f"({part})" if len(terms) > 1 else part
            for part, terms in zip(parts, self.alternatives, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A text that was read: all clauses must be met, no excluded term may occur.

    `text` is what the places of tokens refer to. `open_ended`: the text ends within its last word.
    """

    text: str
    clauses: tuple[Clause, ...] = ()
    excluded: tuple[Term, ...] = ()
    open_ended: bool = False

    def words(self) -> list[str]:
        """All words that are looked for or excluded."""
        terms = [term for clause in self.clauses for terms in clause.alternatives for term in terms]
        return [token.text for term in (*terms, *self.excluded) for token in term.tokens]

    def match(self) -> str | None:
        """The expression for FTS5's MATCH, without the exclusions; None if there is no word to look for."""
        return " AND ".join(f"({clause.match()})" for clause in self.clauses) or None


class Tokenizer:
    """The tokenizer of an index, without stemming: cuts texts into words as FTS5 does."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._cut = connection.fts5_tokenizer("unicode61", ["remove_diacritics", "2"])

    def tokens(self, text: str, offset: int = 0) -> list[IndexedWord]:
        """The words of `text`, which begins at character `offset` of the whole."""
        if text.isascii() and text.isalnum():
            return [IndexedWord(text.lower(), offset, offset + len(text))]
        data = text.encode()
        found, at, characters = [], 0, 0
        cut = cast("list[tuple[int, int, str]]", self._cut(data, apsw.FTS5_TOKENIZE_QUERY, None))
        for start, end, token in cut:
            characters += len(data[at:start].decode())
            length = len(data[start:end].decode())
            if word := _plain(token):
                found.append(IndexedWord(word, offset + characters, offset + characters + length))
            characters, at = characters + length, end
        return found


def _plain(word: str) -> str:
    return word.replace('"', "").replace("\0", "")


def parse(text: str, tokenizer: Tokenizer) -> Query:
    """Reads a text. Never raises for any `str`."""
    text = _clean(text)
    reader = _Reader(tokenizer)
    for lexeme in _lexemes(text):
        reader.take(lexeme)
    last = text[-1:]
    return Query(
        text, tuple(reader.clauses), tuple(reader.excluded), open_ended=bool(tokenizer.tokens(last or " "))
    )


def _clean(text: str) -> str:
    """The part of a text that counts, without characters that UTF-8 or FTS5 cannot take."""
    text = text[:MAX_CHARACTERS].translate(_QUOTES)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="replace").decode()
    return text


class _Lexeme(NamedTuple):
    kind: str
    """`term`, `any` or `all`."""
    text: str = ""
    start: int = 0
    quoted: bool = False
    star: bool = False
    excluded: bool = False


def _lexemes(text: str) -> Iterator[_Lexeme]:
    # In a text all in capitals these words are no operators.
    operators = {"OR": "any", "AND": "space"} if text.upper() != text or '"' in text else {}
    for match in _LEXER.finditer(text):
        if match["any"] or match["all"]:
            yield _Lexeme("any" if match["any"] else "all")
        elif match["phrase"] is not None:
            excluded = bool(match["exclude"])
            start = match.start("phrase")
            yield _Lexeme(
                "term", match["phrase"], start, quoted=True, star=bool(match["star"]), excluded=excluded
            )
        elif match["word"] in operators:
            yield _Lexeme(operators[match["word"]])
        else:
            excluded = bool(match["exclude"])
            yield _Lexeme(
                "term", match["word"], match.start("word"), star=bool(match["star"]), excluded=excluded
            )


class _Reader:
    """Puts lexemes together. An operator that joins nothing is skipped."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.clauses: list[Clause] = []
        self.excluded: list[Term] = []
        self._tokenizer = tokenizer
        self._operator = "space"
        self._known: set[object] = set()

    def take(self, lexeme: _Lexeme) -> None:
        if lexeme.kind != "term":
            # Of several operators in a row, the last counts.
            self._operator = lexeme.kind if self.clauses else "space"
            return
        terms = self._terms(lexeme)
        if not terms:
            return
        if lexeme.excluded:
            self._operator = "space"
            # All words of a compound, so that what it excludes is what it would find.
            self.excluded += [_whole(terms)][: MAX_EXCLUDED - len(self.excluded)]
            return
        operator, self._operator = self._operator, "space"
        if operator == "space":
            self._add([Clause(((term,),)) for term in terms])
        else:
            self._join(operator, tuple(terms))

    def _terms(self, lexeme: _Lexeme) -> list[Term]:
        tokens = self._tokenizer.tokens(lexeme.text, lexeme.start)[:MAX_PHRASE]
        if not tokens:
            return []
        cut = [_shortened(token) for token in tokens]
        prefix = lexeme.star or cut[-1] != tokens[-1]
        if lexeme.quoted or len(cut) == 1:
            return [Term(tuple(cut), lexeme.quoted, prefix)]
        if any(len(token.text) <= _SHORT for token in cut):
            return [Term(tuple(cut), False, prefix)]
        return [Term((token,)) for token in cut[:-1]] + [Term((cut[-1],), prefix=prefix)]

    def _add(self, clauses: list[Clause]) -> None:
        for clause in clauses:
            key = tuple(term.key for terms in clause.alternatives for term in terms)
            if key not in self._known and len(self.clauses) < MAX_CLAUSES:
                self._known.add(key)
                self.clauses.append(clause)

    def _join(self, operator: str, terms: tuple[Term, ...]) -> None:
        *before, last = self.clauses[-1].alternatives
        if operator == "all":
            alternatives = (*before, (*last, *terms)[:MAX_CLAUSES])
        else:
            alternatives = (*before, last, terms)[:MAX_ALTERNATIVES]
        self.clauses[-1] = Clause(alternatives)


def _whole(terms: list[Term]) -> Term:
    return Term(tuple(token for term in terms for token in term.tokens), terms[0].quoted, terms[-1].prefix)


def _shortened(token: IndexedWord) -> IndexedWord:
    data = token.text.encode()
    if len(data) <= _MAX_WORD_BYTES:
        return token
    return token._replace(text=data[:_MAX_WORD_BYTES].decode(errors="ignore"))
