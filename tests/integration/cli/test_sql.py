"""`lamdb sql` and `lamdb shell` on a store, and as they ask an address."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.command_line import Recorder, Run, recorder, run

from lamdb.cli.shell import Shell, is_complete
from lamdb.cli.sql_client import SqlClient, StatementResult
from lamdb.cli.sql_results import as_csv, as_json, as_table
from lamdb.cli.targets import stack
from lamdb.cli.targets.sql_store import SqlStoreTarget
from lamdb.settings import Settings
from lamdb.storage import Database

__all__ = ["recorder", "run"]

SCHEMA = """datasource db {
  provider = "sqlite"
}

model Tag {
  id    Int     @id @default(autoincrement())
  name  String  @unique
  size  BigInt?
  image Bytes?
}
"""


@pytest.fixture
def store(tmp_path: Path, run: Run) -> str:
    """A store with the table Tag and two rows."""
    directory = tmp_path / "database"
    directory.mkdir()
    (directory / "schema.prisma").write_text(SCHEMA)
    url = (tmp_path / "store").as_uri()
    assert run("migrate", "push", "--store", url, "--database", directory).code == 0
    rows = """('news', 4611686018427387905, x'00ff'), ('ä, "b"', NULL, NULL)"""
    assert (
        run("sql", f"INSERT INTO Tag (name, size, image) VALUES {rows}", "--store", url).out
        == "2 rows changed\n"
    )
    return url


def test_a_table_is_for_people(run: Run, store: str) -> None:
    done = run("sql", "SELECT * FROM Tag", "--store", store)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "id  name                   size  image",
        "--  ------  -------------------  -------",
        " 1  news    4611686018427387905  x'00ff'",
        ' 2  ä, "b"                 NULL  NULL',
    ]


def test_csv_and_json_are_for_programs(run: Run, store: str) -> None:
    printed = run("sql", "SELECT * FROM Tag", "--csv", "--store", store).out
    assert list(csv.reader(io.StringIO(printed))) == [
        ["id", "name", "size", "image"],
        ["1", "news", "4611686018427387905", "00ff"],
        ["2", 'ä, "b"', "", ""],
    ]
    assert run("sql", "SELECT * FROM Tag", "--json", "--store", store).json == {
        "columns": ["id", "name", "size", "image"],
        "rows": [
            {"id": 1, "name": "news", "size": 4611686018427387905, "image": "AP8="},
            {"id": 2, "name": 'ä, "b"', "size": None, "image": None},
        ],
        "changes": 0,
        "lastInsertRowid": None,
    }
    inserted = run("sql", "INSERT INTO Tag (name) VALUES ('c')", "--json", "--store", store).json
    assert inserted == {"columns": [], "rows": [], "changes": 1, "lastInsertRowid": 3}
    assert run("sql", "DELETE FROM Tag", "--csv", "--store", store).out == ""


@pytest.mark.parametrize(
    ("sql", "params", "rows"),
    [
        ("SELECT ? AS a, ? AS b", '[1, "x"]', [{"a": 1, "b": "x"}]),
        ("SELECT ? AS a, typeof(?1) AS t", "[true]", [{"a": 1, "t": "integer"}]),
        ("SELECT ?2 AS a, ?1 AS b", "[null, 1.5]", [{"a": 1.5, "b": None}]),
        ("SELECT :a AS a, :b AS b", '{"a": "ü", "b": 9007199254740993}', [{"a": "ü", "b": 9007199254740993}]),
        ("SELECT 1, 2 AS x, 3 AS x", "[]", [{"1": 1, "x": 2, "x:1": 3}]),
        ("VALUES (1), (2); -- the end", "[]", [{"column1": 1}, {"column1": 2}]),
    ],
)
def test_parameters(run: Run, store: str, sql: str, params: str, rows: object) -> None:
    assert run("sql", sql, "--params", params, "--json", "--store", store).json["rows"] == rows


def test_statements_and_parameters_from_files(run: Run, store: str, tmp_path: Path) -> None:
    (tmp_path / "ask.sql").write_text("SELECT name FROM Tag\nWHERE id = :id;\n")
    (tmp_path / "params.json").write_text('{"id": 1}')
    done = run(
        "sql", f"@{tmp_path}/ask.sql", "--params", f"@{tmp_path}/params.json", "--csv", "--store", store
    )
    assert done.out == "name\nnews\n"


def test_several_statements_are_one_transaction(run: Run, store: str) -> None:
    script = "INSERT INTO Tag (name) VALUES ('c'); SELECT count(*) AS n FROM Tag; UPDATE Tag SET size = 1"
    printed = run("sql", script, "--store", store).out
    assert printed == "1 row changed\n\nn\n-\n3\n\n3 rows changed\n"
    failed = run("sql", "DELETE FROM Tag; INSERT INTO Tag (name) VALUES ('d'), ('d')", "--store", store)
    assert failed.code == 1
    assert failed.err.splitlines()[:2] == [
        "lamdb: UNIQUE constraint failed: Tag.name",
        "  code: SQLITE_CONSTRAINT_UNIQUE",
    ]
    assert (
        run("sql", "SELECT count(*) AS n FROM Tag; SELECT 7 AS n", "--csv", "--store", store).out == "n\n7\n"
    )
    assert run("sql", "SELECT count(*) AS n FROM Tag", "--csv", "--store", store).out == "n\n3\n"


def test_only_changes_of_rows_are_counted(run: Run, store: str) -> None:
    for sql in ("CREATE TABLE t (a)", "PRAGMA foreign_keys = ON", "BEGIN; COMMIT", "DROP TABLE t"):
        assert run("sql", sql, "--store", store).out == ""
    assert run("sql", "UPDATE Tag SET size = 0 WHERE id = 9", "--store", store).out == "0 rows changed\n"
    with_rows = "WITH n (i) AS (VALUES (7), (8)) INSERT INTO Tag (id, name) SELECT i, i FROM n"
    assert run("sql", with_rows, "--store", store).out == "2 rows changed\n"
    script = "CREATE TABLE t (a); INSERT INTO t VALUES (1); SELECT a FROM t"
    assert run("sql", script, "--store", store).out == "1 row changed\n\na\n-\n1\n"


def test_a_script_may_have_transactions_of_its_own(run: Run, store: str) -> None:
    script = "BEGIN; DELETE FROM Tag; ROLLBACK; BEGIN; UPDATE Tag SET size = 5; COMMIT;"
    assert run("sql", f"{script} SELECT sum(size) AS s FROM Tag", "--csv", "--store", store).out == "s\n10\n"
    assert run("sql", "BEGIN; DELETE FROM Tag; SELECT absent", "--store", store).code == 1
    assert run("sql", "SELECT count(*) AS n FROM Tag", "--csv", "--store", store).out == "n\n2\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("SELECT * FROM Absent",), 1, ["no such table: Absent", "code: SQLITE_ERROR"]),
        (("",), 2, ["there is no statement"]),
        (("/* nothing */",), 2, ["there is no statement"]),
        (("SELECT 1", "--csv", "--json"), 2, ["either --csv or --json"]),
        (("SELECT ?", "--params", "{"), 2, ["--params is not JSON"]),
        (("SELECT ?", "--params", "1"), 2, ["neither a JSON array nor an object"]),
        (("SELECT ?", "--params", "[[1]]"), 2, ["neither a JSON array nor an object"]),
        (("SELECT ?",), 1, ["code: ARGS_INVALID"]),
        (("SELECT 1; SELECT ?", "--params", "[1]"), 2, ["--params are for one statement"]),
        (("ATTACH 'x.db' AS x",), 1, ["not authorized", "code: SQLITE_AUTH"]),
        (("DROP TABLE _lamdb_meta",), 1, ["code: SQLITE_"]),
        (("@/nowhere/at/all.sql",), 2, ["cannot be read"]),
        (("SELECT 1", "--at", "soon"), 2, ["--at is 'soon'"]),
    ],
)
def test_what_is_wrong_is_told(
    run: Run, store: str, arguments: tuple[str, ...], code: int, said: list[str]
) -> None:
    done = run("sql", *arguments, "--store", store)
    assert done.code == code
    for part in said:
        assert part in done.err
    if code == 1:
        assert json.loads(run("sql", *arguments, "--json", "--store", store).out)["error"]["message"]


def test_the_past(run: Run, store: str) -> None:
    assert run("sql", "DELETE FROM Tag", "--store", store).code == 0
    for txid, count in ((2, "2"), (3, "0")):
        done = run("sql", "SELECT count(*) AS n FROM Tag", "--csv", "--txid", txid, "--store", store)
        assert done.out == f"n\n{count}\n"
    assert run("sql", "DELETE FROM Tag", "--txid", 2, "--store", store).code == 1


def test_with_an_idempotency_key_once(run: Run, store: str) -> None:
    for _ in range(2):
        done = run("sql", "INSERT INTO Tag (name) VALUES ('c')", "--idempotency-key", "k1", "--store", store)
        assert done.out == "1 row changed\n"


def test_a_function_executes_no_sql(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMDB_FUNCTION", "reader")
    done = run("sql", "SELECT 1")
    assert (done.code, "invoking a function" in done.err) == (2, True)


def test_of_a_stack_the_api_is_asked(run: Run, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stack, "outputs", lambda name, *wanted: dict.fromkeys(wanted, f"{recorder.url}/prod/graphql")
    )
    recorder.answer = (
        b'{"baton": null, "results": [{"type": "error", "error": {"message": "x", "code": "SQLITE_ERROR"}}]}'
    )
    done = run("sql", "SELECT 1", "--stack", "shop")
    assert (done.code, "code: SQLITE_ERROR" in done.err) == (1, True)
    assert [seen.path for seen in recorder.seen] == ["/prod/v3/pipeline"]


def test_an_address_is_asked_by_the_protocol(run: Run, recorder: Recorder) -> None:
    result = {"cols": [{"name": "n"}], "rows": [[{"type": "integer", "value": "1"}]], "affected_row_count": 0}
    answers = [
        {"type": "ok", "response": {"type": "execute", "result": result}},
        {"type": "ok", "response": {}},
    ]
    recorder.answer = json.dumps({"baton": None, "results": answers}).encode()
    done = run("sql", "SELECT 1 AS n", "--csv", "--url", recorder.url + "/graphql")
    assert done.out == "n\n1\n"
    (seen,) = recorder.seen
    assert seen.path == "/v3/pipeline"
    statement = {"sql": "SELECT 1 AS n", "args": []}
    assert seen.json == {
        "baton": None,
        "requests": [{"type": "execute", "stmt": statement}, {"type": "close"}],
    }


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (
            401,
            {"message": "SQL over HTTP requires a token.", "code": "UNAUTHORIZED"},
            ["requires a token", "UNAUTHORIZED"],
        ),
        (403, {"message": "Forbidden"}, ["answered 403: Forbidden", "LAMDB_API_KEY"]),
        (404, {"errors": [{"message": "x"}]}, ["answered 404", "SqlEndpoint"]),
        (502, None, ["answered 502"]),
    ],
)
def test_refusals_are_told(
    run: Run, recorder: Recorder, status: int, answer: object, said: list[str]
) -> None:
    recorder.status, recorder.answer = status, json.dumps(answer).encode()
    done = run("sql", "SELECT 1", "--url", recorder.url)
    assert done.code == 1
    for part in said:
        assert part in done.err


# What is printed.


def test_a_table_keeps_its_lines_and_the_terminal() -> None:
    rows: list[list[object]] = [["a\nb\x1b[31m", b"\0" * 40], ["日本", None]]
    printed = as_table(StatementResult(["text", "b"], rows, 0, None))  # type: ignore[arg-type]
    assert "\x1b" not in printed
    lines = printed.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("a\\nb\\x1b[31m  x'")
    assert lines[2].endswith("… (40 bytes)")
    assert lines[3] == "日本" + " " * 10 + "NULL"


def test_numbers_that_json_does_not_have() -> None:
    result = StatementResult(["x"], [[float("inf")]], 0, None)
    assert as_json(result)["rows"] == [{"x": None}]
    assert as_csv(result) == "x\ninf\n"
    assert as_table(StatementResult(["x"], [], 0, None)) == "x\n-\n"


# The shell.


@pytest.fixture
def client(tmp_path: Path) -> Iterator[SqlClient]:
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database, database.writer() as connection:
        connection.execute("CREATE TABLE Tag (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("CREATE UNIQUE INDEX Tag_name_key ON Tag (name)")
        connection.execute("INSERT INTO Tag (name) VALUES ('news'), ('b')")
    target = SqlStoreTarget(Settings(store=url))
    yield SqlClient(target)
    target.close()


def converse(client: SqlClient, *lines: str, form: str = "csv") -> list[str]:
    """The prompts that the lines of a conversation answered."""
    prompts: list[str] = []
    waiting = iter(lines)

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        line = next(waiting, None)
        if line is None:
            raise EOFError
        if line == "^C":
            raise KeyboardInterrupt
        return line

    Shell(client, form).converse(ask)
    return prompts


def test_statements_over_several_lines(client: SqlClient, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = converse(client, "SELECT id", "FROM Tag; SELECT 'x;", "y' AS s;", "", ".quit", "SELECT 1;")
    assert prompts == ["sql> ", "...> ", "...> ", "sql> ", "sql> "]
    assert capsys.readouterr().out == 'id\n1\n2\ns\n"x;\ny"\n'


def test_a_transaction_shows_in_the_prompt(client: SqlClient, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (
        "BEGIN;",
        "DELETE FROM Tag;",
        "SELECT count(*) AS n FROM Tag;",
        "ROLLBACK;",
        "SELECT count(*) AS n FROM Tag;",
    )
    assert converse(client, *lines) == ["sql> ", *["sql*> "] * 3, "sql> ", "sql> "]
    assert capsys.readouterr().out == "n\n0\nn\n2\n"


def test_what_is_not_committed_is_rolled_back(client: SqlClient, capsys: pytest.CaptureFixture[str]) -> None:
    converse(client, "BEGIN;", "DELETE FROM Tag;")
    assert "rolled back" in capsys.readouterr().err
    assert client.execute("SELECT count(*) FROM Tag").rows == [[2]]


def test_errors_end_neither_shell_nor_transaction(
    client: SqlClient, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (
        "BEGIN;",
        "DELETE FROM Tag WHERE id = 1;",
        "SELECT absent;",
        ".nonsense",
        "COMMIT;",
        "SELECT id FROM Tag;",
    )
    converse(client, *lines)
    out, err = capsys.readouterr()
    assert out == "id\n2\n"
    assert "SQLITE_ERROR: no such column: absent" in err
    assert "no such command: .nonsense" in err


def test_what_is_typed_can_be_given_up(client: SqlClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert converse(client, "SELECT (", "^C", "SELECT 1 AS n;") == ["sql> ", "...> ", "sql> ", "sql> "]
    assert capsys.readouterr().out == "n\n1\n"


def test_commands_of_the_shell(client: SqlClient, capsys: pytest.CaptureFixture[str]) -> None:
    converse(
        client,
        "CREATE VIEW Names AS SELECT name FROM Tag;",
        ".tables",
        ".schema tag",
        ".mode json",
        "SELECT 1 AS n;",
    )
    out = capsys.readouterr().out
    assert out.startswith("name,type\nNames,view\nTag,table\nCREATE TABLE")
    assert "CREATE UNIQUE INDEX Tag_name_key" in out
    assert "_lamdb" not in out
    assert json.loads(out[out.index("{\n") :])["rows"] == [{"n": 1}]
    converse(client, ".schema", ".help", ".mode nonsense", ".schema a b")
    out, err = capsys.readouterr()
    assert "CREATE VIEW Names" in out
    assert ".quit" in out
    assert err.count("no such command") == 2


def test_a_trigger_is_one_statement() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON Tag BEGIN\n  SELECT 1;\n"
    assert not is_complete(trigger)
    assert is_complete(trigger + "END;")


def test_input_that_nobody_types_ends_with_the_first_error(
    run: Run, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shell(text: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        done = run("shell", "--csv", "--store", store)
        return done.code, done.out

    assert shell("SELECT 1 AS a;\n.mode json\n.mode csv\nSELECT 2 AS b") == (0, "a\n1\nb\n2\n")
    assert shell("SELECT 1 AS a;\nSELECT absent;\nSELECT 2 AS b;\n") == (1, "a\n1\n")
    assert shell("BEGIN;\nDELETE FROM Tag;\n") == (0, "")
    assert run("sql", "SELECT count(*) AS n FROM Tag", "--csv", "--store", store).out == "n\n2\n"
