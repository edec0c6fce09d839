"""Parsing the expressions of rules into trees.

The grammar, from the loosest operator to the tightest; `!` before a value is "not":

    expression  = and {"||" and}
    and         = comparison {"&&" comparison}
    comparison  = unary [("==" | "!=" | "<" | "<=" | ">" | ">=" | "in") unary]
    unary       = "!" unary | postfix
    postfix     = primary {"." name | "?[" expression "]" | "![" expression "]" | "^[" expression "]"}
    primary     = literal | name | name "(" [expression {"," expression}] ")" | "(" expression ")"
                | "[" [expression {"," expression}] "]"
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

_TOKEN: Final = re.compile(
    r"""\s+|(?P<number>-?\d+(?:\.\d+)?(?![\w.]))"""
    r"""|(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>\?\[|!\[|\^\[|&&|\|\||==|!=|<=|>=|[<>!().,\[\]])"""
)
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t"}
_DEEPEST: Final = 50
"""Levels of parentheses and predicates."""
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_QUANTIFIERS: Final[dict[str, "Quantifier"]] = {"?[": "some", "![": "every", "^[": "none"}

type Quantifier = Literal["some", "every", "none"]
type Expression = (
    "Value | Name | MemberAccess | FunctionCall | Items | Not | Both | Either | Comparison | Predicate"
)


class ExpressionFault(Exception):
    """An error in an expression: the message, and the offset of its place."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


@dataclass(frozen=True, slots=True)
class Value:
    """A literal: text, number, true, false or null."""

    value: str | int | float | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """A field of the record, an enum's value, or `this`."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class MemberAccess:
    """`of.name`."""

    of: Expression
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`name(arguments)`."""

    name: str
    arguments: tuple[Expression, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    """`[one, other]`."""

    items: tuple[Expression, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """`!operand`."""

    operand: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Both:
    """`left && right`."""

    left: Expression
    right: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Either:
    """`left || right`."""

    left: Expression
    right: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`."""

    operator: str
    left: Expression
    right: Expression
    at: int


@dataclass(frozen=True, slots=True)
class Predicate:
    """`of?[condition]` (some), `of![condition]` (every), `of^[condition]` (none)."""

    quantifier: Quantifier
    of: Expression
    condition: Expression
    at: int


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_arguments(text: str, start: int) -> tuple[tuple[Expression, ...], int]:
    """Returns the arguments of a call whose parenthesis is at `start`, and the offset behind the closing one.

    Raises Fault.
    """
    parser = _Parser(text, start)
    parser.expect("(")
    arguments = parser.arguments(")")
    return arguments, parser.behind


class _Parser:
    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._at = start
        self._depth = 0
        self.behind = start
        """The offset behind the last token that was taken."""
        self._token = self._next()

    def arguments(self, end: str) -> tuple[Expression, ...]:
        """The expressions up to `end`, which is taken."""
        found: list[Expression] = []
        if not self._is(end):
            found.append(self._expression())
            while self._take(","):
                found.append(self._expression())
        self.expect(end)
        return tuple(found)

    def expect(self, sign: str) -> None:
        """Takes `sign`. Raises Fault if something else comes."""
        if not self._is(sign):
            raise ExpressionFault(
                f"Expected {sign}, found {self._token.text or 'the end of the rule'}.", self._token.at
            )
        self.behind = self._token.at + len(sign)
        # What follows the rule's last parenthesis is not part of it, and may be anything.
        self._at = self.behind
        self._token = _Token("unread", "", self.behind)

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExpressionFault(
                f"The expression is nested more than {_DEEPEST} levels deep.", self._token.at
            )
        left = self._and()
        while (at := self._take("||")) is not None:
            left = Either(left, self._and(), at)
        self._depth -= 1
        return left

    def _and(self) -> Expression:
        left = self._comparison()
        while (at := self._take("&&")) is not None:
            left = Both(left, self._comparison(), at)
        return left

    def _comparison(self) -> Expression:
        left = self._unary()
        token = self._peek()
        if token.text in _COMPARISONS and token.kind in ("sign", "name"):
            self._advance()
            return Comparison(token.text, left, self._unary(), token.at)
        return left

    def _unary(self) -> Expression:
        negations: list[int] = []
        while (at := self._take("!")) is not None:
            negations.append(at)
        if len(negations) > _DEEPEST:
            raise ExpressionFault("Too many negations.", negations[0])
        found = self._postfix()
        for at in reversed(negations):
            found = Not(found, at)
        return found

    def _postfix(self) -> Expression:
        found = self._primary()
        while True:
            token = self._peek()
            if token.text == "." and token.kind == "sign":
                self._advance()
                name = self._peek()
                if name.kind != "name":
                    raise ExpressionFault("Expected a name after the dot.", name.at)
                self._advance()
                found = MemberAccess(found, name.text, name.at)
            elif token.kind == "sign" and token.text in _QUANTIFIERS:
                self._advance()
                condition = self._expression()
                self.expect("]")
                found = Predicate(_QUANTIFIERS[token.text], found, condition, token.at)
            else:
                return found

    def _primary(self) -> Expression:
        token = self._peek()
        if token.kind == "number":
            self._advance()
            return Value(float(token.text) if "." in token.text else int(token.text), token.at)
        if token.kind == "text":
            self._advance()
            text = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), token.text[1:-1])
            if any(character < " " and character not in "\n\t" for character in text):
                raise ExpressionFault("A text has control characters.", token.at)
            return Value(text, token.at)
        if token.kind == "name":
            self._advance()
            if token.text in ("true", "false"):
                return Value(token.text == "true", token.at)
            if token.text == "null":
                return Value(None, token.at)
            if self._take("(") is not None:
                return FunctionCall(token.text, self.arguments(")"), token.at)
            return Name(token.text, token.at)
        if self._take("(") is not None:
            inner = self._expression()
            self.expect(")")
            return inner
        if self._take("[") is not None:
            return Items(self.arguments("]"), token.at)
        raise ExpressionFault(f"Expected a value, found {token.text or 'the end of the rule'}.", token.at)

    # Tokens

    def _peek(self) -> _Token:
        if self._token.kind == "unread":
            self._token = self._next()
        return self._token

    def _is(self, sign: str) -> bool:
        token = self._peek()
        return token.kind == "sign" and token.text == sign

    def _take(self, sign: str) -> int | None:
        """Takes `sign` if it comes; returns its offset."""
        if not self._is(sign):
            return None
        at = self._token.at
        self._advance()
        return at

    def _advance(self) -> None:
        self.behind = self._token.at + len(self._token.text)
        self._token = _Token("unread", "", self.behind)

    def _next(self) -> _Token:
        while self._at < len(self._text):
            found = _TOKEN.match(self._text, self._at)
            if found is None:
                raise ExpressionFault(f"{self._text[self._at]} is not part of an expression.", self._at)
            at, self._at = self._at, found.end()
            if found.lastgroup is not None:
                return _Token(found.lastgroup, found[0], at)
        return _Token("end", "", len(self._text))


def operations_of(argument: Expression, known: Sequence[str]) -> list[str]:
    """Returns the operations that the first argument of a rule names: `'read,update'`. Raises Fault."""
    if not isinstance(argument, Value) or not isinstance(argument.value, str):
        raise ExpressionFault(
            "The first argument is a text with operations: 'read', 'create,update'.", argument.at
        )
    named = [name.strip() for name in argument.value.split(",")]
    for name in named:
        if name not in known:
            raise ExpressionFault(
                f"There is no operation {name!r}; there are {', '.join(known)}.", argument.at
            )
    return named
