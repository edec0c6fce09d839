"""Tells mutations from queries by the outline of a document.

The proxy has to know no more than that, and graphql-core takes long to import. So the document's tokens are
counted up to the braces of its operations (GraphQL specification, section 2: Language); graphql-core is asked
only where that leaves a doubt, and says what is wrong then.

Who answers a request judges the document anew: a reader refuses mutations, whatever came of this.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from lamdb.graphql.request import GraphQLRequest

_MUTATION: Final = "mutation"
"""A document without this word holds no mutation."""

_TOKENS: Final = re.compile(
    r'"""(?:[^"\\]|\\"""|\\|"(?!""))*+"""'  # a block string
    r'|"(?:[^"\\\n\r]|\\.)*+"'
    r"|#[^\n\r]*+"
    r"|[{}()\[\]]"
    r"|@?[A-Za-z_]\w*+"
    r'|"',  # of a string that does not end
    re.ASCII,
)
_OPENING: Final = frozenset("{([")
_CLOSING: Final = frozenset("})]")
_IGNORED: Final = frozenset('"#@')
_KINDS: Final = frozenset({"query", _MUTATION, "subscription"})


class _Operation(NamedTuple):
    kind: str
    name: str | None


class _Doubt(Exception):
    """The outline is not that of a document."""


def is_mutation(request: GraphQLRequest) -> bool:
    """True if the operation to execute is a mutation. Raises `RequestError` if the operation is ambiguous."""
    if _MUTATION not in request.query:
        return False
    try:
        operations = list(_operations(request.query))
    except _Doubt:
        operations = []
    name = request.operation_name
    chosen = [each for each in operations if name is None or each.name == name]
    if len(chosen) == 1:
        return chosen[0].kind == _MUTATION
    from lamdb.graphql.document.document import operation_kind

    return operation_kind(request.query, name).value == _MUTATION


def _operations(text: str) -> Iterator[_Operation]:
    """The operations of a document, in order. Raises `_Doubt`."""
    depth = 0
    head: list[str] = []
    """The names of a definition before its selection set: operation type, name, and others."""
    for match in _TOKENS.finditer(text):
        token = match[0]
        if token in _OPENING:
            if depth == 0 and token == "{":
                yield from _operation(head)
            depth += 1
        elif token in _CLOSING:
            depth -= 1
            if depth < 0:
                raise _Doubt
            if depth == 0 and token == "}":
                head = []
        elif token == '"':
            raise _Doubt
        elif depth == 0 and token[0] not in _IGNORED:
            head.append(token)
    if depth or head:
        raise _Doubt


def _operation(head: list[str]) -> Iterator[_Operation]:
    """The one that begins with these names; none if it is a fragment. Raises `_Doubt`."""
    if not head:
        yield _Operation("query", None)
    elif head[0] in _KINDS and len(head) <= 2:
        yield _Operation(head[0], head[1] if len(head) == 2 else None)
    elif head[0] != "fragment":
        raise _Doubt
