"""Random valid documents in standard GraphQL, with all that its language has."""

import random
from dataclasses import dataclass, field

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from lamdb.graphql.schema.lazy import NO_FIELD

SCALARS = {
    "Int": ["0", "-1", "42", "2147483647"],
    "Float": ["1.5", "-2e3", "7"],
    "String": ['""', '"text"', '"\\u00fc \\"quoted\\""', '"""block"""'],
    "Boolean": ["true", "false"],
    "BigInt": ["1", '"9007199254740993"'],
    "Bytes": ['"aGk="'],
    "DateTime": ['"2024-05-17T08:30:00.000Z"'],
    "Decimal": ['"1.5"', "1.5", "2"],
    "Json": ['"{}"', "{ a: [1, null] }", "[true]", "1"],
}

INTROSPECTION = [
    "{ __schema { queryType { name } types { kind name fields { name } } } }",
    '{ __type(name: "Query") { name fields(includeDeprecated: true) { name args { name defaultValue } } } }',
]


@dataclass
class _Operation:
    """The parts of a document that an operation needs beside its selection set: variables, and fragments that
    only it spreads."""

    name: str
    variables: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)


class StandardWriter:
    def __init__(self, schema: GraphQLSchema, seed: int) -> None:
        self._schema = schema
        self._random = random.Random(seed)

    def document(self) -> str:
        count = self._random.choice([1, 1, 1, 2, 3])
        parts = []
        for number in range(count):
            operation = _Operation(f"Op{number}")
            anonymous = count == 1 and self._chance(0.3)
            parts.append(self._operation(operation, anonymous=anonymous))
            parts += operation.fragments
        if count > 1 and self._chance(0.2):
            parts.append("query Schema " + self._random.choice(INTROSPECTION))
        self._random.shuffle(parts)
        return "\n".join(parts)

    def _operation(self, operation: _Operation, *, anonymous: bool) -> str:
        kind = self._random.choice(["query", "query", "mutation"])
        root = self._schema.query_type if kind == "query" else self._schema.mutation_type
        body = self._selection(operation, root, depth=4, names={})
        if anonymous and kind == "query" and not operation.variables:
            return body
        variables = f"({', '.join(operation.variables)})" if operation.variables else ""
        return f"{kind}{'' if anonymous else ' ' + operation.name}{variables} {body}"

    def _selection(
        self, operation: _Operation, parent: GraphQLObjectType, depth: int, names: dict[str, str]
    ) -> str:
        """A selection set; `names` has the response names of the object so far, over all its fragments."""
        chosen = self._some(self._candidates(parent, depth), 1, 3 if depth < 4 else 2)
        parts = [self._field(operation, parent, name, depth, names) for name in chosen]
        if self._chance(0.15):
            parts.append("__typename")
        if self._chance(0.2):
            parts.append(self._fragment(operation, parent, depth, names))
        return "{ " + " ".join(parts) + " }"

    def _candidates(self, parent: GraphQLObjectType, depth: int) -> list[str]:
        leaves = [name for name, made in parent.fields.items() if is_leaf_type(get_named_type(made.type))]
        return list(parent.fields) if depth > 0 or not leaves else leaves

    def _fragment(
        self, operation: _Operation, parent: GraphQLObjectType, depth: int, names: dict[str, str]
    ) -> str:
        body = self._selection(operation, parent, depth - 1, names)
        form = self._random.choice(["inline", "untyped", "named"])
        if form == "inline":
            return f"... on {parent.name}{self._directive(operation)} {body}"
        if form == "untyped":
            return f"...{self._directive(operation) or ' @include(if: true)'} {body}"
        name = f"{operation.name}F{len(operation.fragments)}"
        operation.fragments.append(f"fragment {name} on {parent.name} {body}")
        return f"...{name}{self._directive(operation)}"

    def _field(
        self, operation: _Operation, parent: GraphQLObjectType, name: str, depth: int, names: dict[str, str]
    ) -> str:
        made = parent.fields[name]
        arguments = [
            f"{argument}: {self._value(operation, taken.type, 3)}"
            for argument, taken in made.args.items()
            if is_required_argument(taken) or self._chance(0.25)
        ]
        call = f"{name}({', '.join(arguments)})" if arguments else name
        named = get_named_type(made.type)
        # A leaf may be selected twice under one name; what has a selection gets a name of its own.
        key = name if not arguments and is_leaf_type(named) and self._chance(0.8) else f"x{len(names)}"
        if names.setdefault(key, call) != call:
            key = f"x{len(names)}"
            names[key] = call
        text = (call if key == name else f"{key}: {call}") + self._directive(operation)
        if isinstance(named, GraphQLObjectType):
            text += " " + self._selection(operation, named, depth - 1, {})
        return text

    def _directive(self, operation: _Operation) -> str:
        if not self._chance(0.1):
            return ""
        value = self._value(operation, GraphQLNonNull(self._schema.type_map["Boolean"]), 0)
        return f" @{self._random.choice(['skip', 'include'])}(if: {value})"

    def _value(self, operation: _Operation, wanted: object, depth: int) -> str:
        if self._chance(0.15):
            return self._variable(operation, wanted)
        return self._literal(operation, wanted, depth)

    def _variable(self, operation: _Operation, wanted: object) -> str:
        name = f"${operation.name.lower()}v{len(operation.variables)}"
        operation.variables.append("")  # the name is taken while a default value is written
        required = isinstance(wanted, GraphQLNonNull)
        inner = wanted.of_type if isinstance(wanted, GraphQLNonNull) else wanted
        declared, default = str(inner), ""
        if required and self._chance(0.3):
            default = f" = {self._literal(None, GraphQLNonNull(inner), 1)}"
        elif required or self._chance(0.3):
            declared += "!"
        elif self._chance(0.3):
            default = f" = {self._literal(None, inner, 1)}"
        operation.variables[int(name.rpartition("v")[2])] = f"{name}: {declared}{default}"
        return name

    def _literal(self, operation: _Operation | None, wanted: object, depth: int) -> str:
        """A literal; without an operation it has no variables inside."""
        if not isinstance(wanted, GraphQLNonNull) and self._chance(0.03):
            return "null"
        wanted = wanted.of_type if isinstance(wanted, GraphQLNonNull) else wanted
        if isinstance(wanted, GraphQLList):
            if self._chance(0.3):
                return self._literal(operation, GraphQLNonNull(wanted.of_type), depth)
            items = [
                self._nested(operation, wanted.of_type, depth) for _ in range(self._random.randint(0, 2))
            ]
            return f"[{', '.join(items)}]"
        if isinstance(wanted, GraphQLEnumType):
            return self._random.choice(list(wanted.values))
        if isinstance(wanted, GraphQLInputObjectType):
            fields = [
                f"{name}: {self._nested(operation, made.type, depth - 1)}"
                for name, made in wanted.fields.items()
                if is_required_input_field(made)
                or (depth > 0 and name != NO_FIELD and self._chance(2 / len(wanted.fields)))
            ]
            return "{ " + ", ".join(fields) + " }"
        return self._random.choice(SCALARS[wanted.name])

    def _nested(self, operation: _Operation | None, wanted: object, depth: int) -> str:
        if operation is None:
            return self._literal(None, wanted, depth)
        return self._value(operation, wanted, depth)

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _some(self, names: list[str], least: int, most: int) -> list[str]:
        return self._random.sample(names, min(len(names), self._random.randint(least, most)))
