"""`lamdb import` of a file whose schema, and perhaps migrations, the directory has already."""

import hashlib
import json
import shlex
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from lamdb.cli.backup import restore_to_file
from lamdb.cli.importing import IntrospectionOptions, import_database
from lamdb.cli.main import app
from lamdb.cli.output import CommandOutput
from lamdb.deployment import adopt, develop
from lamdb.deployment.deploy import deploy
from lamdb.deployment.project import Project
from lamdb.errors import MigrationError, TargetError
from lamdb.graphql import stored_schema
from lamdb.graphql.from_settings import serving
from lamdb.graphql.request import GraphQLRequest
from lamdb.prisma.datamodel.naming import Style
from lamdb.prisma.migrate.migrations import CREATE_HISTORY
from lamdb.server.instance import Instance, open_database
from lamdb.settings import Settings

SCHEMA = """generator client {
  provider = "prisma-client-js"
}

datasource db {
  provider = "sqlite"
  url      = env("DATABASE_URL")
}

model Note {
  id      Int      @id @default(autoincrement())
  text    String
  created DateTime @default(now())
}
"""
MIGRATION = """-- CreateTable
CREATE TABLE "Note" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "text" TEXT NOT NULL,
    "created" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""
PENDING = 'ALTER TABLE "Note" ADD COLUMN "author" TEXT;\n'
MILLISECONDS = 1735689600123


class Home:
    """A folder with `prisma/`, as Prisma's command makes it, and its `dev.db`."""

    def __init__(self, root: Path, *, migrations: dict[str, str] | None = None, applied: int = 1) -> None:
        self.prisma = root / "prisma"
        self.prisma.mkdir()
        (self.prisma / "schema.prisma").write_text(SCHEMA)
        self.file = self.prisma / "dev.db"
        connection = sqlite3.connect(self.file)
        connection.executescript(MIGRATION)
        connection.execute('INSERT INTO "Note" (text, created) VALUES (?, ?)', ("first", MILLISECONDS))
        if migrations is not None:
            connection.execute(CREATE_HISTORY)
            for name, script in migrations.items():
                folder = self.prisma / "migrations" / name
                folder.mkdir(parents=True)
                (folder / "migration.sql").write_text(script)
            for name, script in list(migrations.items())[:applied]:
                connection.execute(
                    "INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at,"
                    " applied_steps_count) VALUES (?, ?, ?, ?, ?, 1)",
                    (name, hashlib.sha256(script.encode()).hexdigest(), MILLISECONDS, name, MILLISECONDS),
                )
            (self.prisma / "migrations" / "migration_lock.toml").write_text('provider = "sqlite"\n')
        connection.commit()
        connection.close()
        self.settings = Settings(store=(root / "store").as_uri(), database=str(self.prisma))

    def files(self) -> set[str]:
        return {each.relative_to(self.prisma).as_posix() for each in self.prisma.rglob("*") if each.is_file()}

    def load(self, capsys: pytest.CaptureFixture[str], settings: Settings | None = None) -> dict[str, Any]:
        import_database(
            settings or self.settings,
            self.file,
            self.prisma.parent,
            IntrospectionOptions(Style.PRISMA, None),
            overwrite=False,
            output=CommandOutput(is_json=True),
        )
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def standing(self) -> develop.ProjectStatus:
        with open_database(self.settings, create=False) as database:
            return develop.standing(database, Project.at(self.prisma))

    def notes(self, where: str = "") -> list[dict[str, Any]]:
        with open_database(self.settings, create=False) as database:
            query = f"{{ findManyNote{where} {{ text created }} }}"
            answer = orjson.loads(serving(self.settings).execute(database, GraphQLRequest(query)).body)
        assert "errors" not in answer, answer
        return list(answer["data"]["findManyNote"])


NOTE = {"text": "first", "created": "2025-01-01T00:00:00.123Z"}


def test_schema_and_migrations_stay_and_times_are_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path, migrations={"20250101000000_init": MIGRATION})
    before = home.files()
    assert home.load(capsys)["migration"] is None
    assert home.files() == before
    assert (home.prisma / "schema.prisma").read_text() == SCHEMA
    assert home.standing().up_to_date
    assert home.notes('(where: {created: {equals: "2025-01-01T00:00:00.123Z"}})') == [NOTE]


def test_pending_migrations_are_deployed_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path, migrations={"20250101000000_init": MIGRATION, "20250102000000_author": PENDING})
    path = home.prisma / "schema.prisma"
    path.write_text(path.read_text().replace("text    String", "text    String\n  author  String?"))
    home.load(capsys)
    standing = home.standing()
    assert (standing.status.applied, standing.status.pending) == (
        ("20250101000000_init",),
        ("20250102000000_author",),
    )
    with open_database(home.settings, create=False) as database:
        deploy(database, Project.at(home.prisma))
    assert home.standing().up_to_date
    assert home.notes("(where: {author: null})") == [NOTE]


def test_a_pushed_project_gets_its_tables_as_the_first_migration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    before = home.files()
    assert home.load(capsys)["migration"] == "0_init"
    assert home.files() - before == {"migrations/0_init/migration.sql", "migrations/migration_lock.toml"}
    assert home.standing().up_to_date
    assert home.notes() == [NOTE]


def test_the_folder_is_found_from_the_one_above(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, migrations={"20250101000000_init": MIGRATION})
    monkeypatch.chdir(tmp_path)
    home.load(capsys, Settings(store=home.settings.store))
    assert not (tmp_path / "database").exists()
    assert home.standing().up_to_date


@pytest.mark.parametrize("applied", [0, 1])
def test_a_search_that_the_tables_lack_is_left_to_a_migration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], applied: int
) -> None:
    home = Home(tmp_path, migrations={"20250101000000_init": MIGRATION} if applied else None)
    path = home.prisma / "schema.prisma"
    path.write_text(path.read_text().replace("model Note", "/// @lamdb.search text\nmodel Note"))
    assert home.load(capsys)["migration"] == (None if applied else "0_init")
    standing = home.standing()
    assert (standing.unmigrated, standing.drift) == (True, None)
    with open_database(home.settings, create=False) as database, database.reader() as connection:
        assert stored_schema.read_files(connection) is None, "no server shows a search that is not there"


@pytest.mark.parametrize("layout", ["folder", "file", "several files"])
def test_each_layout_of_a_schema_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    home = Home(tmp_path, migrations={"20250101000000_init": MIGRATION})
    if layout == "several files":
        head, model = SCHEMA.split("model Note")
        (home.prisma / "schema.prisma").unlink()
        (home.prisma / "schema").mkdir()
        (home.prisma / "schema" / "main.prisma").write_text(head)
        (home.prisma / "schema" / "note.prisma").write_text("model Note" + model)
    named = home.prisma / "schema.prisma" if layout == "file" else home.prisma
    home.load(capsys, replace(home.settings, database=str(named)))
    assert home.standing().up_to_date
    assert home.notes() == [NOTE]


def test_a_migration_that_cannot_be_written_leaves_the_store_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    before = home.files()

    def fails(*_: object) -> None:
        raise PermissionError("Permission denied")

    monkeypatch.setattr(adopt, "write_migration", fails)
    with pytest.raises(PermissionError):
        home.load(capsys)
    assert home.files() == before
    assert not list((tmp_path / "store").rglob("*.ltx"))


@pytest.mark.parametrize("has_history", [False, True])
def test_the_file_of_another_project_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], has_history: bool
) -> None:
    home = Home(tmp_path, migrations={"20250101000000_init": MIGRATION} if has_history else None)
    path = home.prisma / "schema.prisma"
    path.write_text(path.read_text().replace("Note", "Other"))
    if has_history:
        folder = home.prisma / "migrations"
        (folder / "20250101000000_init").rename(folder / "20250101000000_other")
    before = home.files()
    said = "not the migrations that the file has: 20250101000000_init" if has_history else "not those of it"
    with pytest.raises(TargetError, match=said):
        home.load(capsys)
    assert home.files() == before
    assert not list((tmp_path / "store").rglob("*.ltx"))


COUNTED = {
    "tables and a view": (
        """CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT NOT NULL);
        CREATE TABLE post(id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL REFERENCES author(id));
        CREATE TABLE tag(id INTEGER PRIMARY KEY);
        INSERT INTO author VALUES (1, 'a');
        CREATE VIEW posts_of AS SELECT author_id AS id, count(*) AS posts FROM post GROUP BY author_id;""",
        (3, 3, 1),
    ),
    "a join table": (
        """CREATE TABLE post(id INTEGER PRIMARY KEY); CREATE TABLE tag(id INTEGER PRIMARY KEY);
        CREATE TABLE "_PostToTag"(A INTEGER NOT NULL REFERENCES post(id) ON DELETE CASCADE ON UPDATE CASCADE,
          B INTEGER NOT NULL REFERENCES tag(id) ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE UNIQUE INDEX "_PostToTag_AB_unique" ON "_PostToTag"(A, B);
        CREATE INDEX "_PostToTag_B_index" ON "_PostToTag"(B);""",
        (3, 2, 0),
    ),
    "a table without an identifier": (
        """CREATE TABLE post(id INTEGER PRIMARY KEY);
        CREATE TABLE log(rowid TEXT, oid TEXT, _rowid_ TEXT); INSERT INTO log VALUES ('a', 'b', 'c');
        CREATE VIEW ids AS SELECT id FROM post;""",
        (2, 1, 1),
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_every_import_of_a_file_counts_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    script, expected = COUNTED[name]
    file = tmp_path / "made.db"
    connection = sqlite3.connect(file)
    connection.executescript(script)
    connection.close()

    def load(store: str, project: str, source: Path = file) -> tuple[tuple[int, int, int], str]:
        import_database(
            Settings(store=(tmp_path / store).as_uri(), database=str(tmp_path / project)),
            source,
            tmp_path,
            IntrospectionOptions(Style.PRISMA, None),
            overwrite=False,
            output=CommandOutput(is_json=True),
        )
        found = json.loads(capsys.readouterr().out)
        return (found["tables"], found["models"], found["views"]), found["schema"]

    written = str(tmp_path / "project" / "schema.prisma")
    assert load("first", "project") == (expected, written)
    assert load("second", "project") == (expected, written), "the project is there already"
    exported = tmp_path / "exported.db"
    store = Settings(store=(tmp_path / "first").as_uri())
    restore_to_file(store, None, exported, overwrite=False, output=CommandOutput(is_json=True))
    capsys.readouterr()
    counts, _ = load("third", "another", exported)
    assert counts == expected, "the file carries its schema"


# What comes after the import.

INIT, LATER = "20250101000000_init", "20250102000000_later"
CHANGES_ROWS = "UPDATE \"Note\" SET text = 'other' WHERE text = 'none';\n"
SEARCHED = ("model Note", "/// @lamdb.search text\nmodel Note")


def printed(home: Home, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[list[str]]]:
    """The text behind an import, and the commands in it."""
    import_database(
        home.settings,
        home.file,
        home.prisma.parent,
        IntrospectionOptions(Style.PRISMA, None),
        overwrite=False,
        output=CommandOutput(is_json=False),
    )
    text = capsys.readouterr().out
    return text, [shlex.split(line) for line in text.splitlines() if line.startswith("  lamdb ")]


def is_served(home: Home) -> bool:
    try:
        with Instance.open(home.settings):
            return True
    except MigrationError:
        return False


def follow(home: Home, commands: list[list[str]]) -> None:
    """Executes all commands but the last one, which serves."""
    *before, serving = commands
    assert serving[1] == "serve"
    assert not before or not is_served(home)
    for command in before:
        done = CliRunner().invoke(app, [each if each != "NAME" else "more" for each in command[1:]])
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("case", ["unproved", "some unproved", "search", "pushed with a search", "ahead"])
def test_the_commands_that_an_import_prints_lead_to_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    migrations = {
        "unproved": {INIT: MIGRATION, LATER: CHANGES_ROWS},
        "some unproved": {INIT: MIGRATION + CHANGES_ROWS},
        "search": {INIT: MIGRATION},
        "ahead": {INIT: MIGRATION},
    }
    home = Home(tmp_path, migrations=migrations.get(case), applied=0 if "unproved" in case else 1)
    path = home.prisma / "schema.prisma"
    if "search" in case:
        path.write_text(path.read_text().replace(*SEARCHED))
    if case == "ahead":
        path.write_text(path.read_text().replace("text    String", "text    String\n  author  String?"))
    text, commands = printed(home, capsys)
    assert "Before it can be served" in text
    assert len(commands) == (3 if case == "unproved" else 2)
    follow(home, commands)
    assert is_served(home)


def test_history_that_the_project_lacks_is_to_be_copied_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path, migrations={INIT: MIGRATION, LATER: CHANGES_ROWS}, applied=2)
    folder = home.prisma / "migrations" / LATER
    folder.rename(tmp_path / LATER)
    text, commands = printed(home, capsys)
    assert f"Copy the file's own migrations into {folder.parent}: {LATER}." in text
    assert not is_served(home)
    (tmp_path / LATER).rename(folder)
    follow(home, commands)
    assert is_served(home)


def test_an_edited_migration_is_to_be_restored_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path, migrations={INIT: MIGRATION})
    script = home.prisma / "migrations" / INIT / "migration.sql"
    script.write_text(MIGRATION + "-- edited\n")
    text, commands = printed(home, capsys)
    assert f"edited after they were applied: {INIT}." in text
    script.write_text(MIGRATION)
    follow(home, commands)
    assert is_served(home)


def test_a_history_without_its_project_is_to_be_copied_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path, migrations={INIT: MIGRATION})
    home.prisma.rename(tmp_path / "old")
    home.file = tmp_path / "old" / "dev.db"
    text, commands = printed(home, capsys)
    assert f"Copy the file's own migrations into {home.prisma / 'migrations'}: {INIT}." in text
    assert not is_served(home)
    (tmp_path / "old" / "migrations").rename(home.prisma / "migrations")
    follow(home, commands)
    assert is_served(home)


def test_migrations_that_the_tables_prove_are_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    home.load(capsys)
    again = replace(home.settings, store=(tmp_path / "again").as_uri())
    found = home.load(capsys, again)
    assert (found["migration"], found["recorded"]) == (None, ["0_init"])
    home.settings = again
    assert home.standing().up_to_date
    assert is_served(home)
    assert home.notes() == [NOTE]
