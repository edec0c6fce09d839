"""Streams that no process keeps: transactions that outlast requests, and whatever happens to processes."""

import json
import random
from typing import Any

import pytest
from tests.unit.hrana.conftest import Functions, SqlClient, with_tables
from tests.unit.hrana.test_protocol import batch, execute, when
from tests.unit.hrana.test_transactions import BEGINNINGS, count

from lamdb.access.identity import Role


@pytest.fixture
def client(functions: Functions) -> SqlClient:
    return with_tables(SqlClient(functions))


@pytest.fixture
def other(functions: Functions) -> SqlClient:
    return SqlClient(functions)


@pytest.fixture(params=["as it is", "environments die", "the head moves", "the log is in the store"])
def weather(request: Any, functions: Functions) -> str:
    """Events between requests."""
    name: str = request.param

    def die(functions: Functions) -> None:
        functions.readers = [functions.make(can_write=False)]
        functions.writer = functions.make(can_write=True)

    def move(functions: Functions) -> None:
        with functions.writer.engine.database.writer() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS elsewhere (a)")
            connection.execute("INSERT INTO elsewhere VALUES (1)")

    if name == "environments die":
        functions.meanwhile = die
    elif name == "the head moves":
        functions.meanwhile = move
    elif name == "the log is in the store":
        functions.limits = {"most_bytes": 1_000_000, "longest_baton": 1, "smallest": 1}
        functions.meanwhile = die
    return name


@pytest.mark.usefixtures("weather")
@pytest.mark.parametrize("begin", BEGINNINGS)
@pytest.mark.parametrize("reads_first", [False, True])
def test_a_transaction_over_several_requests(
    client: SqlClient, other: SqlClient, begin: str, reads_first: bool
) -> None:
    client.run(begin)
    if reads_first:
        assert count(client) == 0
    assert client.run("INSERT INTO t (name) VALUES ('a')")["last_insert_rowid"] == "1"
    assert count(client) == 1
    assert count(other) == 0
    assert "code" not in client.run("RELEASE a" if begin.startswith("SAVE") else "COMMIT")
    assert count(other) == 1
    assert client.pipeline({"type": "get_autocommit"})[0]["response"]["is_autocommit"] is True


@pytest.mark.usefixtures("weather")
@pytest.mark.parametrize("ends", ["ROLLBACK", "close", "nothing"])
def test_a_rollback(client: SqlClient, other: SqlClient, ends: str) -> None:
    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES ('a')")
    if ends != "nothing":
        client.pipeline({"type": "close"} if ends == "close" else execute(ends))
    assert count(other) == 0
    assert other.run("INSERT INTO t (name) VALUES ('b')")["affected_row_count"] == 1


@pytest.mark.usefixtures("weather")
def test_savepoints(client: SqlClient, other: SqlClient) -> None:
    for statement in (
        "BEGIN",
        "INSERT INTO t (id) VALUES (1)",
        "SAVEPOINT a",
        "INSERT INTO t (id) VALUES (2)",
        "ROLLBACK TO a",
        "INSERT INTO t (id) VALUES (4)",
        "INSERT INTO t (id) VALUES (4)",
        "RELEASE a",
        "INSERT INTO t (id) VALUES (5)",
        "COMMIT",
    ):
        client.run(statement)
    assert other.rows("SELECT id FROM t ORDER BY id") == [[1], [4], [5]]


@pytest.mark.usefixtures("weather")
def test_times_and_random_numbers_are_those_that_were_answered(client: SqlClient, other: SqlClient) -> None:
    client.run("CREATE TABLE made (at DEFAULT CURRENT_TIMESTAMP, now, number, bytes)")
    client.run("BEGIN")
    answered = client.rows(
        "INSERT INTO made (now, number, bytes) VALUES (strftime('%f', 'now'), random(), hex(randomblob(9)))"
        " RETURNING *"
    )
    more = client.rows("SELECT random(), strftime('%f', 'now')")
    client.run("INSERT INTO made (number, now) VALUES (?, ?)", *more[0])
    assert "code" not in client.run("COMMIT")
    assert other.rows("SELECT * FROM made")[0] == answered[0]
    assert other.rows("SELECT number, now FROM made")[1] == more[0]
    assert other.rows("SELECT random() = random()") == [[0]]


def test_a_commit_whose_answers_would_be_others_is_refused(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES ('a')")
    other.run("INSERT INTO t (name) VALUES ('b')")
    assert client.code("COMMIT") == "SQLITE_BUSY"
    assert client.code("ROLLBACK") is None
    assert other.rows("SELECT name FROM t") == [["b"]]
    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES ('a')")
    assert client.code("COMMIT") is None
    assert count(other) == 2


def test_a_commit_whose_answers_are_the_same_is_kept(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    client.run("INSERT INTO t (id, name) VALUES (10, 'a')")
    other.run("INSERT INTO t (id, name) VALUES (5, 'b')")
    assert client.code("COMMIT") is None
    assert count(other) == 2


def test_a_commit_with_a_broken_reference_leaves_the_transaction_open(
    client: SqlClient, other: SqlClient
) -> None:
    client.run("INSERT INTO t (id) VALUES (1)")
    client.run("BEGIN")
    client.run("INSERT INTO child (t, later) VALUES (1, 2)")
    assert client.run("COMMIT")["extended_code"] == "SQLITE_CONSTRAINT_FOREIGNKEY"
    client.run("INSERT INTO t (id) VALUES (2)")
    assert client.code("COMMIT") is None
    assert other.rows("SELECT count(*) FROM child") == [[1]]


@pytest.mark.usefixtures("weather")
def test_a_statement_may_roll_back_all(client: SqlClient, other: SqlClient) -> None:
    client.run("INSERT INTO t (id) VALUES (1)")
    client.run("BEGIN")
    client.run("INSERT INTO t (id) VALUES (2)")
    assert client.code("INSERT OR ROLLBACK INTO t (id) VALUES (1)") == "SQLITE_CONSTRAINT"
    assert client.code("ROLLBACK") == "SQLITE_ERROR"
    client.run("BEGIN")
    client.run("INSERT INTO t (id) VALUES (3)")
    first, second = client.pipeline(execute("INSERT OR ROLLBACK INTO t (id) VALUES (1)"), execute("COMMIT"))
    assert first["error"]["code"] == "SQLITE_CONSTRAINT"
    assert second["error"]["code"] == "SQLITE_ERROR"
    assert other.rows("SELECT id FROM t") == [[1]]


@pytest.mark.usefixtures("weather")
def test_a_repeated_commit_is_executed_once(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES ('a')")
    body = {"baton": client.baton, "requests": [execute("COMMIT"), execute("SELECT 1"), {"type": "close"}]}
    first = json.loads(client.post("/v2/pipeline", body).body)
    for _ in range(3):
        again = client.post("/v2/pipeline", body)
        assert json.loads(again.body)["results"] == first["results"]
        assert again.headers["x-lamdb-replayed"] == "true"
    assert count(other) == 1
    body["requests"].insert(0, execute("INSERT INTO t (name) VALUES ('b')"))
    assert json.loads(client.post("/v2/pipeline", body).body)["code"] == "IDEMPOTENCY_MISMATCH"
    assert count(other) == 1


@pytest.mark.usefixtures("weather")
def test_a_repeated_request_under_a_key_is_executed_once(client: SqlClient, other: SqlClient) -> None:
    request = execute("INSERT INTO t (name) VALUES (NULL)")
    first = client.pipeline(request, idempotency_key="k")
    client.baton = None
    assert client.pipeline(request, idempotency_key="k") == first
    assert count(other) == 1


@pytest.mark.usefixtures("weather")
def test_a_batch_that_clients_send(client: SqlClient, other: SqlClient, functions: Functions) -> None:
    functions.counts.clear()
    steps = [
        "BEGIN",
        when("INSERT INTO t (id) VALUES (1)", type="ok", step=0),
        when("COMMIT", type="ok", step=1),
        when("ROLLBACK", type="not", cond={"type": "ok", "step": 2}),
    ]
    (result,) = client.pipeline(batch(*steps))
    assert result["response"]["result"]["step_errors"] == [None] * 4
    assert functions.counts == {"requests": 1, "writer": 1}
    (result,) = client.pipeline(batch(*steps))
    codes = [error and error["code"] for error in result["response"]["result"]["step_errors"]]
    assert codes == [None, "SQLITE_CONSTRAINT", None, None]
    assert count(other) == 1


def test_five_statements_and_a_commit_cost_one_commit_and_seven_invocations(
    client: SqlClient, functions: Functions
) -> None:
    functions.counts.clear()
    database = functions.writer.engine.database
    before = database.refresh()
    client.run("BEGIN")
    for number in range(5):
        client.run("INSERT INTO t (name) VALUES (?)", str(number))
    client.run("COMMIT")
    assert database.refresh() == before + 1
    assert functions.counts == {"requests": 7, "reader": 6, "writer": 1}


def test_a_transaction_that_only_reads_needs_no_writer(client: SqlClient, functions: Functions) -> None:
    functions.counts.clear()
    client.run("BEGIN")
    assert count(client) == 0
    client.run("COMMIT")
    assert functions.counts["writer"] == 0


def test_a_reader_sends_on_what_only_a_writer_can_answer(client: SqlClient, functions: Functions) -> None:
    functions.counts.clear()
    client.pipeline({"type": "store_sql", "sql_id": 1, "sql": "INSERT INTO t (id) VALUES (1)"})
    (result,) = client.pipeline({"type": "execute", "stmt": {"sql_id": 1}})
    assert result["type"] == "ok"
    assert functions.counts["misdirected"] == 1


def test_batons(client: SqlClient, functions: Functions) -> None:
    client.run("BEGIN")
    baton = client.baton or ""
    swapped = ("3.i" + baton[3:]) if baton[2] != "i" else ("3.w" + baton[3:])
    for wrong in (baton[:-1] + ("0" if baton[-1] != "0" else "1"), swapped, "x", "3.r.x.y", "", "3..."):
        response = client.post("/v3/pipeline", {"baton": wrong, "requests": []})
        assert (response.status, json.loads(response.body)["code"]) == (404, "STREAM_NOT_FOUND")
    for stranger in (SqlClient(functions, principal="other"), SqlClient(functions, Role.WRITE)):
        response = stranger.post("/v3/pipeline", {"baton": baton, "requests": []})
        assert response.status == 404


def test_a_transaction_too_large_for_a_baton_is_given_up(client: SqlClient) -> None:
    import secrets

    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES (?)", secrets.token_hex(3_500_000))
    assert client.code("SELECT 1") == "SQLITE_FULL"
    assert client.code("ROLLBACK") is None
    assert count(client) == 0


@pytest.mark.usefixtures("weather")
def test_readers_see_what_the_stream_wrote(client: SqlClient) -> None:
    for number in range(1, 6):
        client.run("INSERT INTO t (id) VALUES (?)", number)
        assert count(client) == number
        assert client.rows("SELECT last_insert_rowid()") == [[number]]


def test_ten_thousand_rows_in_one_transaction(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    for first in range(0, 10_000, 1000):
        names = [
            f"{number} {random.Random(number).randbytes(40).hex()}" for number in range(first, first + 1000)
        ]
        client.run(f"INSERT INTO t (name) VALUES {', '.join('(?)' for _ in names)}", *names)
    assert 500_000 < len(client.baton or "") < 2_000_000
    assert count(client) == 10_000
    assert client.code("COMMIT") is None
    assert count(other) == 10_000
