"""A push of a schema that was pushed before: returns at once, unless anything was changed since."""

from collections.abc import Iterator

import pytest

from lamdb.deployment import apply
from lamdb.errors import MigrationError
from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration
from lamdb.storage import Database

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
TAG = "model Tag {\n  id Int @id\n  name String @unique\n}\n"
SCHEMA = PrismaSchema.parse(HEAD + TAG)
FURTHER = PrismaSchema.parse(HEAD + TAG + "model Post {\n  id Int @id\n}\n")


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:") as opened:
        apply.push(opened, SCHEMA)
        yield opened


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of a push that were taken."""
    steps: list[str] = []

    def noted(module: object, name: str) -> None:
        original = getattr(module, name)

        def call(*arguments: object, **options: object) -> object:
            steps.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, call)

    noted(stored_schema, "compute")
    noted(migrate, "push")
    return steps


def test_the_same_schema_takes_no_step(database: Database, computed: list[str]) -> None:
    before = database.txid
    pushed, values = apply.push(database, SCHEMA)
    assert (pushed.executed_steps, values, computed) == (0, (), [])
    assert database.txid == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO Tag VALUES (1, 'a')",
        "CREATE TABLE _lamdb_idempotency (key BLOB)",
        "INSERT INTO Tag VALUES (1, 'a'); ANALYZE",
    ],
)
def test_data_and_tables_of_lamdb_change_nothing(
    database: Database, computed: list[str], statement: str
) -> None:
    with database.writer() as connection:
        connection.execute(statement)
    apply.push(database, SCHEMA)
    assert computed == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE Tag ADD COLUMN more TEXT",
        "ALTER TABLE Tag RENAME COLUMN name TO title",
        "DROP INDEX Tag_name_key",
        "DROP TABLE Tag",
        "CREATE TABLE Other (id INTEGER PRIMARY KEY)",
        "CREATE INDEX further ON Tag (name, id)",
        "CREATE VIEW Names AS SELECT name FROM Tag",
        "CREATE TRIGGER noted AFTER INSERT ON Tag BEGIN SELECT 1; END",
        "UPDATE _lamdb_api SET producer = 'lamDB 0'",
        "UPDATE _lamdb_schema SET hash = 'another'",
        "DELETE FROM _lamdb_api WHERE name = 'pushed'",
        "DELETE FROM _lamdb_schema; DELETE FROM _lamdb_api",
    ],
)
def test_what_was_changed_by_other_means_is_seen(
    database: Database, computed: list[str], statement: str
) -> None:
    with database.writer() as connection:
        connection.execute(statement)
    apply.push(database, SCHEMA, force=True)
    assert computed == ["compute", "push"]
    with database.reader() as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(Tag)")]
        indexes = {row[1] for row in connection.execute("PRAGMA index_list(Tag)")}
    assert columns == ["id", "name"]
    assert "Tag_name_key" in indexes
    computed.clear()
    apply.push(database, SCHEMA)
    assert computed == [], "what was repaired is recorded"


def test_another_schema_and_the_first_again(database: Database, computed: list[str]) -> None:
    apply.push(database, FURTHER)
    apply.push(database, SCHEMA, force=True)
    assert computed == ["compute", "push"] * 2


def test_another_process_may_have_pushed(computed: list[str], tmp_path: object) -> None:
    url = f"file://{tmp_path}/store"
    with Database.open(url) as one, Database.open(url) as other:
        apply.push(one, SCHEMA)
        apply.push(other, FURTHER)
        apply.push(one, FURTHER)
    assert computed == ["compute", "push"] * 2


def test_a_reset_is_no_repetition(database: Database, computed: list[str]) -> None:
    with database.writer() as connection:
        connection.execute("INSERT INTO Tag VALUES (1, 'a')")
    apply.push(database, SCHEMA, reset=True)
    assert computed == ["compute", "push"]
    with database.reader() as connection:
        assert connection.execute("SELECT count(*) FROM Tag").get == 0


def test_a_history_of_migrations_is_still_refused(database: Database) -> None:
    first = [
        Migration("1_init", 'CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT NOT NULL);')
    ]
    apply.mark_applied(database, "1_init", first)
    with pytest.raises(MigrationError, match="history of migrations"):
        apply.push(database, SCHEMA)
