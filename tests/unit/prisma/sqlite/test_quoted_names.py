"""Names that are written as texts, which SQLite takes for names where it expects one."""

import pytest

from lamdb.prisma.sqlite.dependants import names_in, trigger_event
from lamdb.prisma.sqlite.script_parts import indexed_table, object_of
from lamdb.prisma.sqlite.sql_text import statements


@pytest.mark.parametrize("quoted", ["'a_insert'", '"a_insert"', "[a_insert]", "`a_insert`", "A_Insert"])
def test_what_a_statement_creates(quoted: str) -> None:
    [trigger] = statements(f"CREATE TRIGGER {quoted} AFTER INSERT ON 'it''s' BEGIN SELECT 1; END")
    assert object_of(trigger) == ("trigger", "a_insert")
    [index] = statements(f"CREATE UNIQUE INDEX IF NOT EXISTS {quoted} ON 'it''s' (a)")
    assert object_of(index) == ("index", "a_insert")
    assert indexed_table(index.tokens) == "it's"


def test_what_a_statement_names() -> None:
    sql = "CREATE TRIGGER 't' BEFORE UPDATE OF 'a', b ON 'gpkg_tiles' BEGIN SELECT RAISE(ABORT, 'no'); END"
    assert {"t", "a", "b", "gpkg_tiles"} <= names_in(sql)
    assert trigger_event(sql) == ("UPDATE", ["a", "b"])
