"""Random Prisma schemas: every scalar type, every kind of relation, identity and default, and odd names."""

from dataclasses import dataclass, field
from random import Random

HEADER = """generator client {{
  provider = "prisma-client"
}}

datasource db {{
  provider     = "sqlite"
  relationMode = "{mode}"
}}
"""
MODEL_NAMES = (
    "User", "Post", "Group_", "Order", "aa", "Select", "Table1", "Values", "X_y", "Input", "Zebra", "Event",
)  # fmt: skip
FIELD_NAMES = (
    "equals", "in", "notIn", "is", "isNot", "some", "every", "none", "increment", "create", "connect",
    "update",
    "delete", "upsert", "type", "key", "path", "name", "mode", "count", "avg", "sum", "min", "max",
    "take", "skip",
    "cursor", "distinct", "on", "query", "mutation", "input", "value", "where", "data", "select", "set",
    "from",
    "order", "by", "having", "limit", "index", "rowid", "a_b", "x1", "sort", "nulls", "lt", "contains",
    "B", "b_",
)  # fmt: skip
COLUMN_NAMES = (
    "select", "my column", "Ünï", "a-b", "1st", "it's", "x.y", "ORDER BY", "日本", "a,b", "$v", "per%cent",
    "semi;colon",
    "(paren)", "tab le", "rowid2", "UPPER", "x:y", "?", "@at",
)  # fmt: skip
SCALARS = ("Int", "BigInt", "Float", "Decimal", "String", "Boolean", "DateTime", "Json", "Bytes")
DEFAULTS = {
    "Int": ("0", "-7", "2147483647"),
    "BigInt": ("0", "9007199254740993"),
    "Float": ("0.5", "10000000000.25", "-2.25"),
    "Decimal": ("0.5", "12"),
    "String": ('""', '"it\'s"', '"a b"', '"50%_"'),
    "Boolean": ("true", "false"),
}
UNIQUE_SCALARS = ("Int", "BigInt", "String", "Float", "DateTime", "Boolean", "Decimal", "Bytes")


@dataclass
class Model:
    """A model on its way to text."""

    name: str
    lines: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    key: list[tuple[str, str]] = field(default_factory=list)
    """The fields of the id, with their types."""

    def text(self) -> str:
        return "\n".join(
            [f"model {self.name} {{", *(f"  {line}" for line in (*self.lines, *self.blocks)), "}\n"]
        )


class SchemaMaker:
    """Makes one schema from a source of randomness."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._enums: list[str] = []
        self._models: list[Model] = []
        self._relations = 0
        self._emulated = random.random() < 0.15
        """Whether Prisma keeps relations right in place of SQLite."""

    def text(self) -> str:
        random = self._random
        if random.random() < 0.7:
            self._enums.append('enum Color {\n  RED\n  GREEN @map("grün\'s")\n  blue\n}\n')
        for name in random.sample(MODEL_NAMES, random.choice((1, 2, 2, 3, 3, 4))):
            self._models.append(self._model(name))
        for _ in range(random.randint(len(self._models) - 1, len(self._models) + 2)):
            self._relation(random.choice(self._models), random.choice(self._models))
        mode = "prisma" if self._emulated else "foreignKeys"
        return "\n".join([HEADER.format(mode=mode), *self._enums, *(model.text() for model in self._models)])

    def _name(self, model: Model, wish: str | None = None) -> str:
        """A name that is free in `model`, odd if none is wished for."""
        name = wish or self._random.choice(FIELD_NAMES)
        while name in model.names:
            name = f"{name}{self._random.randint(1, 9)}"
        model.names.add(name)
        return name

    def _map(self, model: Model) -> str:
        """A `@map` to an odd column, now and then."""
        column = self._random.choice(COLUMN_NAMES)
        if self._random.random() > 0.15 or column in model.columns:
            return ""
        model.columns.add(column)
        return f' @map("{column}")'

    def _scalar(self, model: Model, name: str, kind: str, attributes: str = "") -> None:
        model.lines.append(f"{name} {kind}{attributes}{self._map(model)}")

    def _model(self, name: str) -> Model:
        random = self._random
        model = Model(name)
        kind = random.choice(("auto", "auto", "Int", "String", "BigInt", "pair", "pair", "DateTime"))
        if kind == "pair":
            fields = [
                (self._name(model, wish), random.choice(("Int", "String", "BigInt"))) for wish in ("p", "q")
            ]
            for each, scalar in fields:
                self._scalar(model, each, scalar)
            model.key = fields
            named = random.choice(("", ', name: "pq"'))
            model.blocks.append(f"@@id([p, q]{named})")
        else:
            key = self._name(model, random.choice(("id", "id", "key")))
            scalar = "Int" if kind == "auto" else kind
            self._scalar(
                model, key, scalar, " @id" + (" @default(autoincrement())" if kind == "auto" else "")
            )
            model.key = [(key, scalar)]
        for scalar in random.sample(SCALARS, random.randint(2, len(SCALARS))):
            self._plain(model, scalar)
        if self._enums and random.random() < 0.6:
            optional = random.choice(("", "?"))
            self._scalar(
                model, self._name(model), f"Color{optional}", random.choice(("", " @default(GREEN)"))
            )
        if random.random() < 0.4:
            self._compound(model)
        if random.random() < 0.4:
            model.blocks.append('@@map("' + random.choice(COLUMN_NAMES) + f' {name}")')
        return model

    def _plain(self, model: Model, scalar: str) -> None:
        random = self._random
        optional = "?" if random.random() < 0.5 else ""
        attributes = ""
        if scalar in UNIQUE_SCALARS and random.random() < (0.3 if scalar in UNIQUE_SCALARS[:3] else 0.1):
            attributes += " @unique"
        elif scalar in DEFAULTS and random.random() < 0.3:
            attributes += f" @default({random.choice(DEFAULTS[scalar])})"
        elif scalar != "Json" and random.random() < 0.1:
            name = self._name(model)
            self._scalar(model, name, scalar + optional)
            model.blocks.append(f"@@index([{name}])")
            return
        self._scalar(model, self._name(model), scalar + optional, attributes)

    def _compound(self, model: Model) -> None:
        """A unique of two new fields."""
        random = self._random
        names = [self._name(model), self._name(model)]
        for name in names:
            self._scalar(model, name, random.choice(("Int", "String")) + random.choice(("", "", "?")))
        named = random.choice(("", ', name: "both"'))
        model.blocks.append(f"@@unique([{', '.join(names)}]{named})")

    def _relation(self, one: Model, other: Model) -> None:
        self._relations += 1
        number = self._relations
        relation = f'"r{number}"'
        kind = self._random.choice(("many", "many", "many", "one", "both"))
        if kind == "both" and len(one.key) == len(other.key) == 1:
            mine, theirs = self._name(one, f"m{number}"), self._name(other, f"n{number}")
            one.lines.append(f"{mine} {other.name}[] @relation({relation})")
            other.lines.append(f"{theirs} {one.name}[] @relation({relation})")
        else:
            self._with_key(one, other, number, single=kind == "one")

    def _with_key(self, child: Model, parent: Model, number: int, *, single: bool) -> None:
        random = self._random
        required = child is not parent and random.random() < 0.35
        mark = "" if required else "?"
        columns = []
        for key, scalar in parent.key:
            name = self._name(child, f"f{number}_{key}")
            self._scalar(child, name, scalar + mark, " @unique" if single and len(parent.key) == 1 else "")
            columns.append(name)
        if single and len(columns) > 1:
            child.blocks.append(f"@@unique([{', '.join(columns)}])")
        nothing = "Restrict" if self._emulated else "NoAction"
        actions = ["Cascade", "Restrict", nothing] + ([] if required else ["SetNull", "SetNull"])
        rules = ""
        if random.random() < 0.6:
            rules += f", onDelete: {random.choice(actions)}"
        if random.random() < 0.4:
            rules += f", onUpdate: {random.choice(actions)}"
        if child is parent:
            # A cycle of actions is refused where the relation's mode is `prisma`.
            rules = f", onDelete: {nothing}, onUpdate: {nothing}"
        back = self._name(parent, f"b{number}")
        here = self._name(child, f"t{number}")
        references = ", ".join(key for key, _ in parent.key)
        child.lines.append(
            f'{here} {parent.name}{mark} @relation("r{number}", fields: [{", ".join(columns)}], '
            f"references: [{references}]{rules})"
        )
        parent.lines.append(f'{back} {child.name}{"?" if single else "[]"} @relation("r{number}")')


def random_schema(random: Random) -> str:
    """The text of a schema; it need not be valid (a cycle of referential actions is refused)."""
    return SchemaMaker(random).text()
