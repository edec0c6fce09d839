"""Operations in Prisma's dialect: at every input position a random one of the types that fit.

They keep to what Prisma demands beyond types (how many fields an input has, which unique fields identify a
record), so that Prisma's compiler takes them; `spoil` puts something into one that no type takes.
"""

import random
import re

from lamdb.graphql.schema.types import ApiTypes, InputInfo, InputType, Member, OutputType, RootField

SCALARS = {
    "Int": ["0", "1", "42"],
    "Float": ["1.5", "7"],
    "String": ['"text"', '""'],
    "Boolean": ["true", "false"],
    "BigInt": ["1", '"9007199254740993"'],
    "Bytes": ['"aGk="'],
    "DateTime": ['"2024-05-17T08:30:00.000Z"'],
    "Decimal": ['"1.5"', "1.5", "2"],
    "Json": ['"{}"', "{ a: [1, null] }", '"[1]"'],
}


class DialectWriter:
    def __init__(self, types: ApiTypes, seed: int) -> None:
        self._types = types
        self._random = random.Random(seed)

    def operation(self) -> str:
        kind = self._random.choice(["query", "mutation"])
        root = self._random.choice(list(self._types.roots(kind).values()))
        return f"{kind} {{ {self._root(root)} }}"

    def _root(self, root: RootField) -> str:
        arguments = [
            f"{name}: {self._value(info, 3)}"
            for name, info in root.field.args.items()
            if info.required or self._random.random() < 0.4
        ]
        # An empty `having` is beyond Prisma's compiler: it panics.
        arguments = [argument for argument in arguments if argument != "having: {  }"]
        call = f"({', '.join(arguments)})" if arguments else ""
        return f"{root.field.name}{call} {self._selection(self._types.output(root.field.type_name))}"

    def _selection(self, output: OutputType) -> str:
        leaf = next((field for field in output.fields.values() if field.kind != "object"), None)
        if leaf is not None:
            return f"{{ {leaf.name} }}"
        below = next(iter(output.fields.values()))
        return f"{{ {below.name} {self._selection(self._types.output(below.type_name))} }}"

    def _value(self, info: InputInfo, depth: int) -> str:
        # References must name a field of the right type: too much to get right by chance.
        members = [member for member in info.members if member.kind != "reference"]
        if depth <= 0:
            members = [member for member in members if member.kind not in ("input",)] or members
        return self._member(self._random.choice(members), depth)

    def _member(self, member: Member, depth: int) -> str:
        if member.is_list:
            count = self._random.randint(1, 2)
            items = [self._member(member._replace(is_list=False), depth) for _ in range(count)]
            return items[0] if count == 1 and self._random.random() < 0.5 else f"[{', '.join(items)}]"
        match member.kind:
            case "null":
                return "null"
            case "enum":
                value = self._random.choice(list(self._types.enum(member.name).values))
                return f'"{value}"' if self._random.random() < 0.2 else value
            case "scalar":
                return self._random.choice(SCALARS[member.name])
        return self._object(self._types.input(member.name), depth - 1)

    def _object(self, wanted: InputType, depth: int) -> str:
        names = [name for name, info in wanted.fields.items() if info.required]
        optional = [name for name in wanted.fields if name not in names]
        if wanted.max_fields == 1:
            names = [self._random.choice(optional)]
        elif wanted.any_of:
            names.append(self._random.choice(wanted.any_of))
        elif depth > 0 and optional:
            names += self._random.sample(optional, min(len(optional), self._random.randint(0, 2)))
        fields = [f"{name}: {self._value(wanted.fields[name], depth)}" for name in dict.fromkeys(names)]
        return "{ " + ", ".join(fields) + " }"

    def spoil(self, operation: str) -> str | None:
        """The operation with one thing in it that no type takes; `None` if it has no place for it."""
        ways = [
            (r"\{ (?=\w+: )", "{ zork: 1, "),
            (r"(?<=: )\d+(?=[ ,)])", "ZORK"),
            (r'(?<=: )"text"', "{ zork: 1 }"),
            (r"(?<=: )(true|false)", '"yes"'),
        ]
        pattern, replacement = self._random.choice(ways)
        places = list(re.finditer(pattern, operation))
        if not places:
            return None
        place = self._random.choice(places)
        return operation[: place.start()] + replacement + operation[place.end() :]
