"""Migrations on a database that lives in an object store: each is one transaction there, or none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lamdb.errors import MigrationError, ReadOnly
from lamdb.prisma import PrismaSchema, SchemaEngine
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration, read_migrations
from lamdb.storage import Database

SCHEMA = """\
datasource db {
  provider = "sqlite"
}

model Author {
  id    Int    @id @default(autoincrement())
  name  String
  posts Post[]
}

model Post {
  id       Int    @id @default(autoincrement())
  authorId Int
  author   Author @relation(fields: [authorId], references: [id], onDelete: Cascade)
}
"""
# A new default makes SQLite rebuild the table.
REBUILT = SCHEMA.replace("name  String", 'name  String @default("?")')
BAD = Migration("29990101000000_bad", "CREATE TABLE half (x);\nPRAGMA foreign_keys=OFF;\nDELETE FROM Author;")


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"file://{tmp_path}/store" if request.param == "file" else "memory:"
    database = Database.open(url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> list[Migration]:
    directory = tmp_path_factory.mktemp("project")
    for title, schema in (("init", SCHEMA), ("rebuild", REBUILT)):
        (directory / "schema.prisma").write_text(schema)
        migrate.create(directory, title)
    return read_migrations(directory / "migrations")


def apply(database: Database, migration: Migration) -> None:
    with database.writer() as connection:
        migrate.apply_one(connection, migration)


def test_each_migration_is_one_transaction_of_the_store(database: Database, history: list[Migration]) -> None:
    assert database.txid == 0
    apply(database, history[0])
    assert database.txid == 1
    with database.writer() as connection:
        connection.execute("INSERT INTO Author (id, name) VALUES (1, 'Ada')")
        connection.execute("INSERT INTO Post (authorId) VALUES (1), (1)")
    apply(database, history[1])
    assert database.txid == 3
    with database.reader() as connection:
        assert connection.execute("SELECT count(*) FROM Post WHERE authorId = 1").get == 2
        assert migrate.pending(connection, history) == []
        with SchemaEngine(connection) as engine:
            assert engine.diagnose(history).in_sync


def test_a_failed_migration_reaches_nothing(database: Database, history: list[Migration]) -> None:
    apply(database, history[0])
    with database.writer() as connection:
        connection.execute("INSERT INTO Author (id, name) VALUES (1, 'Ada')")
        connection.execute("INSERT INTO Post (authorId) VALUES (1)")
    before = database.txid
    with pytest.raises(MigrationError, match="Post row 1 refers to Author"):
        apply(database, BAD)
    assert database.txid == before
    with database.writer() as connection:
        assert connection.execute("PRAGMA foreign_keys").get == 1
        assert connection.execute("SELECT count(*) FROM Author").get == 1
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").get == 0
    apply(database, history[1])


def test_a_schema_can_be_pushed(database: Database) -> None:
    for schema, steps in ((SCHEMA, 2), (SCHEMA, 0), (REBUILT, 1)):
        with database.writer() as connection:
            assert migrate.push(connection, PrismaSchema.parse(schema)).executed_steps == steps


def test_a_reader_can_be_described_and_not_be_changed(database: Database, history: list[Migration]) -> None:
    apply(database, history[0])
    with database.reader() as connection, SchemaEngine(connection) as engine:
        assert "model Author {" in engine.introspect().text
        with pytest.raises(ReadOnly):
            engine.schema_push(PrismaSchema.parse(REBUILT))
    assert database.txid == 1
