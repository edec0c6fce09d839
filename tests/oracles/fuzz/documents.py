"""Operations as GraphQL documents and as requests in Prisma's JSON protocol."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.oracles.fuzz.operations import FieldRef, Name, Operation, Tree
from tests.oracles.fuzz.values import Leaf

LITERALS, LEAVES, ARGUMENTS = "literals", "leaves", "arguments"
STYLES = (LITERALS, LEAVES, ARGUMENTS)
"""How values are given: in the text, each as a variable, or whole arguments as variables."""


@dataclass(frozen=True, slots=True)
class Document:
    """One GraphQL request."""

    query: str
    variables: dict[str, Any]


# --- JSON protocol --------------------------------------------------------------------------------


def request(operation: Operation) -> dict[str, Any]:
    """The request that Prisma's engine takes."""
    return {
        "modelName": operation.model,
        "action": operation.action,
        "query": {
            "arguments": _protocol(operation.arguments),
            "selection": _protocol_selection(operation.selection),
        },
    }


def _protocol(tree: Tree) -> Any:
    match tree:
        case Leaf():
            return tree.protocol()
        case Name(text, True):
            return {"$type": "Enum", "value": text}
        case Name(text):
            return text
        case FieldRef(model, field):
            return {"$type": "FieldRef", "value": {"_ref": field, "_container": model}}
        case dict():
            return {name: _protocol(each) for name, each in tree.items()}
        case list():
            return [_protocol(each) for each in tree]
        case _:
            return tree


def _protocol_selection(selection: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: True
        if below is True
        else {"arguments": _protocol(below[0]), "selection": _protocol_selection(below[1])}
        for name, below in selection.items()
    }


# --- GraphQL --------------------------------------------------------------------------------------


class _Writer:
    def __init__(self, style: str, types: Mapping[str, str]) -> None:
        self._style = style
        self._types = types
        self.declared: list[str] = []
        self.values: dict[str, Any] = {}

    def _declare(self, kind: str, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        self.declared.append(f"${name}: {kind}")
        return f"${name}"

    def root(self, arguments: Mapping[str, Tree]) -> str:
        written = []
        for name, tree in arguments.items():
            if self._style == ARGUMENTS and name in self._types:
                written.append(f"{name}: {self._declare(self._types[name], _plain(tree))}")
            else:
                written.append(f"{name}: {self.value(tree)}")
        return _parenthesised(written)

    def value(self, tree: Tree) -> str:
        match tree:
            case Leaf() if self._style == LEAVES:
                return self._declare(f"{tree.kind}!", tree.variable())
            case Leaf():
                return tree.literal()
            case Name(text):
                return text
            case FieldRef(model, field):
                return f"{{_ref: {json.dumps(field)}, _container: {json.dumps(model)}}}"
            case dict():
                return "{" + ", ".join(f"{name}: {self.value(each)}" for name, each in tree.items()) + "}"
            case list():
                return "[" + ", ".join(map(self.value, tree)) + "]"
            case _:
                return json.dumps(tree)

    def selection(self, selection: Mapping[str, Any]) -> str:
        written = []
        for name, below in selection.items():
            if below is True:
                written.append(name)
            else:
                arguments = _parenthesised([f"{each}: {self.value(tree)}" for each, tree in below[0].items()])
                written.append(f"{name}{arguments}" + (f" {self.selection(below[1])}" if below[1] else ""))
        return "{" + " ".join(written) + "}"


def _parenthesised(arguments: list[str]) -> str:
    return f"({', '.join(arguments)})" if arguments else ""


def _plain(tree: Tree) -> Any:
    match tree:
        case Leaf():
            return tree.variable()
        case Name(text):
            return text
        case FieldRef(model, field):
            return {"_ref": field, "_container": model}
        case dict():
            return {name: _plain(each) for name, each in tree.items()}
        case list():
            return [_plain(each) for each in tree]
        case _:
            return tree


def document(operation: Operation, style: str) -> Document:
    """The GraphQL request that says the same as `request`."""
    writer = _Writer(style, operation.types)
    arguments = writer.root(operation.arguments)
    selection = writer.selection(operation.selection)
    declared = f" f({', '.join(writer.declared)})" if writer.declared else ""
    return Document(
        f"{operation.kind.lower()}{declared} {{ {operation.field}{arguments} {selection} }}", writer.values
    )
