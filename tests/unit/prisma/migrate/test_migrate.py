"""Migrations: applied whole or not at all, recorded as Prisma records them, and made from schemas."""

import hashlib
import re
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from lamdb.errors import MigrationError, SchemaError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration, new_name, read_migrations, write_migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine

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
  title    String
  authorId Int
  author   Author @relation(fields: [authorId], references: [id], onDelete: Cascade)
}
"""
# A new default makes SQLite rebuild the table.
REBUILT = SCHEMA.replace("name  String", 'name  String @default("?")\n  born  Int @default(0)')


@pytest.fixture
def connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    (directory / "schema.prisma").write_text(SCHEMA)
    assert migrate.create(directory, "Init") is not None
    (directory / "schema.prisma").write_text(REBUILT)
    assert migrate.create(directory, "Births & defaults") is not None
    return directory


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A directory with a schema and two migrations that lead to it; the second rebuilds a table."""
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture
def history(project: Path) -> list[Migration]:
    return read_migrations(project / "migrations")


def fill(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO Author (id, name) VALUES (1, 'Ada')")
    connection.execute("INSERT INTO Post (title, authorId) VALUES ('One', 1), ('Two', 1)")


def contents(connection: apsw.Connection) -> list[tuple[object, ...]]:
    """Everything in the database: schema and rows."""
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    rows = [
        (name, connection.execute(f'SELECT * FROM "{name}"').fetchall())
        for kind, name, _ in schema
        if kind == "table"
    ]
    return [*schema, *rows]


def failing(sql: str, name: str = "29990101000000_bad") -> Migration:
    return Migration(name, sql)


# Applying.


def test_a_history_is_applied_in_order_and_recorded_as_prisma_does(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    before = datetime.now(UTC).timestamp() * 1000 - 1
    names = [migration.name for migration in history]
    assert migrate.apply_migrations(connection, history[::-1]) == names
    rows = connection.execute("SELECT * FROM _prisma_migrations ORDER BY started_at").fetchall()
    for row, migration in zip(rows, history, strict=True):
        id_, checksum, finished, name, logs, rolled_back, started, steps = row
        assert uuid.UUID(str(id_)).version == 4
        assert checksum == hashlib.sha256(migration.sql.encode()).hexdigest()
        assert (name, logs, rolled_back, steps) == (migration.name, None, None, 1)
        assert isinstance(started, int)
        assert isinstance(finished, int)
        assert before < started <= finished
    assert rows[0][6] < rows[1][6]


def test_the_engine_then_finds_the_database_in_sync(
    connection: apsw.Connection, project: Path, history: list[Migration]
) -> None:
    migrate.apply_migrations(connection, history)
    with SchemaEngine(connection) as engine:
        diagnosis = engine.diagnose(history)
        assert diagnosis.has_migrations_table
        assert diagnosis.in_sync
        assert engine.dev_diagnostic(history) is None
        assert engine.apply_migrations(history) == []
        assert engine.schema_push(PrismaSchema.load(project)).executed_steps == 0


def test_applying_again_does_nothing(connection: apsw.Connection, history: list[Migration]) -> None:
    migrate.apply_migrations(connection, history)
    before = contents(connection)
    assert migrate.apply_migrations(connection, history) == []
    assert contents(connection) == before


def test_the_engines_own_history_is_continued(connection: apsw.Connection, history: list[Migration]) -> None:
    with SchemaEngine(connection) as engine:
        engine.apply_migrations(history[:1])
        assert migrate.apply_migrations(connection, history) == [history[1].name]
        assert engine.diagnose(history).in_sync


def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    """The rebuilt table is dropped in between; with foreign keys enforced that would delete all posts."""
    assert "DROP TABLE" in history[1].sql
    migrate.apply_migrations(connection, history[:1])
    fill(connection)
    migrate.apply_migrations(connection, history)
    assert connection.execute("SELECT name, born FROM Author").fetchall() == [("Ada", 0)]
    assert connection.execute("SELECT count(*) FROM Post WHERE authorId = 1").get == 2
    with pytest.raises(apsw.ConstraintError):
        connection.execute("INSERT INTO Post (title, authorId) VALUES ('x', 99)")


@pytest.mark.parametrize("enforced", [True, False])
def test_foreign_keys_are_enforced_afterwards_as_before(
    connection: apsw.Connection, history: list[Migration], enforced: bool
) -> None:
    connection.execute(f"PRAGMA foreign_keys = {enforced}")
    migrate.apply_migrations(connection, history)
    with pytest.raises(MigrationError):
        migrate.apply_migrations(connection, [*history, failing("PRAGMA foreign_keys=OFF; SELECT nope;")])
    assert connection.execute("PRAGMA foreign_keys").get == int(enforced)


def test_a_script_switches_foreign_keys_as_it_would_outside_a_transaction(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    """Behind Prisma's `PRAGMA foreign_keys=ON` a deletion cascades again."""
    migrate.apply_migrations(connection, history)
    fill(connection)
    off, on = "-- why\nPRAGMA foreign_keys = OFF;\n", "PRAGMA Foreign_Keys=on;\n"
    migrate.apply_one(connection, failing(f"{off}UPDATE Author SET id = 1;\n{on}DELETE FROM Author;"))
    assert connection.execute("SELECT count(*) FROM Post").get == 0


def test_a_script_that_leaves_foreign_keys_on_obeys_them(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    migrate.apply_migrations(connection, history)
    deferred = failing("PRAGMA defer_foreign_keys=ON;\nINSERT INTO Post (title, authorId) VALUES ('x', 99);")
    with pytest.raises(MigrationError, match="failed at its end: FOREIGN KEY constraint failed") as caught:
        migrate.apply_one(connection, deferred)
    assert caught.value.code == "P3018"
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM Post").get == 0


def test_a_whole_history_fits_into_the_callers_transaction(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    """As a storage's writer hands it out: inside BEGIN IMMEDIATE, foreign keys enforced."""
    migrate.apply_migrations(connection, history[:1])
    fill(connection)
    before = contents(connection)
    for end in ("ROLLBACK", "COMMIT"):
        connection.execute("BEGIN IMMEDIATE")
        assert migrate.pending(connection, history) == history[1:]
        assert migrate.apply_one(connection, history[1]) == history[1].name
        assert connection.in_transaction
        connection.execute(end)
        assert (contents(connection) == before) == (end == "ROLLBACK")
    assert connection.execute("SELECT count(*) FROM Post").get == 2


def test_two_transactions_for_two_migrations(connection: apsw.Connection, history: list[Migration]) -> None:
    commits: list[int] = []
    connection.set_commit_hook(lambda: commits.append(1) is None and False)
    migrate.apply_migrations(connection, history)
    assert len(commits) == 2


# Failing.


@pytest.mark.parametrize(
    ("sql", "line", "said"),
    [
        ("CREATE TABLE a (x);\n\n-- w\n/* h\nw */ INSERT INTO nope VALUES (1);\n", 5, "no such table: nope"),
        ("CREATE TABLE a (x NOT NULL);\nINSERT INTO a VALUES (NULL);\nSELECT 1;", 2, "NOT NULL"),
        ("CREATE TABLE a (x);\nCREAT nonsense;", 2, 'near "CREAT": syntax error'),
        ("CREATE TABLE a (x);\nSELECT ';\n", 2, "unrecognized token"),
        ("CREATE TABLE a (x);\nCOMMIT;\n", 2, "a migration is one transaction"),
        ("CREATE TABLE a (x);\nROLLBACK;\n", 2, "a migration is one transaction"),
        ("nonsense", 1, "syntax error"),
        ("\n\nINSERT INTO Post (authorId) VALUES (NULL)\n", 3, "NOT NULL"),
        ("\nINSERT INTO Post (title, authorId) VALUES ('x', 99);\n-- end", 2, "FOREIGN KEY"),
    ],
    ids=["table", "constraint", "syntax", "open string", "commit", "rollback", "first", "last", "key"],
)  # fmt: skip
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_a_failed_script_names_its_line_and_leaves_nothing(
    connection: apsw.Connection, history: list[Migration], sql: str, line: int, said: str, inside: bool
) -> None:
    migrate.apply_migrations(connection, history)
    before = contents(connection)
    if inside:
        connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(MigrationError) as caught:
        migrate.apply_migrations(connection, [*history, failing(sql)])
    assert connection.in_transaction is inside
    assert contents(connection) == before
    assert caught.value.code == "P3018"
    assert f"29990101000000_bad failed at line {line} of its script" in caught.value.message
    assert said in caught.value.message


def test_rows_that_would_refer_to_nothing_fail_the_migration(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    migrate.apply_migrations(connection, history)
    fill(connection)
    before = contents(connection)
    with pytest.raises(
        MigrationError, match=r"_bad failed at its end: .* \(2 in all\): Post row 1 refers to Author"
    ) as caught:
        migrate.apply_migrations(
            connection, [*history, failing("PRAGMA foreign_keys=OFF;\nDELETE FROM Author;")]
        )
    assert caught.value.code == "P3018"
    assert contents(connection) == before


def test_what_succeeded_before_a_failure_is_kept(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    good, bad = failing("CREATE TABLE good (x)", "29980101000000_good"), failing("nonsense")
    with pytest.raises(MigrationError):
        migrate.apply_migrations(connection, [*history, good, bad])
    assert migrate.status(connection, [*history, good, bad]).pending == (bad.name,)
    fixed = failing("CREATE TABLE fixed (x)")
    assert migrate.apply_migrations(connection, [*history, good, fixed]) == [fixed.name]


def test_the_callers_authorizer_is_restored(connection: apsw.Connection) -> None:
    def mine(*_: object) -> int:
        return apsw.SQLITE_OK

    connection.authorizer = mine
    with pytest.raises(MigrationError):
        migrate.apply_one(connection, failing("COMMIT"))
    assert connection.authorizer is mine


def test_a_long_data_migration_is_quick(connection: apsw.Connection) -> None:
    rows = "".join(f"INSERT INTO t VALUES ({n}, 'semi;colon');\n" for n in range(20_000))
    migrate.apply_one(connection, failing("CREATE TABLE t (n, s);\n" + rows))
    assert connection.execute("SELECT count(*) FROM t").get == 20_000


# Histories that disagree.


def test_an_edited_migration_stops_everything(connection: apsw.Connection, history: list[Migration]) -> None:
    migrate.apply_migrations(connection, history[:1])
    edited = Migration(history[0].name, history[0].sql + "-- later\n")
    with pytest.raises(MigrationError, match=re.escape(history[0].name)) as caught:
        migrate.apply_migrations(connection, [edited, history[1]])
    assert caught.value.code == "MIGRATION_EDITED"
    assert migrate.status(connection, history).pending == (history[1].name,)


def test_line_ends_that_git_changed_are_no_edit(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    migrate.apply_migrations(connection, history)
    windows = [Migration(name, sql.replace("\n", "\r\n")) for name, sql in history]
    assert migrate.apply_migrations(connection, windows) == []
    other = apsw.Connection(":memory:")
    migrate.apply_migrations(other, windows)
    assert migrate.apply_migrations(other, history) == []


def test_a_missing_migration_stops_everything(connection: apsw.Connection, history: list[Migration]) -> None:
    migrate.apply_migrations(connection, history)
    with pytest.raises(MigrationError, match=re.escape(history[0].name)) as caught:
        migrate.apply_migrations(connection, history[1:])
    assert caught.value.code == "MIGRATION_MISSING"


def test_a_migration_that_another_tool_failed_stops_everything(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    bad = failing("CREATE TABLE half (x); nonsense")
    with SchemaEngine(connection) as engine:
        engine.apply_migrations(history)
        with pytest.raises(MigrationError):
            engine.apply_migrations([*history, bad])
        with pytest.raises(MigrationError, match=re.escape(bad.name)) as caught:
            migrate.apply_migrations(connection, [*history, bad])
        assert caught.value.code == "P3009"
        connection.execute("DROP TABLE half")
        engine.mark_rolled_back(bad.name)
        fixed = failing("CREATE TABLE half (x);", bad.name)
        assert migrate.apply_migrations(connection, [*history, fixed]) == [bad.name]
        assert engine.diagnose([*history, fixed]).in_sync


def test_a_late_migration_from_another_branch_is_applied(
    connection: apsw.Connection, history: list[Migration]
) -> None:
    migrate.apply_migrations(connection, history)
    late = Migration("20000101000000_late", "CREATE TABLE late (x);")
    assert migrate.apply_migrations(connection, [late, *history]) == [late.name]


def test_the_status_of_an_untouched_database(connection: apsw.Connection, history: list[Migration]) -> None:
    status = migrate.status(connection, history)
    assert status.pending == tuple(migration.name for migration in history)
    assert (status.applied, status.edited, status.missing, status.failed) == ((), (), (), ())
    assert connection.execute("SELECT count(*) FROM sqlite_master").get == 0


# Reading and making migrations.


def test_a_directory_reads_back_as_it_was_written(tmp_path: Path) -> None:
    two, one = Migration("20260102_two", "SELECT 2;\r\n"), Migration("20260101_one", "SELECT 'ä';\n")
    for migration in (two, one):
        write_migration(tmp_path, migration)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("not a migration")
    assert read_migrations(tmp_path) == [one, two]
    assert 'provider = "sqlite"' in (tmp_path / "migration_lock.toml").read_text()


def test_a_lock_for_another_database_is_refused(tmp_path: Path) -> None:
    write_migration(tmp_path, Migration("1_x", "SELECT 1;"))
    (tmp_path / "migration_lock.toml").write_text('provider = "postgresql"\n')
    with pytest.raises(MigrationError, match="for postgresql, not for sqlite") as caught:
        read_migrations(tmp_path)
    assert caught.value.code == "P3019"


def test_a_folder_without_script_is_refused(tmp_path: Path) -> None:
    (tmp_path / "20260101_empty").mkdir()
    with pytest.raises(MigrationError, match=r"20260101_empty/migration\.sql") as caught:
        read_migrations(tmp_path)
    assert caught.value.code == "P3015"


def test_a_missing_directory_is_refused_unless_expected(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no directory"):
        read_migrations(tmp_path / "nowhere")
    assert read_migrations(tmp_path / "nowhere", missing_ok=True) == []


def test_a_script_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1_x").mkdir()
    (tmp_path / "1_x/migration.sql").write_bytes(b"SELECT '\xff'")
    with pytest.raises(MigrationError, match="is not UTF-8"):
        read_migrations(tmp_path)


def test_a_script_with_a_null_character_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1_x").mkdir()
    (tmp_path / "1_x/migration.sql").write_bytes(b"CREATE TABLE t (a);\nSELECT '\0';\n")
    with pytest.raises(MigrationError, match="1_x has a null character in line 2"):
        read_migrations(tmp_path)


def test_migrations_are_made_from_the_schema(project: Path, history: list[Migration]) -> None:
    assert [re.fullmatch(r"\d{14}_(\w+)", name)[1] for name, _ in history] == ["init", "births_defaults"]  # type: ignore[index]
    assert 'CREATE TABLE "Author"' in history[0].sql
    assert "-- RedefineTables" in history[1].sql
    assert migrate.create(project, "nothing new") is None
    assert len(read_migrations(project / "migrations")) == 2
    draft = migrate.create(project, "by hand", draft=True)
    assert draft is not None
    assert draft.sql.startswith("-- This is an empty migration.")


def test_a_schema_that_does_not_validate_makes_no_migration(project: Path) -> None:
    (project / "schema.prisma").write_text(SCHEMA.replace("String", "Strin"))
    with pytest.raises(SchemaError):
        migrate.create(project, "broken")
    assert len(read_migrations(project / "migrations")) == 2


def test_a_history_that_does_not_apply_makes_no_migration(project: Path) -> None:
    write_migration(project / "migrations", failing("nonsense"))
    with pytest.raises(MigrationError, match="29990101000000_bad failed at line 1"):
        migrate.create(project, "more")


@pytest.mark.parametrize(
    ("title", "last", "name"),
    [
        ("Add Users!", None, "20260102030405_add_users"),
        ("../../etc", None, "20260102030405_etc"),
        ("", None, "20260102030405"),
        ("b", "20260102030405_c", "20260102030406_b"),
        ("b", "20270101000059_later_clock", "20270101000100_b"),
        ("x" * 500, None, "20260102030405_" + "x" * 200),
    ],
)
def test_names_are_safe_and_sort_last(title: str, last: str | None, name: str) -> None:
    existing = [Migration(last, "")] if last else []
    assert new_name(title, existing, now=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)) == name


def test_no_name_can_follow_one_without_a_time() -> None:
    with pytest.raises(MigrationError, match="sort behind zzz"):
        new_name("x", [Migration("zzz", "")])


# Push and reset.


def test_push_makes_the_tables_and_is_repeatable(connection: apsw.Connection) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    assert migrate.push(connection, schema).executed_steps == 2
    fill(connection)
    assert migrate.push(connection, schema).executed_steps == 0
    assert not connection.in_transaction


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
def test_push_rebuilds_tables_and_keeps_rows_that_refer_to_them(
    connection: apsw.Connection, inside: bool
) -> None:
    migrate.push(connection, PrismaSchema.parse(SCHEMA))
    fill(connection)
    if inside:
        connection.execute("BEGIN IMMEDIATE")
    migrate.push(connection, PrismaSchema.parse(REBUILT))
    assert connection.in_transaction is inside
    assert connection.execute("SELECT count(*) FROM Post").get == 2
    assert connection.execute("PRAGMA foreign_keys").get == 1


def test_push_refuses_to_break_references(connection: apsw.Connection) -> None:
    migrate.push(connection, PrismaSchema.parse(SCHEMA))
    connection.execute("PRAGMA foreign_keys = OFF; INSERT INTO Post (title, authorId) VALUES ('x', 99)")
    with pytest.raises(MigrationError, match="cannot be pushed: rows would refer"):
        migrate.push(connection, PrismaSchema.parse(REBUILT))


def test_push_refuses_to_lose_data_and_then_changes_nothing(connection: apsw.Connection) -> None:
    migrate.push(connection, PrismaSchema.parse(SCHEMA))
    fill(connection)
    before = contents(connection)
    smaller = PrismaSchema.parse(SCHEMA.replace("title    String", ""))
    with pytest.raises(MigrationError, match=r"would lose data: .*`title`"):
        migrate.push(connection, smaller)
    required = PrismaSchema.parse(SCHEMA.replace("title    String", "title String\n  words Int"))
    with pytest.raises(MigrationError, match=r"cannot be pushed: .*`words`"):
        migrate.push(connection, required, force=True)
    assert contents(connection) == before
    migrate.push(connection, smaller, force=True)
    assert contents(connection) != before


def test_reset_leaves_an_empty_database(connection: apsw.Connection) -> None:
    migrate.push(connection, PrismaSchema.parse(SCHEMA))
    fill(connection)
    connection.execute(
        'CREATE VIEW "a ""view""" AS SELECT * FROM Post; CREATE VIRTUAL TABLE words USING fts5(w)'
    )
    connection.execute("CREATE TRIGGER t AFTER INSERT ON Post BEGIN SELECT 1; END")
    migrate.reset(connection)
    left = connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'").fetchall()
    assert left == []
    assert migrate.push(connection, PrismaSchema.parse(SCHEMA)).executed_steps == 2
