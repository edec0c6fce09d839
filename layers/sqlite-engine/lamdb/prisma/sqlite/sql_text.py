"""Splits SQL into tokens and statements, as SQLite does, without checking it.

[statement.text for statement in statements(script)]   # every character of the script, in order
[token.value for token in meaningful(sql)]             # without blanks and comments
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<blob>[xX]'[^']*')
  | (?P<string>'(?:[^']|'')*(?:'|\Z))
  | (?P<name>"(?:[^"]|"")*(?:"|\Z)|`(?:[^`]|``)*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
  | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
  | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
  | (?P<sign>\|\||->>?|<<|>>|<=|>=|==|!=|<>|.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SqlToken:
    """One token: `kind` is blank, blob, string, name (in quotes), number, word or sign."""

    kind: str
    text: str

    @property
    def value(self) -> str:
        """A name without its quotes; all else as it is."""
        if self.kind != "name":
            return self.text
        if self.text.startswith("["):
            return self.text[1:-1]
        mark = self.text[0]
        return self.text[1:-1].replace(mark * 2, mark)

    @property
    def name(self) -> str:
        """The same where a name is expected: SQLite takes texts for names there."""
        return self.text[1:-1].replace("''", "'") if self.kind == "string" else self.value

    @property
    def is_name(self) -> bool:
        """True if it may name something. SQLite takes texts for names where it expects one."""
        return self.kind in ("word", "name", "string")

    def is_word(self, *words: str) -> bool:
        """True if it is one of these keywords (upper case), and not a name in quotes."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def normal(self) -> str:
        """The same for all spellings that SQLite takes for the same."""
        if self.kind in ("word", "name"):
            return self.value.lower()
        return self.text.lower() if self.kind in ("blob", "number") else self.text


@dataclass(frozen=True, slots=True)
class Statement:
    """A part of a script with one statement, or with none behind the last one.

    `text` has the blanks and comments in front of it and the semicolon behind it.
    """

    text: str
    tokens: tuple[SqlToken, ...]
    """Without blanks, comments and the semicolon."""

    @property
    def lead(self) -> str:
        """The blanks and comments in front."""
        return "".join(token.text for token in _leading_blanks(self.text))

    @property
    def body(self) -> str:
        """The statement from its first token, with its semicolon."""
        return self.text[len(self.lead) :]

    def begins(self, *words: str) -> bool:
        return len(self.tokens) >= len(words) and all(
            token.is_word(word) for token, word in zip(self.tokens, words, strict=False)
        )


def tokenize(sql: str) -> Iterator[SqlToken]:
    """All of the text, token by token."""
    for match in _TOKEN.finditer(sql):
        assert match.lastgroup is not None
        yield SqlToken(match.lastgroup, match[0])


def meaningful(sql: str) -> list[SqlToken]:
    return [token for token in tokenize(sql) if token.kind != "blank"]


def statements(script: str) -> Iterator[Statement]:
    """The statements of a script; a trigger's body belongs to its statement."""
    text: list[str] = []
    tokens: list[SqlToken] = []
    for token in tokenize(script):
        text.append(token.text)
        if token.text == ";" and (not _is_trigger(tokens) or _is_ended(tokens)):
            yield Statement("".join(text), tuple(tokens))
            text, tokens = [], []
        elif token.kind != "blank":
            tokens.append(token)
    if text:
        yield Statement("".join(text), tuple(tokens))


def normalize(sql: str) -> str:
    """The same for statements that differ in blanks, comments, quotes of names and case alone."""
    return " ".join(token.normal for token in meaningful(sql) if token.text != ";")


def join(tokens: Sequence[SqlToken]) -> str:
    """Tokens as readable text."""
    text = ""
    for number, token in enumerate(tokens):
        previous = tokens[number - 1] if number else None
        tight = (
            previous is None
            or previous.text in ("(", ".")
            or token.text in (")", ",", ".", ";")
            or (token.text == "(" and previous.kind in ("word", "name") and not _is_operator(previous))
        )
        text += token.text if tight else f" {token.text}"
    return text


def split(tokens: Sequence[SqlToken]) -> list[list[SqlToken]]:
    """The parts between the commas outside parentheses."""
    parts: list[list[SqlToken]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "sign":
            depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text == "," and token.kind == "sign":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def closing(tokens: Sequence[SqlToken], opening: int) -> int:
    """The index behind the parenthesis that closes the one at `opening`; the end if none does."""
    depth = 0
    for index in range(opening, len(tokens)):
        token = tokens[index]
        if token.kind == "sign":
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0:
                return index + 1
    return len(tokens)


def _is_trigger(tokens: Sequence[SqlToken]) -> bool:
    words = [token.text.upper() for token in tokens[:6] if not token.is_word("EXPLAIN", "QUERY", "PLAN")]
    return words[:2] == ["CREATE", "TRIGGER"] or (
        words[:1] == ["CREATE"] and words[1:2] in (["TEMP"], ["TEMPORARY"]) and words[2:3] == ["TRIGGER"]
    )


def _is_ended(trigger: Sequence[SqlToken]) -> bool:
    return trigger[-1].is_word("END") and trigger[-2].text == ";"


def _is_operator(token: SqlToken) -> bool:
    return token.is_word(
        "AND", "OR", "NOT", "IN", "IS", "LIKE", "GLOB", "BETWEEN", "THEN", "ELSE", "WHEN", "AS"
    )


def _leading_blanks(text: str) -> Iterator[SqlToken]:
    for token in tokenize(text):
        if token.kind != "blank":
            return
        yield token
