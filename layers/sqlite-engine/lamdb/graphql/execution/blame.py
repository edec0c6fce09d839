"""The names of the fields and arguments that errors are at, or mention."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphql.error import GraphQLError
from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from lamdb.graphql.errors import Entry

_QUOTED: Final = re.compile(r"['`]([\w.]+)['`]", re.ASCII)

TOO_LARGE: Final = "P2033"
"""The code of numbers that have no room; it comes without names."""

type Names = Mapping[int, str]


def names_at(document: DocumentNode) -> Names:
    """The names of fields, arguments and their values, by the ids of the nodes.

    A value has the name of the argument or input field that it is given for. Variables, directives and what
    is in them have none.
    """
    names: dict[int, str] = {}
    pending: list[SelectionSetNode] = [
        made.selection_set
        for made in document.definitions
        if isinstance(made, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while pending:
        for node in pending.pop().selections:
            below: SelectionSetNode | None = getattr(node, "selection_set", None)
            if isinstance(node, FieldNode):
                names[id(node)] = node.name.value
                if below is not None:
                    names[id(below)] = node.name.value
                for argument in node.arguments:
                    names[id(argument)] = argument.name.value
                    names.update(_values(argument.value, argument.name.value))
            if below is not None:
                pending.append(below)
    return names


def _values(value: ValueNode, name: str) -> Iterator[tuple[int, str]]:
    pending: list[tuple[Node, str]] = [(value, name)]
    while pending:
        node, name = pending.pop()
        if isinstance(node, VariableNode):
            continue
        yield id(node), name
        if isinstance(node, ListValueNode):
            pending += [(item, name) for item in node.values]
        elif isinstance(node, ObjectValueNode):
            for field in node.fields:
                yield id(field), field.name.value
                pending.append((field.value, field.name.value))


def named_in_error(error: GraphQLError, names: Names) -> set[str]:
    """The names that an error of validation is about."""
    said = {part for text in _QUOTED.findall(error.message) for part in text.split(".")}
    return said | {names[id(node)] for node in error.nodes or () if id(node) in names}


def named_in_verdict(verdict: Entry) -> tuple[set[str], set[str]]:
    """The names that an error of Prisma's is about, and all on the way there; none if it names none."""
    exact: set[str] = set()
    loose: set[str] = set()
    for meta in _leaves(verdict["extensions"].get("meta", {})):
        path = meta.get("argumentPath") or meta.get("selectionPath") or []
        exact.update(path[-1:])
        loose.update(path)
    if not exact and verdict["extensions"]["code"] != TOO_LARGE:
        exact = {text.rpartition(".")[2] for text in _QUOTED.findall(verdict["message"])}
    return exact, loose


def _leaves(meta: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The errors that an error of Prisma's consists of: one for each type that would have done."""
    pending = [meta]
    while pending:
        each = pending.pop()
        if isinstance(inner := each.get("errors"), list):
            pending += [one for one in inner if isinstance(one, dict)]
        else:
            yield each
