"""Searches in migrations: made, changed, filled and dropped with the tables they are of."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest

from lamdb.deployment.develop import find_drift
from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration, read_migrations, write_migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.migrate.searches import faults_of_file, present, search_faults
from lamdb.prisma.migrate.snapshot import snapshot
from lamdb.storage import Database
from lamdb.storage.backup.verification import verify
from lamdb.storage.stores.url import open_store

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
PLAIN = """
model Post {
  id       Int     @id @default(autoincrement())
  title    String
  body     String?
  category String?
  views    Int     @default(0)
  authorId Int?
  author   Author? @relation(fields: [authorId], references: [id])
  tags     Tag[]
}
model Author {
  id    Int    @id
  name  String
  posts Post[]
}
model Tag {
  id    String @id
  name  String
  posts Post[]
}
"""
SEARCHED = (
    "/// @lamdb.search title^4 body tags.name author.name\n/// @lamdb.search.facets category\n"
    "/// @lamdb.search.rank views\n" + PLAIN.lstrip()
)
DATA = """
INSERT INTO "Author" VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO "Post" (id, title, body, category, views, "authorId")
VALUES (1, 'A cat', 'sleeps', 'pets', 3, 1), (2, 'A dog', NULL, NULL, 1, 2),
(7, 'Nothing', 'at all', 'x', 0, NULL);
INSERT INTO "Tag" VALUES ('a', 'animals'), ('b', 'boring');
INSERT INTO "_PostToTag" VALUES (1, 'a'), (2, 'a'), (7, 'b');
"""


class Project:
    """A directory with a schema and migrations, and a database that they are applied to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("PRAGMA foreign_keys = ON")

    @property
    def migrations(self) -> list[Migration]:
        return read_migrations(self.directory / "migrations", missing_ok=True)

    def step(self, models: str) -> str:
        """Brings the database to a schema by a migration, whose script is returned."""
        (self.directory / "schema.prisma").write_text(HEAD + models)
        made = migrate.create(self.directory, f"step{len(self.migrations)}")
        migrate.apply_migrations(self.connection, self.migrations, accept_loss=True)
        self.check()
        return "" if made is None else made.sql

    def take(self, migrations: Sequence[Migration], models: str) -> None:
        for migration in migrations:
            write_migration(self.directory / "migrations", migration)
        (self.directory / "schema.prisma").write_text(HEAD + models)
        migrate.apply_migrations(self.connection, self.migrations)

    def check(self) -> None:
        schema = PrismaSchema.load(self.directory)
        assert search_faults(self.connection) == []
        assert find_drift(self.connection, self.migrations) is None
        assert migrate.prepare(self.directory, "none") is None
        assert present(self.connection).keys() == {each.table.lower() for each in schema.searches}

    def found(self, query: str, index: str = "Post_search") -> list[int]:
        return [
            int(str(rowid))
            for (rowid,) in self.connection.execute(
                f'SELECT rowid FROM "{index}"(?) ORDER BY rowid', (query,)
            )
        ]


@cache
def history(*steps: str) -> tuple[Migration, ...]:
    """The migrations that lead through these models."""
    with TemporaryDirectory() as directory:
        project = Project(Path(directory))
        for models in steps:
            project.step(models)
        return tuple(project.migrations)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One with rows, and tables that are not searched."""
    made = Project(tmp_path)
    made.take(history(PLAIN), PLAIN)
    made.connection.execute(DATA)
    return made


@pytest.fixture
def searched(tmp_path: Path) -> Project:
    """One with rows that are searched."""
    made = Project(tmp_path)
    made.take(history(PLAIN, SEARCHED), SEARCHED)
    made.connection.execute(DATA)
    return made


def test_a_search_is_made_and_filled(project: Project) -> None:
    script = project.step(SEARCHED)
    assert script.startswith("-- CreateSearch\nCREATE VIEW")
    assert project.found("animals") == [1, 2]
    assert project.found("ann OR bob") == [1, 2]
    project.connection.execute("UPDATE Author SET name = 'Carl' WHERE id = 1")
    assert project.found("carl") == [1]
    assert search_faults(project.connection) == []


def test_a_search_comes_with_its_table(tmp_path: Path) -> None:
    project = Project(tmp_path)
    script = project.step(SEARCHED)
    assert script.index('CREATE TABLE "Post"') < script.index("CREATE VIRTUAL TABLE")
    project.connection.execute(DATA)
    project.check()
    assert project.found("cat") == [1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title^4 body", "title"),
        ("tags.name author.name", "tags.name"),
        ("facets category", "facets category views author.name"),
        ("rank views", "rank authorId"),
        ("rank views\n", "rank views\n/// @lamdb.search.language cjk\n"),
        ("rank views\n", "rank views\n/// @lamdb.search.language en\n"),
    ],
)
def test_a_changed_search_is_made_anew(searched: Project, old: str, new: str) -> None:
    changed = SEARCHED.replace(old, new)
    assert changed != SEARCHED
    script = searched.step(changed)
    assert "-- DropSearch" in script
    assert "-- CreateSearch" in script
    assert searched.found("cat") == [1]
    searched.step(SEARCHED)


def test_weights_and_words_need_no_migration(searched: Project) -> None:
    more = "rank views desc\n/// @lamdb.search.synonyms cat, kitty\n/// @lamdb.search.stopwords a\n"
    assert searched.step(SEARCHED.replace("title^4", "title^9").replace("rank views\n", more)) == ""


def test_a_search_is_dropped(searched: Project) -> None:
    script = searched.step(PLAIN)
    assert script.startswith("-- DropSearch")
    left = searched.connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%search%' OR type = 'trigger'"
    ).get
    assert left == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("category String?", 'category String @default("none")'),
        ("  title    String\n", '  title    String @default("x")\n'),
        (
            "  name  String\n  posts Post[]\n}\nmodel Tag",
            '  name  String @default("y")\n  posts Post[]\n}\nmodel Tag',
        ),
        ("views    Int     @default(0)", "views    Float   @default(0)"),
        ("id    String @id\n  name  String\n", 'id    String @id\n  name  String @default("z")\n'),
    ],
)
def test_a_table_that_is_rebuilt_keeps_its_search(searched: Project, old: str, new: str) -> None:
    changed = SEARCHED.replace(old, new)
    assert changed != SEARCHED
    script = searched.step(changed)
    assert "-- RedefineTables" in script
    assert script.count("VALUES ('rebuild')") == 1
    assert "-- DropSearch" not in script
    assert searched.found("animals") == [1, 2]
    searched.connection.execute(
        "UPDATE Tag SET name = 'beasts' WHERE id = 'a'; DELETE FROM Post WHERE id = 1;"
        "INSERT INTO Post (id, title, category, authorId) VALUES (20, 'A cow', 'farm', 1)"
    )
    assert searched.found("beasts") == [2]
    assert searched.found("ann") == [20]
    assert search_faults(searched.connection) == []


def test_a_rebuild_as_prisma_writes_it_keeps_the_search(searched: Project) -> None:
    """A script that nobody completed: the triggers and the numbers of rows are kept all the same."""
    with SchemaEngine(searched.connection) as engine:
        schema = PrismaSchema.parse(HEAD + SEARCHED.replace("body     String?", 'body String @default("")'))
        script = engine.create_migration("x", searched.migrations, schema)
    assert script is not None
    migrate.apply_one(searched.connection, Migration("9_x", script))
    assert search_faults(searched.connection) == []
    searched.connection.execute("UPDATE Post SET body = 'barks' WHERE id = 2")
    assert searched.found("barks") == [2]
    assert search_faults(searched.connection) == []


def test_columns_and_tables_of_a_search_change(searched: Project) -> None:
    searched.step(SEARCHED.replace(" body tags", " tags").replace("  body     String?\n", ""))
    assert searched.found("cat") == [1]
    assert searched.found("at") == []


def test_a_table_is_renamed(tmp_path: Path) -> None:
    models = "/// @lamdb.search name\nmodel M {\n  id Int @id\n  name String\n}\n"
    project = Project(tmp_path)
    project.step(models)
    project.step(models.replace("String\n}", 'String\n  @@map("ms")\n}'))
    project.connection.execute("INSERT INTO ms VALUES (3, 'a lion')")
    assert project.found("lion", "ms_search") == [3]
    project.check()


def test_records_without_an_integer_id(tmp_path: Path) -> None:
    models = "/// @lamdb.search name\nmodel M {\n  id String @id\n  name String\n  n Int?\n}\n"
    project = Project(tmp_path)
    project.step(models)
    project.connection.execute("INSERT INTO M VALUES ('c', 'cat', 1), ('d', 'dog', 2), ('e', 'emu', 3)")
    project.connection.execute("DELETE FROM M WHERE id = 'c'")
    assert "-- RedefineTables" in project.step(models.replace("n Int?", "n Int @default(4)"))
    assert project.found("emu", "M_search") == [3]


def test_a_schema_that_is_pushed_has_its_search() -> None:
    connection = apsw.Connection(":memory:")
    first = PrismaSchema.parse(HEAD + PLAIN)
    migrate.push(connection, first)
    connection.execute(DATA)
    assert migrate.push(connection, PrismaSchema.parse(HEAD + SEARCHED)).executed_steps == 1
    assert search_faults(connection) == []
    assert connection.execute("SELECT rowid FROM Post_search('cat')").get == 1
    assert migrate.push(connection, PrismaSchema.parse(HEAD + SEARCHED)).executed_steps == 0
    changed = SEARCHED.replace("body     String?", 'body String @default("none")').replace("^4 body", "")
    migrate.push(connection, PrismaSchema.parse(HEAD + changed), force=True)
    assert search_faults(connection) == []
    migrate.push(connection, first, force=True)
    assert present(connection) == {}


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TRIGGER Post_search_ai",
        "DROP TRIGGER Post_search_apply",
        "DROP TRIGGER Post_search_2_bd",
        "DROP TABLE Post_search",
        "DROP TABLE _lamdb_search_Post_side",
        "DROP VIEW _lamdb_search_Post_rows",
        "DROP TRIGGER Post_search_ai; CREATE TRIGGER Post_search_ai AFTER INSERT ON Post BEGIN SELECT 1; END",
        "ALTER TABLE _lamdb_search_Post_side ADD COLUMN more",
    ],
)
def test_what_was_changed_past_the_migrations_is_drift(searched: Project, sql: str) -> None:
    searched.connection.execute(sql)
    assert find_drift(searched.connection, searched.migrations) is not None


def test_what_is_computed_for_a_search_is_no_drift(searched: Project) -> None:
    searched.connection.execute(
        "CREATE TABLE _lamdb_search_words (name TEXT PRIMARY KEY, data);"
        "INSERT INTO _lamdb_search_words VALUES (1, 2)"
    )
    searched.check()
    assert "_lamdb_search_words" not in snapshot(searched.connection).sql
    assert "_lamdb_search_Post_side" in snapshot(searched.connection).sql


def test_a_broken_index_is_found(searched: Project) -> None:
    searched.connection.execute("INSERT INTO Post_search (rowid, title) VALUES (9, 'ghost')")
    assert any("9" in fault for fault in search_faults(searched.connection))
    searched.connection.execute("INSERT INTO Post_search (Post_search) VALUES ('rebuild')")
    assert search_faults(searched.connection) == []
    searched.connection.execute("UPDATE _lamdb_search_Post_side SET category = 'y' WHERE docid = 7")
    assert any("_side" in fault for fault in search_faults(searched.connection))


def test_summaries_name_the_searches() -> None:
    plain, searched = PrismaSchema.parse(HEAD + PLAIN), PrismaSchema.parse(HEAD + SEARCHED)
    with SchemaEngine() as engine:
        assert engine.diff(plain, searched, script=False).strip() == "[+] Added search of `Post`"
        assert engine.diff(searched, plain, script=False).strip() == "[-] Removed search of `Post`"
        assert engine.diff(searched, plain).startswith("-- DropSearch\nDROP TRIGGER")
        assert "[+] Added search of `Post`" in engine.diff(None, searched, script=False)
        assert engine.evaluate_data_loss([], searched).steps > engine.evaluate_data_loss([], plain).steps


def test_a_name_that_is_taken_is_an_error(project: Project) -> None:
    project.connection.execute("CREATE TABLE Post_search (x)")
    (project.directory / "schema.prisma").write_text(HEAD + SEARCHED)
    migrate.create(project.directory, "search")
    with pytest.raises(MigrationError, match='"Post_search" already exists'):
        migrate.apply_migrations(project.connection, project.migrations)


def test_verify_finds_a_broken_index(tmp_path: Path) -> None:
    schema = PrismaSchema.parse(HEAD + SEARCHED)
    with Database(open_store("memory:")) as database:
        with database.writer() as connection:
            migrate.push(connection, schema)
            connection.execute(DATA)
        assert verify(database.pages, tmp_path, check=faults_of_file).ok
        with database.writer() as connection:
            connection.execute("INSERT INTO Post_search (rowid, title) VALUES (9, 'ghost')")
        found = verify(database.pages, tmp_path, check=faults_of_file)
        assert [fault for fault in found.faults if "Post_search" in fault] != []
    assert list(tmp_path.iterdir()) == []


def test_verify_looks_into_a_file_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "wal.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    migrate.push(connection, PrismaSchema.parse(HEAD + SEARCHED))
    connection.execute(DATA)
    connection.close()
    assert faults_of_file(path) == []
    assert [each.name for each in tmp_path.iterdir()] == ["wal.db"]
