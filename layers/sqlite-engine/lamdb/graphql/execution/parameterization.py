"""Reuses a compiled document for documents that differ only in literals.

Many clients write values into the text of a document in place of variables. Parsing and validating each such
text takes a hundred times as long as executing it. So a text that is new is cut at its literals: the pieces
between them, its *skeleton*, say whether a document of the same tokens was compiled before. Its numbers and
strings then are the values of variables named `#0`, `#1` …, which no document can name itself.

Only literals whose value cannot change the verdict of validation or the shape of the request are lifted like
this: those in arguments of fields that stand once in the document, at places that take no enum. All others
must be equal for two documents to share anything.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from graphql.language import (
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
)

from lamdb.graphql.document.document import Document
from lamdb.graphql.document.positions import ValuePosition
from lamdb.graphql.document.values import MAX_FLOAT_TEXT, MAX_INT64, MIN_INT64
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.schema.names import ROOT_TYPES

# What the skeleton is cut at: block strings, strings, comments, numbers. A number is no part of a name and
# ends where GraphQL's lexer ends it; anything else that looks like one stays in the skeleton.
_PIECES: Final = re.compile(
    r'("""(?:\\"""|(?!""").)*"""'
    r'|"(?:\\.|[^"\\\n\r])*"'
    r"|\#[^\n\r]*"
    r"|(?<![\w.-])-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))",
    re.DOTALL | re.ASCII,
)
_KEPT_TEXTS: Final = 256
_KEPT_TEXT: Final = 4096
"""Characters."""
_MAX_DIGITS: Final = 19
_MAX_LITERALS: Final = 64
"""A document with more of them carries data rather than parameters."""
_MIN_INT32, _MAX_INT32 = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A document's text without its literals. `key` is equal for texts of equal tokens, literals aside;
    `literals` are the removed ones, as written in the text, and `offsets` their places in it."""

    key: str
    literals: tuple[str, ...]
    pieces: tuple[str, ...]

    def offsets(self) -> list[int]:
        place, found = 0, []
        for number, piece in enumerate(self.pieces):
            if number % 2 and _marker(piece) in _LIFTED_MARKERS:
                found.append(place)
            place += len(piece)
        return found


_LIFTED_MARKERS: Final = frozenset({"\0i", "\0f", "\0s"})


def _marker(piece: str) -> str:
    """The placeholder for a removed literal in the key; strings with escapes are kept."""
    first = piece[0]
    if first == '"':
        return piece if "\\" in piece or piece.startswith('"""') else "\0s"
    if first == "#":
        return "\0#"
    return "\0i" if piece.lstrip("-").isdigit() else "\0f"


def skeleton_of(text: str) -> Skeleton | None:
    """The skeleton of a text, or `None` if it has no literals to lift."""
    return _kept_skeleton(text) if len(text) <= _KEPT_TEXT else _skeleton(text)


def _skeleton(text: str) -> Skeleton | None:
    if "\0" in text:  # would pass for a marker; no valid document has one outside of strings
        return None
    pieces = _PIECES.split(text)
    if len(pieces) == 1:
        return None
    outline = list(pieces)
    literals = []
    for number in range(1, len(pieces), 2):
        marker = outline[number] = _marker(pieces[number])
        if marker in _LIFTED_MARKERS:
            literals.append(pieces[number])
    if not 0 < len(literals) <= _MAX_LITERALS:
        return None
    return Skeleton("".join(outline), tuple(literals), tuple(pieces))


_kept_skeleton = lru_cache(_KEPT_TEXTS)(_skeleton)
"""One request looks for the skeleton of its text at several places."""


@dataclass(frozen=True, slots=True)
class _Lifted:
    """A literal that may vary: the variable that stands for it, and the integers it may be."""

    index: int
    name: str
    low: int
    high: int
    exact: bool
    """Whether the place keeps digits of a number that a double does not."""


class Liftable:
    """The literals of a skeleton that may vary, found on the first document that has it."""

    def __init__(self, compiler: OperationCompiler, document: Document, skeleton: Skeleton) -> None:
        numbers = {place: number for number, place in enumerate(skeleton.offsets())}
        found = _Walk(compiler, document, numbers, skeleton.literals).run()
        self._lifted = tuple(found[index] for index in sorted(found))
        self._fixed = tuple(index for index in range(len(skeleton.literals)) if index not in found)

    def __bool__(self) -> bool:
        return bool(self._lifted)

    def fixed(self, skeleton: Skeleton) -> tuple[str, ...]:
        """The literals that must be equal."""
        return tuple(skeleton.literals[index] for index in self._fixed)

    def names(self, skeleton: Skeleton) -> dict[int, str]:
        """The variables that stand for literals, by the literals' offsets in the text of `skeleton`."""
        offsets = skeleton.offsets()
        return {offsets[lifted.index]: lifted.name for lifted in self._lifted}

    def values(self, skeleton: Skeleton) -> dict[str, Any] | None:
        """The values of those variables; `None` if one of them exceeds what validation allows."""
        values: dict[str, Any] = {}
        for lifted in self._lifted:
            text = skeleton.literals[lifted.index]
            if text[0] == '"':
                values[lifted.name] = text[1:-1]
            elif text.lstrip("-").isdigit():
                if len(text) > _MAX_DIGITS + 1 or not lifted.low <= (number := int(text)) <= lifted.high:
                    return None
                values[lifted.name] = number
            elif lifted.exact and len(text) > MAX_FLOAT_TEXT:
                return None
            else:
                values[lifted.name] = float(text)
                if math.isinf(values[lifted.name]):
                    return None
        return values


class _Walk:
    """Goes through a valid document's arguments by their types."""

    def __init__(
        self,
        compiler: OperationCompiler,
        document: Document,
        numbers: Mapping[int, int],
        literals: tuple[str, ...],
    ) -> None:
        self._compiler = compiler
        self._document = document
        self._numbers = numbers
        self._literals = literals
        self._found: dict[int, _Lifted] = {}
        self._keys: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def run(self) -> dict[int, _Lifted]:
        """The literals that may vary, by their numbers."""
        definitions = [
            made
            for made in self._document.ast.definitions
            if isinstance(made, OperationDefinitionNode | FragmentDefinitionNode)
        ]
        for made in definitions:
            self._count(made.selection_set)
        for made in definitions:
            if isinstance(made, FragmentDefinitionNode):
                self._selections(made.selection_set, made.type_condition.name.value)
            else:
                mutation = made.operation is OperationType.MUTATION
                self._selections(made.selection_set, ROOT_TYPES["mutation" if mutation else "query"])
        return self._found

    def _count(self, selection_set: SelectionSetNode) -> None:
        for field in _fields(selection_set):
            key = field.alias.value if field.alias else field.name.value
            self._keys[key] = self._keys.get(key, 0) + 1
            self._names[field.name.value] = self._names.get(field.name.value, 0) + 1
            if field.selection_set:
                self._count(field.selection_set)

    def _selections(self, selection_set: SelectionSetNode, type_name: str) -> None:
        infos = self._compiler.types.output(type_name).fields
        for field in _fields(selection_set):
            name = field.name.value
            if name.startswith("__"):
                continue
            info = infos[name]
            if self._stands_once(field, is_root=type_name in ROOT_TYPES.values()):
                for argument in field.arguments:
                    members = info.args[argument.name.value].members
                    self._value(argument.value, self._compiler.positions.of(members))
            if field.selection_set:
                self._selections(field.selection_set, info.type_name)

    def _stands_once(self, field: FieldNode, *, is_root: bool) -> bool:
        """True if no other field is compared with this one: equal response names must have equal arguments,
        and relations with equal arguments share a request."""
        key = field.alias.value if field.alias else field.name.value
        return self._keys[key] == 1 and (is_root or self._names[field.name.value] == 1)

    def _value(self, node: ValueNode, position: ValuePosition) -> None:
        if isinstance(node, ListValueNode):
            inner = position.item() if position.takes_lists else position
            for item in node.values:
                self._value(item, inner)
        elif isinstance(node, ObjectValueNode):
            position = position.of_object({field.name.value for field in node.fields})
            for field in node.fields:
                self._value(field.value, position.field_at(field.name.value))
        elif isinstance(node, IntValueNode | FloatValueNode | StringValueNode) and node.loc:
            number = self._numbers.get(node.loc.start)
            if number is not None and node.loc.end - node.loc.start == len(self._literals[number]):
                self._lift(number, position)

    def _lift(self, number: int, position: ValuePosition) -> None:
        if position.values and not position.scalars & {"String", "Json"}:
            return  # an enum's value may be given as a string, and only some strings are values
        wide = position.scalars & {"BigInt", "Decimal", "Json"} and "Int" not in position.scalars
        low, high = (MIN_INT64, MAX_INT64) if wide else (_MIN_INT32, _MAX_INT32)
        exact = "Float" not in position.scalars
        self._found[number] = _Lifted(number, f"#{number}", low, high, exact)


def _fields(selection_set: SelectionSetNode) -> Iterable[FieldNode]:
    """The fields of a selection set and of the inline fragments in it."""
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _fields(node.selection_set)
        else:
            assert isinstance(node, FragmentSpreadNode)
