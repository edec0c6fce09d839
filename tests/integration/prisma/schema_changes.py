# ruff: noqa: E501 - a table
"""Changes of schemas, each with data before it and what must be left behind it."""

from dataclasses import dataclass, field
from typing import Any

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'

type Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Change:
    name: str
    before: str
    after: str
    data: str
    """SQL that fills the tables of `before`."""
    expected: dict[str, Rows]
    """Queries, with their rows behind the change."""
    edits: dict[str, str] = field(default_factory=dict)
    """The parts that a user replaces in the script, as with Prisma: renames, values for existing rows."""
    script: str | None = None
    """The replacement that a user writes."""
    level: str = ""
    """SQL that makes the same of what depends on when the change was made."""
    warns: str = ""
    """Part of the warning that the script must begin with."""


def model(name: str, *lines: str) -> str:
    return f"model {name} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n\n"


ID = "id Int @id @default(autoincrement())"
A = model("A", ID, "name String")
ROWS = "INSERT INTO A (id, name) VALUES (1, 'x'), (2, 'y');"
KEPT: dict[str, Rows] = {"SELECT id, name FROM A ORDER BY id": [(1, "x"), (2, "y")]}
PARENT = model("P", ID, "name String", "children C[]")
CHILD = model("C", ID, "pId Int", "p P @relation(fields: [pId], references: [id], onDelete: Cascade)")
FAMILY = "INSERT INTO P (id, name) VALUES (1, 'p'), (2, 'q'); INSERT INTO C (id, pId) VALUES (1, 1), (2, 1), (3, 2);"
CHILDREN: dict[str, Rows] = {"SELECT id, pId FROM C ORDER BY id": [(1, 1), (2, 1), (3, 2)]}
COLOUR = "enum Colour {\n  RED\n  BLUE\n}\n\n"


def with_a(*lines: str) -> str:
    return model("A", ID, "name String", *lines)


def adding(name: str, line: str, column: str, value: Any, extra: str = "", more: str = "") -> Change:
    """A new column: every row has `value` in it."""
    expected: dict[str, Rows] = {**KEPT, f"SELECT DISTINCT {column} FROM A": [(value,)]}
    return Change(name, A + more, with_a(line) + more, ROWS, expected)


CHANGES = [
    # Columns added.
    adding("optional column", "note String?", "note", None),
    adding("column with text default", 'note String @default("it\'s")', "note", "it's"),
    adding("column with number default", "n Int @default(-5)", "n", -5),
    adding("column with real default", "n Float @default(1.5)", "n", 1.5),
    adding("column with boolean default", "on Boolean @default(true)", '"on"', 1),
    adding("column with big default", "n BigInt @default(9007199254740993)", "n", 9007199254740993),
    adding("column with decimal default", "n Decimal @default(2.5)", "n", 2.5),
    adding("column with fixed time", 'at DateTime @default("2020-01-01T00:00:00Z")', "at", "2020-01-01T00:00:00.000+00:00"),
    Change(
        "column with json default", A, with_a('j Json @default("{\\"a\\":1}")'), ROWS,
        {**KEPT, "SELECT DISTINCT j FROM A": [('{"a":1}',)]},
    ),
    adding("optional bytes", "b Bytes?", "b", None),
    adding("enum column", "colour Colour @default(BLUE)", "colour", "BLUE", more=COLOUR),
    adding("mapped column", 'note String @default("m") @map("remark")', "remark", "m"),
    adding("column with a keyword's name", "order Int @default(1)", '"order"', 1),
    Change(
        "column with the present time", A, with_a("at DateTime @default(now())"), ROWS,
        {**KEPT, "SELECT count(*) FROM A WHERE at GLOB '????-??-??T??:??:??.???+00:00'": [(2,)]},
        level="UPDATE A SET at = 'a time'",
    ),
    Change(
        "required column, filled by hand", A, with_a("n Int"), ROWS,
        {**KEPT, "SELECT n FROM A ORDER BY id": [(10,), (20,)]},
        edits={'("id", "name") SELECT "id", "name"': '("id", "name", "n") SELECT "id", "name", "id" * 10'},
        warns="Added the required column `n`",
    ),
    Change(
        "several columns at once", A, with_a("x Int?", "y Int @default(2)", 'z String @default("z")'), ROWS,
        {**KEPT, "SELECT DISTINCT x, y, z FROM A": [(None, 2, "z")]},
    ),
    # Columns dropped, renamed, changed.
    Change(
        "column dropped", with_a("note String?"), A, ROWS + "UPDATE A SET note = 'n' WHERE id = 1;", KEPT,
        warns="You are about to drop the column `note`",
    ),
    Change(
        "column renamed by hand", A, model("A", ID, "title String"), ROWS,
        {"SELECT id, title FROM A ORDER BY id": [(1, "x"), (2, "y")]},
        edits={'("id") SELECT "id"': '("id", "title") SELECT "id", "name"'},
        warns="You are about to drop the column `name`",
    ),
    Change("field renamed, column kept", A, model("A", ID, 'title String @map("name")'), ROWS, KEPT),
    Change("column made optional", A, model("A", ID, "name String?"), ROWS, KEPT),
    Change(
        "column made required", model("A", ID, "name String?"), A, ROWS, KEPT,
        warns="Made the column `name` on table `A` required",
    ),
    Change(
        "column made required, gaps filled by hand", model("A", ID, "name String?"), A,
        ROWS + "INSERT INTO A (id) VALUES (3);",
        {"SELECT id, name FROM A ORDER BY id": [(1, "x"), (2, "y"), (3, "?")]},
        edits={'SELECT "id", "name"': 'SELECT "id", coalesce("name", \'?\')'},
        warns="Made the column `name` on table `A` required",
    ),
    Change("default added", A, model("A", ID, 'name String @default("d")'), ROWS, KEPT),
    Change("default changed", model("A", ID, 'name String @default("d")'), model("A", ID, 'name String @default("e")'), ROWS, KEPT),
    Change("default dropped", model("A", ID, 'name String @default("d")'), A, ROWS, KEPT),
    Change(
        "whole number to real", with_a("n Int @default(7)"), with_a("n Float @default(7)"), ROWS,
        {**KEPT, "SELECT DISTINCT n, typeof(n) FROM A": [(7.0, "real")]},
    ),
    Change(
        "number to text", with_a("n Int @default(7)"), with_a('n String @default("7")'), ROWS,
        {**KEPT, "SELECT DISTINCT n, typeof(n) FROM A": [("7", "text")]},
    ),
    Change(
        "int to big int", with_a("n Int @default(7)"), with_a("n BigInt @default(7)"), ROWS,
        {**KEPT, "SELECT DISTINCT n FROM A": [(7,)]},
    ),
    Change(
        "text to enum", COLOUR + with_a('c String @default("RED")'), COLOUR + with_a("c Colour @default(RED)"),
        ROWS, {**KEPT, "SELECT DISTINCT c FROM A": [("RED",)]},
    ),
    Change(
        "enum value added", COLOUR + with_a("c Colour @default(RED)"),
        COLOUR.replace("BLUE", "BLUE\n  GREEN") + with_a("c Colour @default(RED)"), ROWS,
        {**KEPT, "SELECT DISTINCT c FROM A": [("RED",)]},
    ),
    Change(
        "enum default changed", COLOUR + with_a("c Colour @default(RED)"), COLOUR + with_a("c Colour @default(BLUE)"),
        ROWS, {**KEPT, "SELECT DISTINCT c FROM A": [("RED",)]},
    ),
    # Tables.
    Change("table added", A, A + model("B", ID, "n Int"), ROWS, {**KEPT, "SELECT count(*) FROM B": [(0,)]}),
    Change(
        "table dropped", A + model("B", ID), A, ROWS + "INSERT INTO B (id) VALUES (1);",
        {**KEPT, "SELECT count(*) FROM sqlite_master WHERE name = 'B'": [(0,)]},
        warns="You are about to drop the `B` table",
    ),
    Change("model renamed, table kept", A, model("Z", ID, "name String", '@@map("A")'), ROWS, KEPT),
    Change(
        "table renamed by hand", A, model("Z", ID, "name String"), ROWS,
        {"SELECT id, name FROM Z ORDER BY id": [(1, "x"), (2, "y")]},
        script='ALTER TABLE "A" RENAME TO "Z";\n', warns="You are about to drop the `A` table",
    ),
    # Indexes.
    Change("index added", A, with_a("@@index([name])"), ROWS, KEPT),
    Change("unique added", A, model("A", ID, "name String @unique"), ROWS, KEPT, warns="A unique constraint covering"),
    Change("unique dropped", model("A", ID, "name String @unique"), A, ROWS, KEPT),
    Change("index renamed", with_a('@@index([name], map: "one")'), with_a('@@index([name], map: "two")'), ROWS, KEPT),
    Change(
        "composite unique", with_a("n Int @default(1)"), with_a("n Int @default(1)", "@@unique([name, n])"), ROWS, KEPT,
        warns="A unique constraint covering",
    ),
    Change(
        "index that outlives a rebuild", with_a("@@index([name(sort: Desc)])"),
        model("A", ID, "name String?", "@@index([name(sort: Desc)])"), ROWS, KEPT,
    ),
    # Identities.
    Change(
        "identity becomes text", A, model("A", "id String @id", "name String"), ROWS,
        {"SELECT id, name, typeof(id) FROM A ORDER BY id": [("1", "x", "text"), ("2", "y", "text")]},
        warns="The primary key for the `A` table will be changed",
    ),
    Change(
        "composite identity", with_a("n Int @default(1)"),
        model("A", "id Int", "name String", "n Int @default(1)", "@@id([id, n])"), ROWS, KEPT,
        warns="The primary key for the `A` table will be changed",
    ),
    Change(
        "composite identity dissolved", model("A", "id Int", "name String", "@@id([id, name])"), A, ROWS, KEPT,
        warns="The primary key for the `A` table will be changed",
    ),
    Change("autoincrement dropped", A, model("A", "id Int @id", "name String"), ROWS, KEPT),
    # Relations.
    Change(
        "relation added, optional", A + model("B", ID),
        model("A", ID, "name String", "bId Int?", "b B? @relation(fields: [bId], references: [id])") + model("B", ID, "as A[]"),
        ROWS + "INSERT INTO B (id) VALUES (1);", {**KEPT, "SELECT DISTINCT bId FROM A": [(None,)]},
    ),
    Change(
        "relation added, required, by default", A + model("B", ID),
        model("A", ID, "name String", "bId Int @default(1)", "b B @relation(fields: [bId], references: [id])") + model("B", ID, "as A[]"),
        ROWS + "INSERT INTO B (id) VALUES (1);", {**KEPT, "SELECT DISTINCT bId FROM A": [(1,)]},
    ),
    Change(
        "relation dropped", PARENT + CHILD, model("P", ID, "name String") + model("C", ID, "pId Int"), FAMILY, CHILDREN,
    ),
    Change(
        "relation of a column that is there", model("P", ID, "name String") + model("C", ID, "pId Int"), PARENT + CHILD,
        FAMILY, CHILDREN,
    ),
    Change("what deletion does changed", PARENT + CHILD, PARENT + CHILD.replace("Cascade", "Restrict"), FAMILY, CHILDREN),
    Change(
        "parent rebuilt under its children", PARENT + CHILD,
        PARENT.replace("name String", 'name String? @default("d")') + CHILD, FAMILY,
        {**CHILDREN, "SELECT name FROM P ORDER BY id": [("p",), ("q",)]},
    ),
    Change(
        "both ends rebuilt", PARENT + CHILD,
        PARENT.replace("name String", "name String?") + CHILD.replace("pId Int", "pId Int @default(1)"), FAMILY, CHILDREN,
    ),
    Change(
        "one to one", PARENT + CHILD, PARENT.replace("C[]", "C?") + CHILD.replace("pId Int", "pId Int @unique"),
        "INSERT INTO P (id, name) VALUES (1, 'p'), (2, 'q'); INSERT INTO C (id, pId) VALUES (1, 1), (2, 2);",
        {"SELECT id, pId FROM C ORDER BY id": [(1, 1), (2, 2)]}, warns="A unique constraint covering",
    ),
    Change(
        "relation to itself", A,
        with_a("upId Int?", 'up A? @relation("Up", fields: [upId], references: [id])', 'down A[] @relation("Up")'),
        ROWS, {**KEPT, "SELECT DISTINCT upId FROM A": [(None,)]},
    ),
    Change(
        "many to many", A + model("B", ID), with_a("bs B[]") + model("B", ID, "as A[]"),
        ROWS + "INSERT INTO B (id) VALUES (1);", {**KEPT, 'SELECT count(*) FROM "_AToB"': [(0,)]},
    ),
    Change(
        "table rebuilt at the end of a many to many", with_a("bs B[]") + model("B", ID, "as A[]"),
        model("A", ID, "name String?", "bs B[]") + model("B", ID, "as A[]"),
        ROWS + "INSERT INTO B (id) VALUES (1); INSERT INTO _AToB VALUES (1, 1), (2, 1);",
        {**KEPT, 'SELECT A, B FROM "_AToB" ORDER BY A': [(1, 1), (2, 1)]},
    ),
    Change(
        "many to many dropped", with_a("bs B[]") + model("B", ID, "as A[]"), A + model("B", ID),
        ROWS + "INSERT INTO B (id) VALUES (1); INSERT INTO _AToB VALUES (1, 1);",
        {**KEPT, "SELECT count(*) FROM B": [(1,)]}, warns="You are about to drop the `_AToB` table",
    ),
    Change(
        "many to many made explicit by hand", with_a("bs B[]") + model("B", ID, "as A[]"),
        with_a("links L[]") + model("B", ID, "links L[]") + model(
            "L", "aId Int", "bId Int", "a A @relation(fields: [aId], references: [id])",
            "b B @relation(fields: [bId], references: [id])", "@@id([aId, bId])",
        ),
        ROWS + "INSERT INTO B (id) VALUES (1); INSERT INTO _AToB VALUES (1, 1), (2, 1);",
        {**KEPT, "SELECT aId, bId FROM L ORDER BY aId": [(1, 1), (2, 1)]},
        script='''CREATE TABLE "L" (
    "aId" INTEGER NOT NULL,
    "bId" INTEGER NOT NULL,
    PRIMARY KEY ("aId", "bId"),
    CONSTRAINT "L_aId_fkey" FOREIGN KEY ("aId") REFERENCES "A" ("id") ON DELETE RESTRICT ON UPDATE CASCADE,
    CONSTRAINT "L_bId_fkey" FOREIGN KEY ("bId") REFERENCES "B" ("id") ON DELETE RESTRICT ON UPDATE CASCADE
);
INSERT INTO "L" SELECT "A", "B" FROM "_AToB";
DROP TABLE "_AToB";
''', warns="You are about to drop the `_AToB` table",
    ),
]  # fmt: skip
