"""Every kind of schema change on tables with rows: the tables are what Prisma's engine expects, the rows what
the user does."""

import apsw
import pytest

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine

from .schema_changes import CHANGES, HEAD, Change

FIRST, SECOND = "20260101000000_before", "20260102000000_after"


def connect() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE _lamdb_own (x)")
    return connection


def everything(connection: apsw.Connection) -> dict[str, list]:
    tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    contents: dict[str, list] = {"": tables}
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_prisma*' ORDER BY name"
    ).fetchall():
        contents[name] = sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
    return contents


@pytest.fixture(scope="module", params=CHANGES, ids=lambda change: change.name)
def made(request: pytest.FixtureRequest) -> tuple[Change, list[Migration]]:
    """A change, and the migrations that the engine makes of it, edited as the user does."""
    change: Change = request.param
    before, after = PrismaSchema.parse(HEAD + change.before), PrismaSchema.parse(HEAD + change.after)
    with SchemaEngine() as engine:
        history = [Migration(FIRST, engine.diff(None, before))]
        migrate.apply_migrations(engine.connection, history)
        engine.connection.execute(change.data)
        script = engine.create_migration("after", history, after)
    if script is None:
        return change, history
    assert change.warns in script.partition("*/")[0]
    for old, new in change.edits.items():
        assert old in script
        script = script.replace(old, new)
    return change, [*history, Migration(SECOND, change.script or script)]


def test_a_change_on_data(made: tuple[Change, list[Migration]]) -> None:
    change, migrations = made
    after = PrismaSchema.parse(HEAD + change.after)
    ours = connect()
    migrate.apply_migrations(ours, migrations[:1])
    ours.execute(change.data)
    # As it is deployed: in a transaction, with foreign keys enforced.
    ours.execute("BEGIN IMMEDIATE")
    assert migrate.apply_migrations(ours, migrations) == [each.name for each in migrations[1:]]
    ours.execute("COMMIT")
    for query, rows in change.expected.items():
        assert ours.execute(query).fetchall() == rows, query
    assert ours.execute("PRAGMA foreign_key_check").fetchall() == []
    assert ours.execute("PRAGMA integrity_check").get == "ok"
    assert ours.execute("PRAGMA foreign_keys").get == 1
    with SchemaEngine(ours) as engine:
        assert engine.diagnose(migrations).in_sync
        assert engine.dev_diagnostic(migrations) is None
        loss = engine.evaluate_data_loss(migrations, after)
        assert (loss.steps, loss.warnings, loss.unexecutable) == (0, (), ())

    # Prisma's engine applies the same scripts: the same tables and rows, and a history that is ours, too.
    theirs = connect()
    theirs.execute("PRAGMA foreign_keys = OFF")
    with SchemaEngine(theirs) as engine:
        engine.apply_migrations(migrations[:1])
        theirs.execute(change.data)
        assert engine.apply_migrations(migrations) == [each.name for each in migrations[1:]]
    for connection in (ours, theirs):
        connection.execute(change.level)
    assert everything(theirs) == everything(ours)
    assert migrate.pending(theirs, migrations) == []


def test_there_are_enough_changes_of_each_kind() -> None:
    assert len(CHANGES) >= 40
    assert len({change.name for change in CHANGES}) == len(CHANGES)
    assert sum(bool(change.edits or change.script) for change in CHANGES) >= 5
