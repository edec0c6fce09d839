"""Migrations without a record, and the tables that prove them."""

import apsw
import pytest

from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.unrecorded import made_by

TABLE = 'CREATE TABLE "T" (\n    "id" INTEGER NOT NULL PRIMARY KEY,\n    "a" TEXT\n);\n'
WIDER = '"id" INTEGER NOT NULL PRIMARY KEY, "a" TEXT NOT NULL'
TRIGGER = "CREATE TRIGGER x AFTER INSERT ON T BEGIN DELETE FROM T; END;"
REDEFINED = (
    "PRAGMA defer_foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\n"
    f'CREATE TABLE "new_T" ({WIDER});\n'
    'INSERT INTO "new_T" ("id", "a") SELECT {} FROM "T";\n'
    'DROP TABLE "T";\nALTER TABLE "new_T" RENAME TO "T";\nPRAGMA foreign_keys=ON;\n'
)


def proved(database: str, *scripts: str) -> bool:
    connection = apsw.Connection(":memory:")
    connection.execute(database)
    return made_by(connection, [Migration(f"{number}_m", script) for number, script in enumerate(scripts)])


@pytest.mark.parametrize(
    ("database", "scripts"),
    [
        (TABLE, [TABLE]),
        (f"{TABLE} INSERT INTO T VALUES (1, 'x')", [TABLE]),
        ("create table T(id integer not null primary key, a text) -- x\n", [f"-- CreateTable\n{TABLE}"]),
        (f"{TABLE} CREATE INDEX i ON T (a)", [TABLE, 'CREATE INDEX "i" ON "T"("a");']),
        (f"{TABLE} ALTER TABLE T ADD COLUMN b", [TABLE, "ALTER TABLE T ADD COLUMN b"]),
        (f'CREATE TABLE "T" ({WIDER})', [TABLE, REDEFINED.format('"id", "a"')]),
        (f"{TABLE} {TRIGGER} CREATE VIEW v AS SELECT 1", [f"CREATE VIEW v AS SELECT 1; {TABLE} {TRIGGER}"]),
        (f"{TABLE} CREATE TABLE _prisma_migrations (id TEXT)", [TABLE]),
    ],
)
def test_definitions_alone_are_proved_by_equal_tables(database: str, scripts: list[str]) -> None:
    assert proved(database, *scripts)


@pytest.mark.parametrize(
    ("database", "scripts"),
    [
        (TABLE, []),
        (TABLE, [""]),
        (TABLE, [TABLE, "UPDATE T SET a = 'x'"]),
        (TABLE, [TABLE, "INSERT INTO T VALUES (1, 'x')"]),
        (TABLE, [TABLE, "DELETE FROM T"]),
        (TABLE, [TABLE, "WITH x AS (SELECT 1) DELETE FROM T"]),
        (f'CREATE TABLE "T" ({WIDER})', [TABLE, REDEFINED.format('"id", coalesce("a", \'x\')')]),
        (f'CREATE TABLE "T" ({WIDER})', [TABLE, REDEFINED.format('"id", "id"')]),
        (f"{TABLE} CREATE TABLE U(x INT)", [TABLE, "CREATE TABLE U AS SELECT 1 AS x"]),
        (TABLE, [TABLE, "CREATE INDEX i ON T (a)"]),
        (f"{TABLE} CREATE INDEX i ON T (a)", [TABLE]),
        (f"{TABLE} {TRIGGER}", [TABLE]),
        (f"{TABLE} CREATE VIEW v AS SELECT 1", [f"{TABLE} CREATE VIEW v AS SELECT 2"]),
        ("CREATE TABLE T (id INTEGER NOT NULL PRIMARY KEY, a TEXT CHECK (a > ''))", [TABLE]),
        (TABLE, [TABLE, "ALTER TABLE Missing ADD COLUMN a"]),
    ],
)
def test_nothing_else_is_proved(database: str, scripts: list[str]) -> None:
    assert not proved(database, *scripts)
