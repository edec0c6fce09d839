# ruff: noqa: E501 - SQL
"""Values in other forms than the API's, from where they come in to where they are told and converted."""

import hashlib
import logging
import uuid
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.support.command_line import Run, run

from lamdb.storage import Database

__all__ = ["run"]

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
BOOK = "model Book {\n  id Int @id\n  title String\n}\n"
ADDED = BOOK.replace(
    "}",
    "  added DateTime @default(now())\n"
    '  due DateTime @default("1900-01-01T00:00:00Z")\n'
    '  tags Json @default("[]")\n'
    '  more Json @default("[1]")\n'
    '  cover Bytes @default("aGVsbG8=")\n}',
)
PRISMAS_ADDED = """\
-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE "new_Book" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "title" TEXT NOT NULL,
    "added" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "due" DATETIME NOT NULL DEFAULT '1900-01-01 00:00:00 +00:00',
    "tags" JSONB NOT NULL DEFAULT [],
    "more" JSONB NOT NULL DEFAULT [1],
    "cover" BLOB NOT NULL DEFAULT '68656c6c6f'
);
INSERT INTO "new_Book" ("id", "title") SELECT "id", "title" FROM "Book";
DROP TABLE "Book";
ALTER TABLE "new_Book" RENAME TO "Book";
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;
"""
CREATE = 'mutation { createManyBook(data: [{id: 1, title: "a"}, {id: 2, title: "b"}]) { count } }'
FILLED = {"due": "1900-01-01T00:00:00.000Z", "tags": "[]", "more": "[1]", "cover": "aGVsbG8="}


class Project:
    def __init__(self, run: Run, directory: Path) -> None:
        self._run = run
        self.directory = directory / "app"
        self.store = (directory / "store").as_uri()
        self.directory.mkdir()

    def schema(self, models: str) -> None:
        (self.directory / "schema.prisma").write_text(HEAD + models)

    def migration(self, name: str, sql: str) -> None:
        folder = self.directory / "migrations" / name
        folder.mkdir(parents=True)
        (folder / "migration.sql").write_text(sql)

    def run(self, *arguments: object, code: int = 0) -> Any:
        where = ["--store", self.store]
        if arguments[0] == "migrate":
            where += ["--database", str(self.directory)]
        done = self._run(*arguments, *where, "--json")
        assert done.code == code, done
        return done.json

    def query(self, document: str) -> Any:
        answer = self.run("query", document)
        assert "errors" not in answer, answer
        return answer["data"]

    def sql(self, script: str) -> None:
        with Database.open(self.store) as database, database.writer() as connection:
            connection.execute(script)

    def says_all_agree(self) -> None:
        assert self.run("migrate", "status")["upToDate"]
        done = self.run("migrate", "dev", "--name", "again")
        assert (done["created"], done["applied"]) == (None, [])


@pytest.fixture
def project(run: Run, tmp_path: Path) -> Project:
    return Project(run, tmp_path)


def books(project: Project) -> None:
    """Two that were there before the columns were added, one by the API behind that, one by SQL."""
    project.query('mutation { createOneBook(data: {id: 3, title: "c"}) { id } }')
    project.sql("INSERT INTO Book (id, title) VALUES (4, 'd')")
    rows = project.query("{ findManyBook(orderBy: {id: asc}) { added due tags more cover } }")["findManyBook"]
    assert len(rows) == 4
    assert [{name: row[name] for name in FILLED} for row in rows] == [FILLED] * 4
    for row in rows:
        found = project.query(
            f'{{ same: findManyBook(where: {{added: {{equals: "{row["added"]}"}}}}) {{ added }}'
            f' since: findManyBook(where: {{added: {{gte: "2020-01-01T00:00:00Z"}}}}) {{ id }}'
            f' due: findManyBook(where: {{due: {{lte: "1900-01-01T00:00:00Z"}}}}) {{ id }} }}'
        )
        assert {each["added"] for each in found["same"]} == {row["added"]}
        assert (len(found["since"]), len(found["due"])) == (4, 4)
    groups = project.query("{ groupByBook(by: [due, tags, more, cover]) { _count { _all } } }")
    assert groups["groupByBook"] == [{"_count": {"_all": 4}}]
    assert project.run("verify")["values"] == []
    project.says_all_agree()


def test_what_our_migration_fills_in(project: Project) -> None:
    project.schema(BOOK)
    project.run("migrate", "dev", "--name", "init")
    project.query(CREATE)
    project.schema(ADDED)
    assert project.run("migrate", "dev", "--name", "added")["values"] == []
    books(project)


def test_what_prismas_migration_fills_in(project: Project) -> None:
    project.schema(BOOK)
    project.run("migrate", "dev", "--name", "init")
    project.query(CREATE)
    project.schema(ADDED)
    project.migration("99990101000000_added", PRISMAS_ADDED)
    tried = project.run("migrate", "deploy", "--dry-run")
    done = project.run("migrate", "deploy")
    counts = {each["column"]: (each["converted"], each["left"]) for each in done["values"]}
    assert counts == dict.fromkeys(("added", *FILLED), (2, 0))
    assert [each["converted"] for each in tried["values"]] == [2] * 5
    books(project)


def test_what_a_push_fills_in(project: Project) -> None:
    project.schema(BOOK)
    project.run("migrate", "push")
    project.query(CREATE)
    project.schema(ADDED)
    assert project.run("migrate", "push")["values"] == []
    assert project.run("migrate", "push")["steps"] == 0
    project.query('mutation { createOneBook(data: {id: 3, title: "c"}) { id } }')
    answer = project.query(
        "{ groupByBook(by: [due, tags, more, cover]) { due tags more cover _count { _all } } }"
    )
    assert answer["groupByBook"] == [FILLED | {"_count": {"_all": 3}}]


VISIT = (
    "model Visit {\n  id Int @id @default(autoincrement())\n  who String\n"
    "  at DateTime @default(now())\n  seen DateTime?\n}\n"
)
CREATE_VISIT = (
    'CREATE TABLE "Visit" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"who" TEXT NOT NULL,'
    '"at" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,"seen" DATETIME);\n'
)
SEED = (
    "INSERT INTO \"Visit\" (who, at) VALUES ('old', 1700000000000), ('new', 1750000000000),"
    " ('dflt', '2025-06-15 12:00:00');\n"
)
VISITS = (
    '{ a: findManyVisit(where: {at: {gte: "2025-01-01T00:00:00Z"}}, orderBy: {at: asc}) { who }'
    ' b: findManyVisit(where: {at: {lt: "2025-01-01T00:00:00Z"}}) { who }'
    ' c: findManyVisit(where: {at: "2023-11-14T22:13:20Z"}) { who } }'
)
VISITED = {"a": [{"who": "new"}, {"who": "dflt"}], "b": [{"who": "old"}], "c": [{"who": "old"}]}
VISITED["a"].reverse()


def prisma_6_file(path: Path, *, history: bool) -> None:
    connection = apsw.Connection(str(path))
    pretty = CREATE_VISIT.replace(" (", " (\n    ", 1).replace(',"', ',\n    "')
    connection.execute(pretty if not history else CREATE_VISIT)
    connection.execute(SEED)
    if history:
        connection.execute(
            'CREATE TABLE "_prisma_migrations" (id TEXT PRIMARY KEY NOT NULL, checksum TEXT NOT NULL, finished_at'
            " DATETIME, migration_name TEXT NOT NULL, logs TEXT, rolled_back_at DATETIME, started_at DATETIME NOT"
            " NULL DEFAULT current_timestamp, applied_steps_count INTEGER UNSIGNED NOT NULL DEFAULT 0)"
        )
        connection.execute(
            "INSERT INTO _prisma_migrations VALUES (?, ?, 1700000000000, '20240101000000_init', NULL, NULL,"
            " 1700000000000, 1)",
            (str(uuid.uuid4()), hashlib.sha256(CREATE_VISIT.encode()).hexdigest()),
        )
    connection.close()


def test_a_file_of_prisma_6_without_its_schema(project: Project, tmp_path: Path) -> None:
    prisma_6_file(tmp_path / "old.db", history=True)
    project.schema(VISIT)
    project.migration("20240101000000_init", CREATE_VISIT)
    project.run("import", tmp_path / "old.db", "--no-schema")
    done = project.run("migrate", "deploy")
    assert [(each["column"], each["converted"], each["left"]) for each in done["values"]] == [("at", 3, 0)]
    assert project.query(VISITS) == VISITED
    project.sql("INSERT INTO Visit (who) VALUES ('now')")
    assert project.run("verify")["values"] == []
    project.says_all_agree()


@pytest.mark.parametrize("history", [True, False])
def test_a_file_of_prisma_6_with_a_new_schema(
    project: Project, run: Run, tmp_path: Path, history: bool
) -> None:
    prisma_6_file(tmp_path / "old.db", history=history)
    before = (tmp_path / "old.db").read_bytes()
    where = ("--store", project.store, "--database", tmp_path / "new")
    done = run("import", tmp_path / "old.db", *where, "--json")
    assert done.code == 0, done
    (found,) = (each for each in done.json["findings"] if each["kind"] == "times")
    assert (found["table"], found["column"], found["message"]) == (
        "Visit",
        "at",
        "3 times converted, such as 1700000000000",
    )
    assert "at DateTime @default(now())" in " ".join((tmp_path / "new/schema.prisma").read_text().split())
    assert project.query(VISITS) == VISITED
    assert project.run("verify")["values"] == []
    assert (tmp_path / "old.db").read_bytes() == before
    assert run("migrate", "status", *where).code == (1 if history else 0)


def test_seeds_of_migrations(project: Project) -> None:
    """As epic-stack has them: rows with times in milliseconds, inserted by the migration itself."""
    project.schema(VISIT)
    project.migration("20240101000000_init", CREATE_VISIT)
    project.migration("20240102000000_seed", SEED)
    done = project.run("migrate", "deploy")
    assert [(each["column"], each["converted"]) for each in done["values"]] == [("at", 3)]
    assert project.query(VISITS) == VISITED
    # A later one is looked at as well, and touches no other table.
    project.migration("20240103000000_more", "UPDATE Visit SET seen = 1000 WHERE who = 'old';")
    done = project.run("migrate", "deploy")
    assert [(each["column"], each["converted"]) for each in done["values"]] == [("seen", 1)]
    reset = project.run("migrate", "reset", "--force")
    assert {each["column"]: each["converted"] for each in reset["values"]} == {"at": 3, "seen": 1}
    assert project.query(VISITS) == VISITED


def test_defaults_that_were_corrected_are_those_of_the_migrations(project: Project) -> None:
    """Migrations of Prisma's, whose clauses the store has in another form, and one that takes them away."""
    project.schema(
        "model A {\n  id Int @id\n  a DateTime @default(now())\n"
        "  b DateTime @default(dbgenerated(\"(datetime('now', '+1 day'))\"))\n"
        '  c DateTime @default(dbgenerated("(1700000000 * 1000)"))\n  d Json @default("[]")\n}\n'
    )
    columns = (
        '"a" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,'
        "\"b\" DATETIME NOT NULL DEFAULT (datetime('now', '+1 day')),"
        '"c" DATETIME NOT NULL DEFAULT (1700000000 * 1000),"d" JSONB NOT NULL DEFAULT []'
    )
    project.migration(
        "1_init", f'CREATE TABLE "A" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,{columns});'
    )
    project.run("migrate", "deploy")
    project.says_all_agree()
    project.sql("INSERT INTO A (id) VALUES (1)")
    project.query("mutation { createOneA(data: {id: 2}) { id } }")
    for row in project.query("{ findManyA { c d } }")["findManyA"]:
        assert row == {"c": "2023-11-14T22:13:20.000Z", "d": "[]"}
    assert project.run("verify")["values"] == []
    project.schema("model A {\n  id Int @id\n  a DateTime\n  d Json\n}\n")
    project.migration(
        "2_plain",
        'PRAGMA foreign_keys=OFF;\nCREATE TABLE "new_A" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,'
        ' "a" DATETIME NOT NULL, "d" JSONB NOT NULL);\n'
        'INSERT INTO "new_A" ("id", "a", "d") SELECT "id", "a", "d" FROM "A";\n'
        'DROP TABLE "A";\nALTER TABLE "new_A" RENAME TO "A";\nPRAGMA foreign_keys=ON;\n',
    )
    project.run("migrate", "deploy")
    project.says_all_agree()


def test_what_others_write_is_told_and_converted(project: Project) -> None:
    project.schema(VISIT)
    project.migration(
        "20240101000000_init",
        CREATE_VISIT + "CREATE TRIGGER seen AFTER INSERT ON Visit WHEN new.seen IS NULL BEGIN"
        " UPDATE Visit SET seen = CURRENT_TIMESTAMP WHERE id = new.id; END;",
    )
    project.run("migrate", "deploy")
    project.query('mutation { createOneVisit(data: {who: "x"}) { id } }')
    project.sql("INSERT INTO Visit (who, at, seen) VALUES ('y', 1700000000000, 'never')")
    found = project.run("verify")
    assert found["ok"]
    assert len(found["values"]) == 2
    assert "Visit.at: 1 value not in the form of DateTime, such as 1700000000000" in found["values"]
    assert any(each.startswith("Visit.seen: 2 values") for each in found["values"])
    tried = project.run("repair", "--dry-run", code=1)
    assert project.run("verify")["values"] == found["values"]
    done = project.run("repair", code=1)
    assert tried["values"] == done["values"]
    counts = {each["column"]: (each["converted"], each["left"]) for each in done["values"]}
    assert counts == {"at": (1, 0), "seen": (1, 1)}
    assert project.run("verify")["values"] == [
        "Visit.seen: 1 value not in the form of DateTime, such as 'never'"
    ]
    project.sql("UPDATE Visit SET seen = NULL WHERE seen = 'never'")
    assert project.run("repair")["values"] == []


def test_people_read_it_too(project: Project, run: Run) -> None:
    project.schema(VISIT)
    project.migration("20240101000000_init", CREATE_VISIT)
    project.run("migrate", "deploy")
    project.sql(SEED + "INSERT INTO Visit (who, at) VALUES ('z', 'soon');")
    where = ("--store", project.store)
    out = run("verify", *where).out
    assert "no faults" in out
    assert "Visit.at: 4 values not in the form of DateTime" in out
    assert "lamdb repair" in out
    done = run("repair", *where)
    assert done.code == 1
    assert (
        "warning: Visit.at: 3 values brought into the form of DateTime; 1 value not in the form" in done.out
    )
    project.sql("DELETE FROM Visit WHERE who = 'z'")
    done = run("repair", *where)
    assert (done.code, done.out.partition(":")[0]) == (0, "All values are in the form of their type")


def test_a_warning_is_printed_once(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # As in a process of its own, where nothing handles what is logged.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    project.schema(VISIT)
    project.migration(
        "20240101000000_init", CREATE_VISIT + "INSERT INTO Visit (who, at) VALUES ('z', 'soon');"
    )
    where = ("--store", project.store)
    done = run("migrate", "deploy", *where, "--database", project.directory)
    assert (done.out.count("Visit.at"), done.err) == (1, "")
    done = run("repair", *where)
    assert (done.out.count("Visit.at"), done.err) == (1, "")


def test_a_store_without_a_schema_has_nothing_to_repair(project: Project) -> None:
    project.sql("CREATE TABLE t (at DATETIME); INSERT INTO t VALUES (0)")
    assert project.run("repair")["values"] == []
    assert project.run("verify")["values"] == []
