"""The operator API in process: what operators see and do, and how errors look."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from graphql import build_client_schema, get_introspection_query, print_schema
from tests.support.faulty_store import FaultyStore
from tests.unit.operator.conftest import Ask, code, posted

from lamdb.errors import StoreUnavailable
from lamdb.graphql import stored_schema
from lamdb.graphql.from_settings import serving
from lamdb.graphql.request import GraphQLRequest
from lamdb.operator import engine
from lamdb.operator.api import OperatorApi, OperatorContext
from lamdb.operator.schema import operator_schema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrations import Migration
from lamdb.settings import Settings
from lamdb.storage import Database, open_store

SCHEMA = 'datasource db {\n  provider = "sqlite"\n}\n\nmodel Tag {\n  id Int @id\n  name String @unique\n}\n'
WIDER = SCHEMA.replace("@unique\n", "@unique\n  size Int?\n")
INIT = {
    "name": "20260101000000_init",
    "sql": 'CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT NOT NULL);\n'
    'CREATE UNIQUE INDEX "Tag_name_key" ON "Tag"("name");\n',
}
SIZE = {"name": "20260102000000_size", "sql": 'ALTER TABLE "Tag" ADD COLUMN "size" INTEGER;\n'}
ROWS = {"name": "20260103000000_rows", "sql": "INSERT INTO \"Tag\" (id, name) VALUES (1, 'é'), (2, 'b');\n"}

MIGRATE = """
mutation ($m: [MigrationInput!]!, $s: String, $f: [SchemaFileInput!], $dry: Boolean, $any: Boolean) {
  migrate(migrations: $m, schema: $s, files: $f, dryRun: $dry, allowUnmigrated: $any) {
    applied { name milliseconds changedRows } schemaChanged txid dryRun
  }
}"""


def migrated(ask: Ask, *migrations: dict[str, str], schema: str | None = SCHEMA, **more: Any) -> Any:
    return ask(MIGRATE, {"m": list(migrations), "s": schema, **more})


def rows(database: Database, sql: str) -> list[Any]:
    with database.reader() as connection:
        return list(connection.execute(sql))


# Reading


def test_an_empty_store(ask: Ask) -> None:
    answer = ask(
        "{ database { store txid committedAt size pages levels { level } uncompactedFiles lag schemaHash"
        " readOnly }"
        " schema schemaFiles { name } migrations { name } restorePoints { txid } slowOperations { hash }"
        " documents { hash } }"
    )
    assert answer == {
        "data": {
            "database": {
                "store": "memory:",
                "txid": 0,
                "committedAt": None,
                "size": 0,
                "pages": 0,
                "levels": [],
                "uncompactedFiles": 0,
                "lag": 0,
                "schemaHash": None,
                "readOnly": False,
            },
            "schema": None,
            "schemaFiles": [],
            "migrations": [],
            "restorePoints": [],
            "slowOperations": [],
            "documents": [],
        }
    }


def test_a_database(ask: Ask, database: Database) -> None:
    before = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert migrated(ask, INIT, ROWS)["data"]["migrate"]["txid"] == 1
    data = ask(
        "{ database { txid committedAt size pageSize pages schemaHash"
        " levels { level files size minTxid maxTxid } versions { lamdb sqlite prisma python } }"
        " schema schemaFiles { name text } restorePoints { txid time size level } }"
    )["data"]
    shown = data["database"]
    assert shown["txid"] == database.txid == 1
    assert before <= shown["committedAt"] < "2100"
    assert shown["size"] == shown["pages"] * shown["pageSize"] == database.pages.head.commit * 8192
    assert shown["schemaHash"] == stored_schema.hash_of(PrismaSchema.parse(SCHEMA))
    (level,) = shown["levels"]
    assert (level["level"], level["files"], level["minTxid"], level["maxTxid"]) == (0, 1, 1, 1)
    assert level["size"] == sum(file.size for file in database.pages.replica.every_file())
    assert shown["versions"]["sqlite"] == apsw.sqlite_lib_version()
    assert (data["schema"], data["schemaFiles"]) == (SCHEMA, [{"name": "schema.prisma", "text": SCHEMA}])
    point = {"txid": 1, "time": shown["committedAt"], "size": shown["size"], "level": 0}
    assert data["restorePoints"] == [point]


def test_the_history(ask: Ask, database: Database) -> None:
    migrated(ask, INIT)
    with database.writer() as connection:
        connection.execute(
            "INSERT INTO _prisma_migrations"
            " (id, checksum, migration_name, logs, started_at, rolled_back_at, applied_steps_count)"
            " VALUES ('x', 'c', '20260105_failed', 'oops', '2099-01-01 10:00:00.5', 4070944800000, 0)"
        )
    fields = "name checksum startedAt finishedAt rolledBackAt steps logs"
    first, second = ask(f"{{ migrations {{ {fields} }} }}")["data"]["migrations"]
    assert first["name"] == INIT["name"]
    assert first["checksum"] == Migration(INIT["name"], INIT["sql"]).checksum
    assert first["startedAt"] <= first["finishedAt"]
    assert (first["steps"], first["rolledBackAt"], first["logs"]) == (1, None, None)
    assert second == {
        "name": "20260105_failed",
        "checksum": "c",
        "startedAt": "2099-01-01T10:00:00.500Z",
        "finishedAt": None,
        "rolledBackAt": "2099-01-01T10:00:00.000Z",
        "steps": 0,
        "logs": "oops",
    }


def test_what_another_process_wrote_is_seen(tmp_path: Path, settings: Settings) -> None:
    pytest.importorskip("tartiflette")
    url = f"file://{tmp_path}"
    with Database.open(url) as mine, Database.open(url) as other:
        api = OperatorApi(OperatorContext(mine, serving(settings), settings, read_only=True))
        for _ in range(3):
            with other.writer() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
                connection.execute("INSERT INTO t VALUES (1)")
        response = api.handle(posted("{ database { lag txid readOnly } }"))
        assert json.loads(response.body)["data"]["database"] == {"lag": 3, "txid": 3, "readOnly": True}
        assert response.headers["x-lamdb-txid"] == "3"


@pytest.mark.parametrize("first", [0, -1, 1001])
def test_how_much_may_be_asked_for(ask: Ask, first: int) -> None:
    for name in ("restorePoints", "slowOperations", "documents"):
        answer = ask(f"query ($n: Int) {{ {name}(first: $n) {{ __typename }} }}", {"n": first})
        assert code(answer) == "BAD_VARIABLES"


def test_lists_are_newest_first_and_as_long_as_asked(ask: Ask, database: Database) -> None:
    for value in range(5):
        with database.writer() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
            connection.execute("INSERT INTO t VALUES (?)", (value,))
    assert ask("{ restorePoints(first: 2) { txid } }")["data"]["restorePoints"] == [{"txid": 5}, {"txid": 4}]


# What is slow, and what is kept


def test_slow_operations_and_documents_without_a_value(
    api: OperatorApi, ask: Ask, database: Database
) -> None:
    migrated(ask, INIT, ROWS)
    apis = api._context.apis
    secret = "s3cr3t"
    for name in (secret, "other"):
        apis.execute(
            database, GraphQLRequest(f'query Named {{ findManyTag(where: {{name: "{name}"}}) {{ id }} }}')
        )
    variables = {"n": secret}
    apis.execute(
        database,
        GraphQLRequest("query ($n: String) { findManyTag(where: {name: {equals: $n}}) { id } }", variables),
    )
    apis.execute(database, GraphQLRequest('mutation M { createOneTag(data: {id: 9, name: "x"}) { id } }'))
    apis.execute(database, GraphQLRequest("{ nope }"))
    data = ask(
        "{ slowOperations { name kind hash count slowestMs totalMs lastAt }"
        " documents { hash name kind size uses } }"
    )["data"]
    slow = {(each["name"], each["kind"]): each for each in data["slowOperations"]}
    assert set(slow) == {("Named", "query"), (None, "query"), ("M", "mutation")}
    named = slow["Named", "query"]
    assert named["count"] == 2, "they differ in a literal only"
    assert 0 < named["slowestMs"] <= named["totalMs"]
    assert [each["slowestMs"] for each in data["slowOperations"]] == sorted(
        (each["slowestMs"] for each in data["slowOperations"]), reverse=True
    )
    kept = data["documents"]
    assert kept[0]["name"] == "M", "used last"
    assert {each["hash"] for each in kept} == {each["hash"] for each in data["slowOperations"]}
    assert secret not in json.dumps(data)
    assert (
        len(ask("{ documents(first: 1) { hash } slowOperations(first: 2) { hash } }")["data"]["documents"])
        == 1
    )


def test_uses_are_counted(api: OperatorApi, ask: Ask, database: Database) -> None:
    migrated(ask, INIT)
    for _ in range(3):
        api._context.apis.execute(database, GraphQLRequest("{ findManyTag { id } }"))
    (kept,) = ask("{ documents { kind uses size } }")["data"]["documents"]
    assert (kept["kind"], kept["size"]) == ("query", len("{ findManyTag { id } }"))
    # Being named in the list of slow operations is a use, too: the first asked for its name.
    assert kept["uses"] >= 3


def test_what_is_quick_is_not_listed(ask: Ask, api: OperatorApi, database: Database) -> None:
    migrated(ask, INIT)
    api._context.apis.slow.threshold = 3600.0
    api._context.apis.execute(database, GraphQLRequest("{ findManyTag { id } }"))
    assert ask("{ slowOperations { hash } }")["data"]["slowOperations"] == []


# Migrations


def test_a_deployment(ask: Ask, database: Database) -> None:
    done = migrated(ask, ROWS, INIT)["data"]["migrate"]
    assert [each["name"] for each in done["applied"]] == [INIT["name"], ROWS["name"]]
    assert [each["changedRows"] for each in done["applied"]] == [0, 2]
    assert (done["schemaChanged"], done["txid"], done["dryRun"]) == (True, 1, False)
    again = migrated(ask, INIT, ROWS)["data"]["migrate"]
    assert (again["applied"], again["schemaChanged"], again["txid"]) == ([], False, 1)
    assert rows(database, "SELECT name FROM Tag ORDER BY id") == [("é",), ("b",)]


def test_a_dry_run_keeps_nothing(ask: Ask, database: Database) -> None:
    migrated(ask, INIT)
    done = migrated(ask, INIT, ROWS, SIZE, schema=WIDER, dry=True)["data"]["migrate"]
    assert [each["name"] for each in done["applied"]] == [SIZE["name"], ROWS["name"]]
    assert (done["schemaChanged"], done["txid"], done["dryRun"]) == (True, 1, True)
    assert rows(database, "SELECT * FROM Tag") == []
    assert ask("{ schema migrations { name } }")["data"] == {
        "schema": SCHEMA,
        "migrations": [{"name": INIT["name"]}],
    }


@pytest.mark.parametrize("sql", ["ATTACH 'x.db' AS x", "VACUUM INTO 'x.db'", "PRAGMA writable_schema=ON"])
def test_scripts_stay_inside_their_database(
    ask: Ask, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for dry in (True, False):
        (error,) = migrated(ask, {"name": "0_bad", "sql": sql}, dry=dry, any=True)["errors"]
        assert error["extensions"]["code"] == "P3018"
        assert "is not allowed" in error["message"]
        assert sql in error["message"]
    assert not list(tmp_path.iterdir())
    assert rows(database, "SELECT name FROM sqlite_schema") == []


def test_what_cannot_be_kept_is_taken_away_if_that_is_said(ask: Ask, database: Database) -> None:
    trigger = (
        "CREATE TABLE old (a);\nINSERT INTO old VALUES (1);\n"
        'CREATE TRIGGER t AFTER UPDATE OF name ON "Tag" BEGIN DELETE FROM old; END;\n'
    )
    rebuild = (
        'CREATE TABLE "new_Tag" ("id" INTEGER NOT NULL PRIMARY KEY);\n'
        'INSERT INTO "new_Tag" ("id") SELECT "id" FROM "Tag";\n'
        'DROP TABLE "Tag";\nALTER TABLE "new_Tag" RENAME TO "Tag";\n'
    )
    first, second = {"name": "3_trigger", "sql": trigger}, {"name": "4_rebuild", "sql": rebuild}
    migrated(ask, INIT, first, any=True)
    (error,) = migrated(ask, INIT, first, second, any=True)["errors"]
    assert error["extensions"]["code"] == "MIGRATION_LOSS"
    assert "the trigger t" in error["message"]
    document = MIGRATE.replace("allowUnmigrated: $any", "allowUnmigrated: $any, acceptDataLoss: true")
    done = ask(document, {"m": [INIT, first, second], "s": SCHEMA, "any": True})["data"]["migrate"]
    assert [each["name"] for each in done["applied"]] == ["4_rebuild"]
    assert rows(database, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == [(0,)]


def test_a_schema_of_several_files(ask: Ask) -> None:
    head, model = SCHEMA.split("model", 1)
    files = [{"name": "schema.prisma", "text": head}, {"name": "models/tag.prisma", "text": "model" + model}]
    migrated(ask, INIT, schema=None, f=files)
    data = ask("{ database { schemaHash } schemaFiles { name text } }")["data"]
    assert sorted(data["schemaFiles"], key=str) == sorted(files, key=str)
    expected = stored_schema.hash_of(PrismaSchema.parse({each["name"]: each["text"] for each in files}))
    assert data["database"]["schemaHash"] == expected


@pytest.mark.parametrize(
    ("migrations", "more", "expected"),
    [
        ([INIT, {"name": "2_bad", "sql": "SELECT 1;\nINSERT INTO nope VALUES (1);"}], {}, "P3018"),
        ([{**INIT, "sql": "SELECT 1;"}], {}, "MIGRATION_EDITED"),
        ([SIZE], {}, "MIGRATION_MISSING"),
        ([INIT, INIT], {}, "MIGRATION"),
        ([INIT], {"schema": WIDER}, "MIGRATION"),
        ([INIT], {"schema": "model"}, "P1012"),
        ([INIT], {"schema": None}, "BAD_VARIABLES"),
        ([INIT], {"f": [{"name": "a.prisma", "text": SCHEMA}]}, "BAD_VARIABLES"),
    ],
)
def test_a_deployment_that_is_refused(
    ask: Ask, database: Database, migrations: list[dict[str, str]], more: Any, expected: str
) -> None:
    migrated(ask, INIT)
    answer = migrated(ask, *migrations, **more)
    assert (code(answer), answer["data"]) == (expected, None)
    assert answer["errors"][0]["path"] == ["migrate"]
    assert answer["errors"][0]["locations"] == [{"line": 3, "column": 3}]
    assert database.txid == 1


def test_what_fails_says_where(ask: Ask) -> None:
    bad = {"name": "2_bad", "sql": "SELECT 1;\nINSERT INTO nope VALUES (1);"}
    error = migrated(ask, INIT, bad)["errors"][0]
    assert "2_bad failed at line 2" in error["message"]
    assert error["extensions"]["meta"]["line"] == 2


def test_what_only_the_data_forbids_leaves_nothing(ask: Ask, database: Database) -> None:
    migrated(ask, INIT, ROWS)
    twice = {"name": "2_more", "sql": 'CREATE TABLE x (a);\nINSERT INTO "Tag" SELECT id, \'z\' FROM "Tag";'}
    answer = migrated(ask, INIT, ROWS, twice, any=True)
    assert code(answer) == "P3018"
    assert database.txid == 1
    assert rows(database, "SELECT name FROM sqlite_master WHERE name = 'x'") == []


def test_a_schema_that_no_migration_leads_to_can_be_forced(ask: Ask) -> None:
    assert migrated(ask, INIT, schema=WIDER, any=True)["data"]["migrate"]["schemaChanged"] is True


def test_a_migration_is_recorded_without_being_applied(ask: Ask, database: Database) -> None:
    with database.writer() as connection:
        connection.execute(INIT["sql"])
    assert code(migrated(ask, INIT)) == "P3005"
    resolve = (
        "mutation ($n: String!, $as: Resolution!, $m: [MigrationInput!])"
        "{ resolve(migration: $n, as: $as, migrations: $m) { name steps checksum rolledBackAt } }"
    )
    name = INIT["name"]
    assert code(ask(resolve, {"n": name, "as": "APPLIED"})) == "P3017"
    done = ask(resolve, {"n": name, "as": "APPLIED", "m": [INIT]})["data"]["resolve"]
    assert (done["name"], done["steps"]) == (name, 0)
    assert done["checksum"] == Migration(name, INIT["sql"]).checksum
    assert migrated(ask, INIT)["data"]["migrate"]["applied"] == []
    assert code(ask(resolve, {"n": name, "as": "ROLLED_BACK"})) == "P3012"


def test_a_failed_migration_is_marked_as_rolled_back(ask: Ask, database: Database) -> None:
    migrated(ask, INIT)
    with database.writer() as connection:
        connection.execute(
            "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at)"
            " VALUES ('x', 'c', ?, 4070944800000)",
            (ROWS["name"],),
        )
    assert code(migrated(ask, INIT, ROWS)) == "P3009"
    done = ask(f'mutation {{ resolve(migration: "{ROWS["name"]}", as: ROLLED_BACK) {{ rolledBackAt }} }}')
    assert done["data"]["resolve"]["rolledBackAt"].endswith("Z")
    assert migrated(ask, INIT, ROWS)["data"]["migrate"]["applied"][0]["name"] == ROWS["name"]


# Upkeep


def fill(database: Database, commits: int) -> None:
    for value in range(commits):
        with database.writer() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
            connection.execute("INSERT INTO t VALUES (?)", (value,))


def test_compaction(ask: Ask, database: Database) -> None:
    fill(database, 20)
    assert ask("{ database { uncompactedFiles } }")["data"]["database"]["uncompactedFiles"] == 16
    done = ask(
        "mutation { compact(seconds: 30)"
        " { finished merges bytesRead bytesWritten deleted uncompactedFiles } }"
    )["data"]["compact"]
    assert (done["finished"], done["merges"], done["deleted"], done["uncompactedFiles"]) == (True, 1, 0, 0)
    assert done["bytesRead"] > done["bytesWritten"] > 0
    levels = ask("{ database { levels { level files } } }")["data"]["database"]["levels"]
    assert {"level": 2, "files": 1} in levels


@pytest.mark.parametrize("prune", ["true", "false"])
def test_compaction_is_planned_without_doing_it(ask: Ask, database: Database, prune: str) -> None:
    fill(database, 20)

    def plan() -> object:
        done = ask(
            f"mutation {{ compact(dryRun: true, prune: {prune})"
            " { finished merges bytesRead bytesWritten deleted uncompactedFiles } }"
        )["data"]["compact"]
        return tuple(done.values())

    assert plan() == (False, 1, 0, 0, 0, 16)
    assert ask("{ database { uncompactedFiles } }")["data"]["database"]["uncompactedFiles"] == 16
    ask(f"mutation {{ compact(seconds: 30, prune: {prune}) {{ finished }} }}")
    assert plan() == (True, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("seconds", ["0", "0.05", "601", "-1"])
def test_how_long_compaction_may_take(ask: Ask, seconds: str) -> None:
    assert code(ask(f"mutation {{ compact(seconds: {seconds}) {{ finished }} }}")) == "BAD_VARIABLES"


def test_a_slice_too_short_goes_on_with_the_next(ask: Ask, database: Database) -> None:
    fill(database, 300)
    finished = False
    for _ in range(100):
        done = ask("mutation { compact(seconds: 0.1, prune: false) { finished deleted } }")["data"]["compact"]
        finished = done["finished"]
        if finished:
            break
    assert finished
    assert rows(database, "SELECT count(*) FROM t") == [(300,)]


def test_a_snapshot(ask: Ask, database: Database) -> None:
    assert code(ask("mutation { snapshot { txid } }")) == "NOT_A_STORE"
    fill(database, 3)
    made = ask("mutation { snapshot { txid size level time } }")["data"]["snapshot"]
    assert (made["txid"], made["level"]) == (3, 9)
    assert made["size"] == database.pages.head.commit * database.pages.head.page_size
    assert ask("mutation { snapshot { txid } }")["data"]["snapshot"]["txid"] == 3, "there is one already"
    fill(database, 300)
    assert ask("mutation { snapshot { txid } }")["data"]["snapshot"]["txid"] == 303
    with Database(database._store, create=False) as again:
        assert rows(again, "SELECT count(*) FROM t") == [(303,)]
        assert len(again.pages.replica.files()) >= 1
    assert ask("mutation { verify { ok faults } }")["data"]["verify"] == {"ok": True, "faults": []}


def test_verification(ask: Ask, database: Database) -> None:
    assert code(ask("mutation { verify { ok } }")) == "NOT_A_STORE"
    fill(database, 3)
    found = ask("mutation { verify { ok txid size faults } }")["data"]["verify"]
    assert found == {"ok": True, "txid": 3, "size": database.pages.head.commit * 8192, "faults": []}
    assert ask("mutation { verify(txid: 2) { txid } }")["data"]["verify"]["txid"] == 2
    # Litestream cannot read what is in the memory of this process.
    assert code(ask("mutation { verify(litestream: true) { litestreamTxid } }")) == "SETTINGS"
    assert code(ask("mutation { verify(txid: 4) { txid } }")) == "NOT_RESTORABLE"


COLUMNS = "table column type converted left example reason"


def test_values_are_brought_into_the_form_of_their_type(ask: Ask, database: Database) -> None:
    seed = {"name": "20260102000000_seed", "sql": "INSERT INTO Tag VALUES (1, x'61'), (2, x'ff');"}
    variables = {"m": [INIT, seed], "s": SCHEMA}
    migrate = f"mutation ($m: [MigrationInput!]!, $s: String, $d: Boolean) {{ migrate(migrations: $m, schema: $s, dryRun: $d) {{ columns {{ {COLUMNS} }} }} }}"  # noqa: E501
    column = {"table": "Tag", "column": "name", "type": "String", "example": "X'FF'", "reason": None}
    expected = {"columns": [column | {"converted": 1, "left": 1}]}
    for dry_run in (True, False):
        assert ask(migrate, variables | {"d": dry_run})["data"]["migrate"] == expected
    with database.writer() as connection:
        connection.execute("INSERT INTO Tag VALUES (3, x'62')")
    found = ask("mutation { verify { ok columns } }")["data"]["verify"]
    assert found["ok"]
    assert len(found["columns"]) == 1
    assert found["columns"][0].startswith("Tag.name: 2 values not in the form of String")
    for dry_run in ("true", "false"):
        repair = f"mutation {{ repair(dryRun: {dry_run}) {{ dryRun txid columns {{ {COLUMNS} }} }} }}"
        done = ask(repair)["data"]["repair"]
        assert done == expected | {"dryRun": dry_run == "true", "txid": database.refresh()}
    assert rows(database, "SELECT name FROM Tag ORDER BY id") == [("a",), (b"\xff",), ("b",)]


def test_a_restore_to_a_new_store(ask: Ask, database: Database, tmp_path: Path) -> None:
    fill(database, 3)
    (second,) = (p for p in ask("{ restorePoints { txid time } }")["data"]["restorePoints"] if p["txid"] == 2)
    restore = (
        "mutation ($to: String!, $txid: Long, $at: DateTime)"
        " { restore(to: $to, txid: $txid, at: $at) { store txid size } }"
    )
    newest, past, then = (f"file://{tmp_path}/{name}" for name in ("newest", "past", "then"))
    assert ask(restore, {"to": newest})["data"]["restore"]["txid"] == 3
    assert ask(restore, {"to": past, "txid": 2})["data"]["restore"]["txid"] == 2
    assert ask(restore, {"to": then, "at": second["time"]})["data"]["restore"]["txid"] in (2, 3)
    with Database.open(past, create=False) as restored:
        assert rows(restored, "SELECT count(*) FROM t") == [(2,)]
    assert code(ask(restore, {"to": newest})) == "NOT_EMPTY"
    assert code(ask(restore, {"to": past, "txid": 9})) == "NOT_EMPTY"
    assert code(ask(restore, {"to": f"{past}2", "txid": 9})) == "NOT_RESTORABLE"
    assert code(ask(restore, {"to": "memory:"})) == "BAD_VARIABLES"
    assert code(ask(restore, {"to": "ftp://x"})) == "SETTINGS"
    assert code(ask(restore, {"to": f"{past}3", "txid": 2, "at": second["time"]})) == "BAD_VARIABLES"
    assert database.txid == 3


RESET = """
mutation ($c: String!, $m: [MigrationInput!], $s: String) {
  reset(confirm: $c, migrations: $m, schema: $s) { before txid applied { name } }
}"""


def test_a_reset(ask: Ask, database: Database, tmp_path: Path) -> None:
    migrated(ask, INIT, ROWS)
    for confirm in ("", "yes", "memory", "memory:/"):
        assert code(ask(RESET, {"c": confirm})) == "BAD_VARIABLES"
    assert database.txid == 1
    done = ask(RESET, {"c": "memory:", "m": [SIZE, INIT], "s": WIDER})["data"]["reset"]
    assert (done["before"], done["txid"]) == (1, 2)
    assert [each["name"] for each in done["applied"]] == [INIT["name"], SIZE["name"]]
    assert rows(database, "SELECT * FROM Tag") == []
    # What was there can be had back.
    to = f"file://{tmp_path}/back"
    ask("mutation ($to: String!) { restore(to: $to, txid: 1) { txid } }", {"to": to})
    with Database.open(to, create=False) as restored:
        assert rows(restored, "SELECT count(*) FROM Tag") == [(2,)]


def test_a_reset_to_nothing(ask: Ask, database: Database) -> None:
    migrated(ask, INIT)
    assert ask(RESET, {"c": "memory:"})["data"]["reset"]["applied"] == []
    assert ask("{ schema migrations { name } database { schemaHash } }")["data"] == {
        "schema": None,
        "migrations": [],
        "database": {"schemaHash": None},
    }
    assert code(ask(RESET, {"c": "memory:", "m": [INIT]})) == "BAD_VARIABLES"
    assert code(ask(RESET, {"c": "memory:", "m": [INIT], "s": WIDER})) == "MIGRATION"


# Who may not


def test_readers_change_nothing(database: Database, settings: Settings) -> None:
    api = OperatorApi(OperatorContext(database, serving(settings), settings, read_only=True))
    for mutation in (
        "snapshot { txid }",
        "compact { finished }",
        'reset(confirm: "memory:") { txid }',
        'a: restore(to: "file:///nowhere") { txid }',
    ):
        response = api.handle(posted(f"mutation {{ {mutation} }}"))
        assert code(json.loads(response.body)) == "READ_ONLY"
    assert json.loads(api.handle(posted("mutation { __typename }")).body) == {
        "data": {"__typename": "Mutation"}
    }


# How it is asked


def test_only_json_by_post(api: OperatorApi) -> None:
    request = posted("{ schema }")
    assert api.handle(request).status == 200
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        refused = api.handle(replace(request, method=method, query="query={schema}"))
        assert (refused.status, refused.headers["allow"]) == (405, "POST")
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/graphql",
    ):
        assert api.handle(replace(request, headers={"content-type": content_type})).status == 415
    assert api.handle(replace(request, headers={})).status == 415
    assert api.handle(replace(request, body=b"{")).status == 400
    assert api.handle(replace(request, body=b"[]")).status == 400


def test_media_types_and_status(api: OperatorApi) -> None:
    accept = {"content-type": "application/json", "accept": "application/graphql-response+json"}
    response = api.handle(replace(posted("{ schema }"), headers=accept))
    assert response.headers["content-type"].startswith("application/graphql-response+json")
    assert response.headers["cache-control"] == "no-store"
    assert api.handle(replace(posted("{ nope }"), headers=accept)).status == 400
    assert api.handle(replace(posted("{ schema }"), headers={**accept, "accept": "text/html"})).status == 406


def test_operations_are_chosen_by_name(ask: Ask) -> None:
    document = "query A { schema } query B { a: schema }"
    assert ask(document, operationName="B") == {"data": {"a": None}}
    assert code(ask(document)) == "OPERATION_RESOLUTION_FAILURE"
    assert code(ask(document, operationName="C")) == "OPERATION_RESOLUTION_FAILURE"


def test_the_order_of_fields_is_kept(ask: Ask) -> None:
    answer = ask('{ z: schema __typename a: migrations { name } t: __type(name: "Long") { kind } b: schema }')
    assert list(answer["data"]) == ["z", "__typename", "a", "t", "b"]


def test_a_store_that_fails_is_an_error_of_its_field(settings: Settings) -> None:
    pytest.importorskip("tartiflette")
    store = FaultyStore(open_store("memory:"))
    with Database(store) as database:
        fill(database, 1)
        api = OperatorApi(OperatorContext(database, serving(settings), settings))
        store.fail("*", times=-1)
        response = api.handle(posted("{ __typename database { txid } }"))
        answer = json.loads(response.body)
        assert code(answer) == StoreUnavailable.code
        assert answer["errors"][0]["path"] == ["database"]
        assert answer["data"] is None
        store.heal()
        assert json.loads(api.handle(posted("{ database { txid } }")).body)["data"]["database"]["txid"] == 1


def test_faults_show_no_detail(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr(Database, "refresh", fault)
    answer = ask("{ database { txid } }")
    assert code(answer) == "INTERNAL"
    assert "secret" not in json.dumps(answer)


def test_without_tartiflette_it_says_what_to_do(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'tartiflette'")

    monkeypatch.setattr(engine, "import_module", missing)
    monkeypatch.setattr(engine, "_engine", None)
    api = OperatorApi(OperatorContext(database, serving(settings), settings))
    response = api.handle(posted("{ schema }"))
    assert response.status == 501
    error = json.loads(response.body)["errors"][0]
    assert error["extensions"]["code"] == "OPERATOR_UNAVAILABLE"
    assert "g++" in error["extensions"]["hint"]
    # What needs no tartiflette works all the same.
    assert json.loads(api.handle(posted("{ __typename }")).body) == {"data": {"__typename": "Query"}}
    assert api.handle(posted("{ nope }")).status == 400


def test_threads_do_not_meet(api: OperatorApi, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first requests load tartiflette at once, and each gets the answer to its own question."""
    monkeypatch.setattr(engine, "_engine", None)
    fill(database, 8)

    def points(number: int) -> list[int]:
        query = f"query ($n: Int) {{ list{number}: restorePoints(first: $n) {{ txid }} }}"
        answer = json.loads(api.handle(posted(query, {"n": number})).body)
        return [each["txid"] for each in answer["data"][f"list{number}"]]

    wanted = [number % 8 + 1 for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(points, wanted))
    assert found == [list(range(8, 8 - number, -1)) for number in wanted]


def test_readers_see_one_state(api: OperatorApi, ask: Ask, database: Database) -> None:
    """All fields of a request are of the transaction that it names, whatever is written meanwhile."""
    fill(database, 1)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with database.writer() as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS _prisma_migrations (migration_name, checksum,"
                    " started_at, finished_at, rolled_back_at, applied_steps_count, logs)"
                )
                connection.execute("INSERT INTO _prisma_migrations VALUES ('m', 'c', 1, 1, NULL, 1, NULL)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            data = ask("{ database { txid } migrations { name } again: database { txid } }")["data"]
            # One migration for each transaction but the first.
            assert len(data["migrations"]) == data["database"]["txid"] - 1
            assert data["again"] == data["database"]
    finally:
        stop.set()
        writer.join()


# The types


def test_introspection_gives_the_sdl(ask: Ask) -> None:
    everything = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    client = build_client_schema(ask(everything)["data"])
    assert print_schema(client) == print_schema(operator_schema())


def test_tartiflette_has_the_same_types() -> None:
    """Those who execute and those who validate have read the same SDL."""
    pytest.importorskip("tartiflette")
    schema = engine.load()._schema
    for name, kind in operator_schema().type_map.items():
        if not name.startswith("__"):
            theirs = schema.find_type(name)
            fields = getattr(kind, "fields", None)
            if fields is not None and hasattr(theirs, "implemented_fields"):
                assert {n for n in theirs.implemented_fields if not n.startswith("__")} == set(fields)


def test_every_root_field_has_a_resolver() -> None:
    schema = operator_schema()
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    roots = {
        f"{kind.name}.{name}" for kind in (schema.query_type, schema.mutation_type) for name in kind.fields
    }
    assert roots <= set(engine.RESOLVERS)
