"""The protocol: each request, each shape of an answer, each code."""

import base64
import json
from typing import Any

import pytest

from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.operation import kind_of

from .conftest import Json, SqlClient, plain


def execute(sql: str, **more: Any) -> Json:
    return {"type": "execute", "stmt": {"sql": sql, **more}}


def batch(*steps: Any) -> Json:
    made = [{"stmt": {"sql": step}} if isinstance(step, str) else step for step in steps]
    return {"type": "batch", "batch": {"steps": made}}


def when(sql: str, **condition: Any) -> Json:
    return {"stmt": {"sql": sql}, "condition": condition}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v2/pipeline", "pipeline"),
        ("/v3/pipeline", "pipeline"),
        ("/v3/cursor", "cursor"),
        ("/v1/execute", "execute"),
        ("/v1/batch", "batch"),
        ("/prod/db/t1/v2/pipeline", "pipeline"),
        ("/v2", "version"),
        ("/v3/", "version"),
        ("/stage/v3", "version"),
        ("/v2/cursor", None),
        ("/v1", None),
        ("/v3-protobuf", None),
        ("/graphql", None),
        ("/v3/pipelines", None),
    ],
)
def test_paths(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("1", {"type": "integer", "value": "1"}),
        ("-9223372036854775808", {"type": "integer", "value": "-9223372036854775808"}),
        ("9223372036854775807", {"type": "integer", "value": "9223372036854775807"}),
        ("1.5", {"type": "float", "value": 1.5}),
        ("9e999", {"type": "float", "value": None}),
        ("'ä'", {"type": "text", "value": "ä"}),
        ("''", {"type": "text", "value": ""}),
        ("NULL", {"type": "null"}),
        ("x'deadbe'", {"type": "blob", "base64": "3q2+"}),
        ("x'deadbeef'", {"type": "blob", "base64": "3q2+7w"}),
        ("x''", {"type": "blob", "base64": ""}),
    ],
)
def test_values_come_and_go_in_the_same_form(client: SqlClient, sql: str, value: Json) -> None:
    (read,) = client.run(f"SELECT {sql}")["rows"]
    assert read == [value]
    if value["type"] != "float" or value["value"] is not None:
        (echoed,) = client.run("SELECT ?", value)["rows"]
        assert echoed == [value]


def test_blobs_are_taken_with_padding_too(client: SqlClient) -> None:
    given = base64.b64encode(b"\xde\xad\xbe\xef").decode()
    assert given.endswith("=")
    assert client.rows("SELECT hex(?)", {"type": "blob", "base64": given}) == [["DEADBEEF"]]


@pytest.mark.parametrize(
    "value",
    [
        {"type": "integer", "value": "x"},
        {"type": "integer", "value": "9223372036854775808"},
        {"type": "text", "value": 1},
        {"type": "blob", "base64": "%"},
        {"type": "date", "value": "x"},
        {"value": "x"},
        5,
    ],
)
def test_arguments_that_are_no_values_fail_the_request(client: SqlClient, value: Any) -> None:
    body = {"requests": [execute("SELECT ?", args=[value])]}
    response = client.post("/v3/pipeline", body)
    assert response.status == 400
    assert json.loads(response.body)["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize(
    ("sql", "args", "named", "row"),
    [
        ("SELECT ?, ?", [1, 2], {}, [1, 2]),
        ("SELECT ?2, ?1", [1, 2], {}, [2, 1]),
        ("SELECT :a, @b, $c", [], {"a": 1, ":b": 2, "$c": 3}, [1, 2, 3]),
        ("SELECT :a, :a", [], {"@a": 4}, [4, 4]),
        ("SELECT :a, :b", [1, 2], {}, [1, 2]),
        ("SELECT :b, :a, ?1", [], {"a": 1, "b": 2}, [2, 1, 2]),
        ("SELECT ':x', \"?\", -- ?\n /* :y */ ? AS [?]", [7], {}, [":x", "?", 7]),
        ("SELECT ?3", [1, 2, 3], {}, [3]),
    ],
)
def test_arguments(client: SqlClient, sql: str, args: list[Any], named: dict[str, Any], row: Any) -> None:
    result = client.run(sql, *args, **named)
    assert [plain(each) for each in result["rows"][0]] == row


@pytest.mark.parametrize(
    ("sql", "args", "named", "code"),
    [
        ("SELECT ?", [], {}, "ARGS_INVALID"),
        ("SELECT ?", [1, 2], {}, "ARGS_INVALID"),
        ("SELECT 1", [1], {}, "ARGS_INVALID"),
        ("SELECT :a", [], {"b": 1}, "ARGS_INVALID"),
        ("SELECT :a, ?", [], {"a": 1}, "ARGS_INVALID"),
        ("SELECT :a", [1], {"a": 1}, "ARGS_INVALID"),
        ("", [], {}, "SQL_NO_STATEMENT"),
        ("-- nothing", [], {}, "SQL_NO_STATEMENT"),
        ("SELECT 1; SELECT 2", [], {}, "SQL_MANY_STATEMENTS"),
        ("SELECT 1 \0", [], {}, "SQL_INPUT_ERROR"),
        ("SELEC 1", [], {}, "SQLITE_ERROR"),
        ("SELECT * FROM nothing", [], {}, "SQLITE_ERROR"),
        ("SELECT zeroblob(3000000000)", [], {}, "SQLITE_TOOBIG"),
        ("COMMIT", [], {}, "SQLITE_ERROR"),
        ("ROLLBACK", [], {}, "SQLITE_ERROR"),
        ("RELEASE nothing", [], {}, "SQLITE_ERROR"),
        ("INSERT INTO t (id) VALUES ('x')", [], {}, "SQLITE_MISMATCH"),
    ],
)
def test_codes(client: SqlClient, sql: str, args: list[Any], named: dict[str, Any], code: str) -> None:
    assert client.run(sql, *args, **named).get("code") == code


@pytest.mark.parametrize(
    ("sql", "extended"),
    [
        ("INSERT INTO t (id) VALUES (1)", "SQLITE_CONSTRAINT_PRIMARYKEY"),
        ("INSERT INTO t (name) VALUES ('a')", "SQLITE_CONSTRAINT_UNIQUE"),
        ("INSERT INTO child (t) VALUES (NULL)", "SQLITE_CONSTRAINT_NOTNULL"),
        ("INSERT INTO child (t) VALUES (99)", "SQLITE_CONSTRAINT_FOREIGNKEY"),
        ("INSERT INTO child (t, later) VALUES (1, 99)", "SQLITE_CONSTRAINT_FOREIGNKEY"),
        ("INSERT INTO checked VALUES (0)", "SQLITE_CONSTRAINT_CHECK"),
        ("INSERT INTO strict_one VALUES ('x')", "SQLITE_CONSTRAINT_DATATYPE"),
        ("UPDATE guarded SET a = 2", "SQLITE_CONSTRAINT_TRIGGER"),
    ],
)
def test_codes_of_constraints(client: SqlClient, sql: str, extended: str) -> None:
    client.run("INSERT INTO t (id, name) VALUES (1, 'a')")
    client.run("CREATE TABLE checked (a CHECK (a > 0))")
    client.run("CREATE TABLE strict_one (a INT) STRICT")
    client.run("CREATE TABLE guarded AS SELECT 1 AS a")
    client.run("CREATE TRIGGER no BEFORE UPDATE ON guarded BEGIN SELECT RAISE(ABORT, 'no'); SELECT 1; END")
    error = client.run(sql)
    assert (error["code"], error["extended_code"]) == ("SQLITE_CONSTRAINT", extended)


def test_a_result(client: SqlClient) -> None:
    result = client.run("INSERT INTO t (name) VALUES ('a'), ('b') RETURNING id, name AS n, born")
    assert result["cols"] == [
        {"name": "id", "decltype": "INTEGER"},
        {"name": "n", "decltype": "TEXT"},
        {"name": "born", "decltype": "DATETIME"},
    ]
    assert (result["affected_row_count"], result["last_insert_rowid"]) == (2, "2")
    assert len(result["rows"]) == 2
    empty = client.run("SELECT born FROM t WHERE 0")
    assert empty["cols"] == [{"name": "born", "decltype": "DATETIME"}]
    assert (empty["affected_row_count"], empty["last_insert_rowid"]) == (0, None)
    assert client.run("UPDATE t SET name = 'c' WHERE 0")["affected_row_count"] == 0


def test_rows_are_left_out_if_nobody_wants_them(client: SqlClient) -> None:
    (result,) = client.pipeline(execute("SELECT 1", want_rows=False))
    assert result["response"]["result"]["rows"] == []
    assert result["response"]["result"]["cols"] == [{"name": "1", "decltype": None}]


def test_a_failure_does_not_end_a_pipeline(client: SqlClient) -> None:
    first, second, third = client.pipeline(
        execute("INSERT INTO t (id) VALUES (1)"),
        execute("INSERT INTO t (id) VALUES (1)"),
        execute("SELECT count(*) FROM t"),
    )
    assert (first["type"], second["type"], third["type"]) == ("ok", "error", "ok")
    assert third["response"]["result"]["rows"] == [[{"type": "integer", "value": "1"}]]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ({"type": "ok", "step": 0}, True),
        ({"type": "ok", "step": 1}, False),
        ({"type": "ok", "step": 2}, False),
        ({"type": "error", "step": 0}, False),
        ({"type": "error", "step": 1}, True),
        ({"type": "error", "step": 2}, True),
        ({"type": "not", "cond": {"type": "ok", "step": 0}}, False),
        ({"type": "and", "conds": []}, True),
        ({"type": "or", "conds": []}, False),
        ({"type": "and", "conds": [{"type": "ok", "step": 0}, {"type": "error", "step": 1}]}, True),
        ({"type": "or", "conds": [{"type": "ok", "step": 1}, {"type": "is_autocommit"}]}, True),
        ({"type": "not", "cond": {"type": "is_autocommit"}}, False),
    ],
)
def test_conditions(client: SqlClient, condition: Json, runs: bool) -> None:
    (result,) = client.pipeline(
        batch("SELECT 1", "SELEC", when("SELECT 3", type="ok", step=1), when("SELECT 4", **condition))
    )
    answer = result["response"]["result"]
    assert [each is not None for each in answer["step_results"]] == [True, False, False, runs]
    assert [each is not None for each in answer["step_errors"]] == [False, True, False, False]


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "ok", "step": 1},
        {"type": "error", "step": 7},
        {"type": "ok", "step": -1},
        {"type": "ok"},
        {"type": "maybe"},
        "ok",
        {"type": "not", "cond": {"type": "ok", "step": 1}},
    ],
)
def test_conditions_that_cannot_be_fail_the_request(client: SqlClient, condition: Any) -> None:
    steps = [{"stmt": {"sql": "SELECT 1"}}, {"stmt": {"sql": "SELECT 2"}, "condition": condition}]
    response = client.post("/v3/pipeline", {"requests": [{"type": "batch", "batch": {"steps": steps}}]})
    assert response.status == 400


def test_conditions_nested_without_end_fail_the_request(client: SqlClient) -> None:
    condition: Json = {"type": "is_autocommit"}
    for _ in range(100):
        condition = {"type": "not", "cond": condition}
    response = client.post("/v3/pipeline", {"requests": [batch("SELECT 1", when("SELECT 2", **condition))]})
    assert response.status == 400


def test_a_sequence_stops_at_the_first_failure(client: SqlClient) -> None:
    script = (
        "INSERT INTO t (id) VALUES (1); -- ;\n INSERT INTO t (id) VALUES (1); INSERT INTO t (id) VALUES (2)"
    )
    (result,) = client.pipeline({"type": "sequence", "sql": script})
    assert result["error"]["extended_code"] == "SQLITE_CONSTRAINT_PRIMARYKEY"
    assert client.rows("SELECT id FROM t") == [[1]]


@pytest.mark.parametrize("script", ["", ";;", "SELECT 1;", "BEGIN; INSERT INTO t VALUES (1, 'a', 0); COMMIT"])
def test_sequences(client: SqlClient, script: str) -> None:
    assert client.pipeline({"type": "sequence", "sql": script}) == [
        {"type": "ok", "response": {"type": "sequence"}}
    ]


def test_describe(client: SqlClient) -> None:
    (select, insert, plan, wrong) = client.pipeline(
        {"type": "describe", "sql": "SELECT id, born FROM t WHERE id = :id AND name = ?"},
        {"type": "describe", "sql": "INSERT INTO t (id) VALUES (?)"},
        {"type": "describe", "sql": "EXPLAIN SELECT 1"},
        {"type": "describe", "sql": "SELECT nothing"},
    )
    assert select["response"]["result"] == {
        "params": [{"name": "id"}, {"name": None}],
        "cols": [{"name": "id", "decltype": "INTEGER"}, {"name": "born", "decltype": "DATETIME"}],
        "is_explain": False,
        "is_readonly": True,
    }
    assert insert["response"]["result"]["is_readonly"] is False
    assert plan["response"]["result"]["is_explain"] is True
    assert wrong["error"]["code"] == "SQLITE_ERROR"
    assert client.rows("SELECT count(*) FROM t") == [[0]]


def test_stored_texts(client: SqlClient) -> None:
    stored, used, closed, lost = client.pipeline(
        {"type": "store_sql", "sql_id": 1, "sql": "SELECT ?"},
        {"type": "execute", "stmt": {"sql_id": 1, "args": [{"type": "integer", "value": "5"}]}},
        {"type": "close_sql", "sql_id": 1},
        {"type": "execute", "stmt": {"sql_id": 1}},
    )
    assert stored == {"type": "ok", "response": {"type": "store_sql"}}
    assert used["response"]["result"]["rows"] == [[{"type": "integer", "value": "5"}]]
    assert closed == {"type": "ok", "response": {"type": "close_sql"}}
    assert lost["type"] == "error"
    client.pipeline({"type": "store_sql", "sql_id": 2, "sql": "SELECT 2"})
    (later,) = client.pipeline({"type": "execute", "stmt": {"sql_id": 2}})
    assert later["type"] == "ok"


def test_texts_are_stored_up_to_a_limit(client: SqlClient) -> None:
    results = client.pipeline(
        *({"type": "store_sql", "sql_id": number, "sql": "SELECT 1"} for number in range(300))
    )
    assert {result["type"] for result in results} == {"ok", "error"}


def test_a_cursor(client: SqlClient) -> None:
    steps = [
        {"stmt": {"sql": "SELECT 1 AS a UNION SELECT 2"}},
        {"stmt": {"sql": "SELEC"}},
        when("SELECT 3", type="ok", step=1),
        {"stmt": {"sql": "INSERT INTO t (id) VALUES (7)"}},
    ]
    response = client.post("/v3/cursor", {"batch": {"steps": steps}})
    first, *entries = [json.loads(line) for line in response.body.splitlines()]
    assert first["baton"]
    assert first["base_url"] is None
    assert [entry["type"] for entry in entries] == [
        "step_begin", "row", "row", "step_end", "step_error", "step_begin", "step_end", "replication_index",
    ]  # fmt: skip
    assert entries[0] == {"type": "step_begin", "step": 0, "cols": [{"name": "a", "decltype": None}]}
    assert entries[4]["step"] == 1
    assert entries[5]["step"] == 3
    assert (entries[6]["affected_row_count"], entries[6]["last_insert_rowid"]) == (1, "7")


def test_hrana_1(client: SqlClient) -> None:
    response = client.post("/v1/execute", {"stmt": {"sql": "SELECT 1"}})
    assert json.loads(response.body)["result"]["rows"] == [[{"type": "integer", "value": "1"}]]
    response = client.post("/v1/execute", {"stmt": {"sql": "SELEC"}})
    assert (response.status, json.loads(response.body)["code"]) == (400, "SQLITE_ERROR")
    response = client.post("/v1/batch", {"batch": {"steps": [{"stmt": {"sql": "SELECT 1"}}]}})
    assert len(json.loads(response.body)["result"]["step_results"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        {"requests": 1},
        {"requests": [1]},
        {"requests": [{"type": "execute"}]},
        {"requests": [{"type": "execute", "stmt": {}}]},
        {"requests": [{"type": "execute", "stmt": {"sql": "SELECT 1", "sql_id": 1}}]},
        {"requests": [{"type": "execute", "stmt": {"sql": 1}}]},
        {"requests": [{"type": "batch", "batch": {}}]},
        {"requests": [{"type": "what"}]},
        {"requests": [{"type": "close"}, execute("SELECT 1")]},
        {"baton": 1, "requests": []},
        {"requests": [execute("SELECT 1", args={})]},
        {"requests": [execute("SELECT 1", named_args=[{"name": 1}])]},
        {"requests": [{"type": "store_sql", "sql_id": "1", "sql": "SELECT 1"}]},
    ],
)
def test_malformed_requests(client: SqlClient, body: Any) -> None:
    response = client.post("/v2/pipeline", body)
    assert response.status == 400
    error = json.loads(response.body)
    assert error["code"] == "MALFORMED_REQUEST"
    assert error["message"] == error["error"]


def test_json_is_read_whatever_it_is_called(endpoint: SqlEndpoint) -> None:
    client = SqlClient(endpoint)
    body = {"requests": [execute("SELECT 1")]}
    assert client.post("/v2/pipeline", body, content_type="text/plain;charset=UTF-8").status == 200
