"""GraphQL documents as text: measuring, parsing and caching.

A document passes three gates before any other code sees it, each cheaper than what it protects:

1. `check_text`: bytes, tokens and bracket depth, counted by one regular expression that knows strings and
   comments. graphql-core's parser recurses once per bracket, so depth must be known before it runs.
2. `parse`: graphql-core's parser; a syntax error becomes `DocumentInvalid` with its place.
3. `measure`: what the document amounts to once its fragments are expanded. The validation rules compare every
   two fields with one response name, and fragments that spread each other grow exponentially, so both are
   limited here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from graphql.error import GraphQLSyntaxError
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
)
from graphql.language import parse as graphql_parse

from lamdb.errors import DocumentTooDeep, DocumentTooLarge
from lamdb.graphql.errors import TOO_LARGE_INTEGER, invalid, syntax_error

# The lexical tokens that matter here: a block string, a string (perhaps unterminated: it then ends with its
# line, where the lexer stops too), a comment, an opening or closing bracket, anything else.
_TOKENS = re.compile(
    r'(?P<string>"""(?:\\"""|(?!""").)*(?:"""|\Z)|"(?:\\[^\n\r]|[^"\\\n\r])*"?)'
    r"|(?P<comment>\#[^\n\r]*)"
    r"|(?P<open>[{\[(])"
    r"|(?P<close>[}\])])"
    r"|(?P<other>[A-Za-z0-9_.+-]+|[^\s,\ufeff])",
    re.DOTALL,
)

_LONGEST_NUMBER = 400
"""Digits. Python refuses to read integers of more than 4300, and no type takes even these."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one document. Sizes are bytes of UTF-8; everything else is a count."""

    bytes: int = 256 * 1024
    tokens: int = 50_000
    depth: int = 64
    definitions: int = 256
    root_fields: int = 200
    fields: int = 5_000
    overlaps: int = 250_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document with its definitions by name (`None` is the anonymous operation)."""

    text: str
    ast: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    fragments: dict[str, FragmentDefinitionNode]

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute, by the rules of GraphQL's GetOperation().

        Raises `DocumentInvalid` when the name is unknown, or is missing where there are several operations.
        """
        if name is not None:
            if (named := self.operations.get(name)) is None:
                raise invalid(f'Unknown operation named "{name}".', code="OPERATION_RESOLUTION_FAILURE")
            return named
        if not self.operations:
            raise invalid("The document has no operation.", code="OPERATION_RESOLUTION_FAILURE")
        if len(self.operations) > 1:
            raise invalid(
                "Must provide operation name if query contains multiple operations.",
                code="OPERATION_RESOLUTION_FAILURE",
            )
        return next(iter(self.operations.values()))


def load(text: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Check, parse and measure `text`.

    Raises `DocumentTooLarge`, `DocumentTooDeep` or `DocumentInvalid` (a syntax error, a cycle of fragments).
    """
    check_text(text, limits)
    try:
        document = parse(text)
        measure(document, limits)
    except RecursionError:
        # Only where the limits were raised beyond what Python's stack takes.
        raise DocumentTooDeep("The document nests too deeply.") from None
    return document


def check_text(text: str, limits: Limits) -> None:
    """Raise `DocumentTooLarge` or `DocumentTooDeep` when the text alone is beyond the limits."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    if size > limits.bytes:
        raise DocumentTooLarge(f"The document has {size} bytes; the limit is {limits.bytes}.")
    depth = tokens = 0
    for match in _TOKENS.finditer(text):
        kind = match.lastgroup
        if kind == "comment":
            continue
        tokens += 1
        if kind == "other":
            if match.end() - match.start() > _LONGEST_NUMBER and text[match.start()] in "-0123456789":
                raise invalid(TOO_LARGE_INTEGER, code="P2033")
        elif kind == "open":
            depth += 1
            if depth > limits.depth:
                raise DocumentTooDeep(f"The document nests more than {limits.depth} levels deep.")
        elif kind == "close":
            depth -= 1
    if tokens > limits.tokens:
        raise DocumentTooLarge(f"The document has {tokens} tokens; the limit is {limits.tokens}.")


def parse(text: str) -> Document:
    """Parse `text` with graphql-core. Raises `DocumentInvalid` on a syntax error."""
    try:
        ast = graphql_parse(text)
    except GraphQLSyntaxError as error:
        raise syntax_error(error) from None
    operations: dict[str | None, OperationDefinitionNode] = {}
    fragments: dict[str, FragmentDefinitionNode] = {}
    for definition in ast.definitions:
        # Doubled names are refused by validation; the first one stands until then.
        if isinstance(definition, OperationDefinitionNode):
            operations.setdefault(definition.name.value if definition.name else None, definition)
        elif isinstance(definition, FragmentDefinitionNode):
            fragments.setdefault(definition.name.value, definition)
    return Document(text, ast, operations, fragments)


def measure(document: Document, limits: Limits) -> None:
    """Refuse a document that is beyond the limits once it is expanded.

    Raises `DocumentTooLarge`, `DocumentTooDeep`, or `DocumentInvalid` for fragments that spread themselves.
    """
    definitions = len(document.ast.definitions)
    if definitions > limits.definitions:
        raise DocumentTooLarge(
            f"The document has {definitions} definitions; the limit is {limits.definitions}."
        )
    _refuse_cycles(document.fragments)
    meter = _Meter(document.fragments, limits)
    for definition in document.ast.definitions:
        if isinstance(definition, OperationDefinitionNode):
            meter.operation(definition)
        elif isinstance(definition, FragmentDefinitionNode):
            meter.walk([definition.selection_set], 1)


class _Meter:
    """Counts the fields of merged selection sets, and the pairs that the overlap rule would compare."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode], limits: Limits) -> None:
        self._fragments = fragments
        self._limits = limits
        self._fields = 0
        self._overlaps = 0

    def operation(self, operation: OperationDefinitionNode) -> None:
        roots = self.walk([operation.selection_set], 1)
        if roots > self._limits.root_fields:
            raise DocumentTooLarge(
                f"The operation has {roots} root fields; the limit is {self._limits.root_fields}."
            )

    def walk(self, sets: list[SelectionSetNode], depth: int) -> int:
        """Measure the merged selection sets of one response object; returns its number of response names."""
        if depth > self._limits.depth:
            raise DocumentTooDeep(f"The document selects more than {self._limits.depth} levels deep.")
        groups: dict[str, list[FieldNode]] = {}
        for field in self._flatten(sets):
            groups.setdefault(field.alias.value if field.alias else field.name.value, []).append(field)
        for fields in groups.values():
            self._overlaps += len(fields) * len(fields)
            if self._overlaps > self._limits.overlaps:
                raise DocumentTooLarge("The document selects the same fields too many times.")
            if nested := [field.selection_set for field in fields if field.selection_set]:
                self.walk(nested, depth + 1)
        return len(groups)

    def _flatten(self, sets: Iterable[SelectionSetNode]) -> Iterable[FieldNode]:
        """The fields of `sets` with every fragment expanded once, as GraphQL's CollectFields() does."""
        pending: list[SelectionNode] = [node for selection_set in sets for node in selection_set.selections]
        seen: set[str] = set()
        while pending:
            node = pending.pop()
            self._fields += 1
            if self._fields > self._limits.fields:
                raise DocumentTooLarge(
                    f"The document selects more than {self._limits.fields} fields, fragments expanded."
                )
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                pending.extend(node.selection_set.selections)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                if fragment := self._fragments.get(node.name.value):
                    pending.extend(fragment.selection_set.selections)


def _refuse_cycles(fragments: dict[str, FragmentDefinitionNode]) -> None:
    """Raise `DocumentInvalid` when a fragment spreads itself, directly or through others."""
    done: set[str] = set()
    for start in fragments:
        # A depth-first walk with an explicit stack: (fragment, its spreads still to follow).
        path: dict[str, None] = {}
        stack: list[tuple[str, list[FragmentSpreadNode]]] = []
        if start not in done:
            path[start] = None
            stack.append((start, _spreads(fragments[start])))
        while stack:
            name, spreads = stack[-1]
            if not spreads:
                stack.pop()
                path.pop(name)
                done.add(name)
                continue
            spread = spreads.pop()
            target = spread.name.value
            if target in path:
                raise invalid(f'Cannot spread fragment "{target}" within itself.', nodes=[spread])
            if target in fragments and target not in done:
                path[target] = None
                stack.append((target, _spreads(fragments[target])))


def _spreads(fragment: FragmentDefinitionNode) -> list[FragmentSpreadNode]:
    """Every fragment spread below a definition, at any depth."""
    found: list[FragmentSpreadNode] = []
    pending: list[SelectionNode] = list(fragment.selection_set.selections)
    while pending:
        node = pending.pop()
        if isinstance(node, FragmentSpreadNode):
            found.append(node)
        elif isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
            pending.extend(node.selection_set.selections)
    return found


def operation_kind(text: str, operation_name: str | None, limits: Limits = DEFAULT_LIMITS) -> OperationType:
    """The kind of operation that a request asks for; no schema is needed. Raises as `load` does."""
    return load(text, limits).operation(operation_name).operation
