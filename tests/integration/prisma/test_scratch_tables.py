"""Rebuilding a table beside another one that has the name of the table that replaces it."""

import apsw
import pytest

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.sqlite.scratch_tables import tables_of, with_free_names

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'


def model(table: str, kind: str) -> str:
    name = "M" + table.replace(" ", "").replace("'", "").replace("_", "")
    return f'model {name} {{\n  id Int @id\n  v {kind}\n  @@map("{table}")\n}}\n'


def schema(*tables: tuple[str, str]) -> PrismaSchema:
    return PrismaSchema.parse(HEAD + "".join(model(table, kind) for table, kind in tables))


CASES = {
    # tables before; tables after
    "one": ([("t", "String"), ("new_t", "String?")], [("t", "String?"), ("new_t", "String?")]),
    "both": ([("t", "String"), ("new_t", "String")], [("t", "String?"), ("new_t", "String?")]),
    "three": (
        [("t", "String"), ("new_t", "String"), ("new_new_t", "String")],
        [("t", "String?"), ("new_t", "String?"), ("new_new_t", "String?")],
    ),
    "other case": (
        [("Item", "String"), ("NEW_ITEM", "String?")],
        [("Item", "String?"), ("NEW_ITEM", "String?")],
    ),
    "odd name": (
        [("it's", "String"), ("new_it's", "String?")],
        [("it's", "String?"), ("new_it's", "String?")],
    ),
    "made in the same script": ([("t", "String")], [("t", "String?"), ("new_t", "String?")]),
    "the second name too": (
        [("t", "String"), ("new_t", "String?"), ("lamdb_new_t", "String?")],
        [("t", "String?"), ("new_t", "String?"), ("lamdb_new_t", "String?")],
    ),
}


@pytest.mark.parametrize("way", ["script", "push"])
@pytest.mark.parametrize("case", CASES)
def test_a_table_is_rebuilt_beside_one_of_the_name_of_its_replacement(case: str, way: str) -> None:
    before, after = (schema(*tables) for tables in CASES[case])
    connection = apsw.Connection(":memory:")
    push(connection, before)
    for table, _ in CASES[case][0]:
        connection.execute(f'INSERT INTO "{table}" VALUES(1, ?)', (table,))
    if way == "push":
        push(connection, after)
    else:
        with SchemaEngine(connection) as engine:
            script = engine.diff(before, after)
        connection.execute(script)
    assert push(connection, after).executed_steps == 0
    for table, _ in CASES[case][0]:
        assert connection.execute(f'SELECT * FROM "{table}"').fetchall() == [(1, table)]
    names = tables_of(connection) - {"sqlite_sequence"}
    assert names == {table for table, _ in CASES[case][1]}


def test_names_that_are_free_stay_as_the_engine_chose_them() -> None:
    script = (
        'CREATE TABLE "new_t" (id INTEGER PRIMARY KEY);\n'
        '-- copy\nINSERT INTO "new_t" (id) SELECT id FROM "t";\n'
        'DROP TABLE "t";\nALTER TABLE "new_t" RENAME TO "t";\n'
    )
    assert with_free_names(script, ["t", "newt", "other"]) == script
    renamed = with_free_names(script, ["t", "NEW_T"])
    assert renamed == script.replace('"new_t"', '"lamdb_new_t"')


def test_other_scripts_are_left_alone() -> None:
    # The original is renamed first, so that nothing replaces it for a while.
    script = 'ALTER TABLE "t" RENAME TO "new_t"; CREATE TABLE "t"(a); DROP TABLE "new_t";'
    assert with_free_names(script, ["t", "new_t"]) == script
