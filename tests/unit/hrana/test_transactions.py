"""Streams and their transactions: over several requests, beside others, and when they end."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.transport.http import HttpOptions
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.streams.in_memory import Streams
from lamdb.storage import Database

from .conftest import Clock, SqlClient, with_tables
from .test_protocol import batch, execute, when

type MakeEndpoint = Callable[[], SqlEndpoint]


@pytest.fixture
def other(endpoint: SqlEndpoint) -> SqlClient:
    return SqlClient(endpoint)


def count(client: SqlClient) -> Any:
    return client.rows("SELECT count(*) FROM t")[0][0]


BEGINNINGS = ["BEGIN", "BEGIN IMMEDIATE", "BEGIN DEFERRED TRANSACTION", "SAVEPOINT a", "begin exclusive"]


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
    client.run("RELEASE a" if begin.startswith("SAVE") else "COMMIT")
    assert count(other) == 1
    assert client.pipeline({"type": "get_autocommit"})[0]["response"]["is_autocommit"] is True


@pytest.mark.parametrize("begin", BEGINNINGS)
@pytest.mark.parametrize("ends", ["ROLLBACK", "close"])
def test_a_rollback(client: SqlClient, other: SqlClient, begin: str, ends: str) -> None:
    client.run(begin)
    client.run("INSERT INTO t (name) VALUES ('a')")
    client.pipeline({"type": "close"} if ends == "close" else execute(ends))
    assert count(other) == 0
    assert other.run("INSERT INTO t (name) VALUES ('b')")["affected_row_count"] == 1


@pytest.mark.parametrize("place", ["one request", "many requests", "a batch"])
def test_savepoints(client: SqlClient, other: SqlClient, place: str) -> None:
    statements = [
        "BEGIN",
        "INSERT INTO t (id) VALUES (1)",
        "SAVEPOINT a",
        "INSERT INTO t (id) VALUES (2)",
        "SAVEPOINT b",
        "INSERT INTO t (id) VALUES (3)",
        "ROLLBACK TO b",
        "INSERT INTO t (id) VALUES (4)",
        "RELEASE b",
        "ROLLBACK TO A",
        "INSERT INTO t (id) VALUES (5)",
        "COMMIT",
    ]
    if place == "a batch":
        (result,) = client.pipeline(batch(*statements))
        assert result["response"]["result"]["step_errors"] == [None] * len(statements)
    elif place == "one request":
        results = client.pipeline(*map(execute, statements))
        assert {result["type"] for result in results} == {"ok"}
    else:
        for statement in statements:
            assert "code" not in client.run(statement), statement
    assert other.rows("SELECT id FROM t ORDER BY id") == [[1], [5]]


def test_a_batch_that_clients_send(client: SqlClient, other: SqlClient) -> None:
    def sent(*statements: str) -> Any:
        steps: list[Any] = ["BEGIN"]
        for number, statement in enumerate(statements):
            steps.append(when(statement, type="ok", step=number))
        last = len(steps) - 1
        steps.append(when("COMMIT", type="ok", step=last))
        steps.append(when("ROLLBACK", type="not", cond={"type": "ok", "step": last + 1}))
        (result,) = client.pipeline(batch(*steps))
        return result["response"]["result"]["step_errors"]

    assert sent("INSERT INTO t (id) VALUES (1)", "INSERT INTO t (id) VALUES (2)") == [None] * 5
    assert count(other) == 2
    errors = sent("INSERT INTO t (id) VALUES (3)", "INSERT INTO t (id) VALUES (1)")
    assert [error and error["code"] for error in errors] == [None, None, "SQLITE_CONSTRAINT", None, None]
    assert count(other) == 2


def test_one_request_is_one_commit(client: SqlClient, database: Database) -> None:
    before = database.txid
    client.pipeline(*(execute("INSERT INTO t DEFAULT VALUES") for _ in range(5)))
    assert database.txid == before + 1
    client.pipeline(batch("BEGIN", "INSERT INTO t DEFAULT VALUES", "COMMIT"))
    assert database.txid == before + 2


def test_a_transaction_is_one_commit(client: SqlClient, database: Database) -> None:
    before = database.txid
    client.run("BEGIN")
    for _ in range(3):
        client.run("INSERT INTO t DEFAULT VALUES")
    assert database.txid == before
    client.run("COMMIT")
    assert database.txid == before + 1


def test_writers_wait_for_one_another_and_give_up(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN IMMEDIATE")
    assert other.code("BEGIN IMMEDIATE") == "SQLITE_BUSY"
    client.run("COMMIT")
    assert other.code("BEGIN IMMEDIATE") is None


def test_a_reader_sees_one_state(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    assert count(client) == 0
    other.run("INSERT INTO t (name) VALUES ('x')")
    assert count(client) == 0
    client.run("COMMIT")
    assert count(client) == 1


def test_a_reader_may_write_if_what_it_read_is_still_so(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    assert client.rows("SELECT count(*) FROM child") == [[0]]
    other.run("INSERT INTO t (name) VALUES ('x')")
    assert client.code("INSERT INTO t (name) VALUES ('y')") is None
    assert client.code("COMMIT") is None
    assert count(other) == 2


def test_a_reader_may_not_write_if_what_it_read_is_no_longer_so(client: SqlClient, other: SqlClient) -> None:
    client.run("BEGIN")
    assert count(client) == 0
    other.run("INSERT INTO t (name) VALUES ('x')")
    error = client.run("INSERT INTO t (name) VALUES ('y')")
    assert (error["code"], error["extended_code"]) == ("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT")
    assert client.code("SELECT 1") == "SQLITE_BUSY"
    assert client.pipeline({"type": "get_autocommit"})[0]["response"]["is_autocommit"] is False
    assert client.code("ROLLBACK") is None
    assert client.code("INSERT INTO t (name) VALUES ('y')") is None


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
    (result,) = client.pipeline(
        batch("BEGIN", "INSERT INTO child (t, later) VALUES (1, 9)", "COMMIT", "ROLLBACK")
    )
    codes = [error and error["code"] for error in result["response"]["result"]["step_errors"]]
    assert codes == [None, None, "SQLITE_CONSTRAINT", None]


@pytest.mark.parametrize("way", ["a held writer", "a shared commit"])
def test_a_statement_may_roll_back_all(client: SqlClient, other: SqlClient, way: str) -> None:
    client.run("INSERT INTO t (id) VALUES (1)")
    fatal = "INSERT OR ROLLBACK INTO t (id) VALUES (1)"
    if way == "a held writer":
        client.run("BEGIN")
        client.run("INSERT INTO t (id) VALUES (2)")
        assert client.run(fatal)["code"] == "SQLITE_CONSTRAINT"
        assert client.code("ROLLBACK") == "SQLITE_ERROR"
        client.run("INSERT INTO t (id) VALUES (5)")
    else:
        results = client.pipeline(
            execute("INSERT INTO t (id) VALUES (3)"),
            execute("BEGIN"),
            execute("INSERT INTO t (id) VALUES (4)"),
            execute(fatal),
            execute("INSERT INTO t (id) VALUES (5)"),
            execute("COMMIT"),
        )
        assert [result["type"] for result in results] == ["ok", "ok", "ok", "error", "ok", "error"]
    assert other.rows("SELECT id FROM t ORDER BY id")[-1] == [5]
    assert [2] not in other.rows("SELECT id FROM t")
    assert [4] not in other.rows("SELECT id FROM t")


def test_batons(client: SqlClient, endpoint: SqlEndpoint) -> None:
    client.run("BEGIN")
    first = client.baton
    client.run("INSERT INTO t (name) VALUES ('a')")
    baton = client.baton or ""
    changed = baton[:-1] + ("1" if baton.endswith("0") else "0")
    for wrong in (first, "x", "a.b.c.1.0.f", changed, "x" * 1000, ""):
        body = {"baton": wrong, "requests": [execute("SELECT 1")]}
        response = SqlClient(endpoint).post("/v3/pipeline", body)
        assert response.status in (404, 410), wrong
    stranger = SqlClient(endpoint, principal="other")
    response = stranger.post("/v3/pipeline", {"baton": client.baton, "requests": []})
    assert json.loads(response.body)["code"] == "STREAM_NOT_FOUND"
    assert client.code("COMMIT") is None


def test_an_idle_transaction_ends(endpoint: SqlEndpoint, clock: Clock) -> None:
    streams = endpoint.streams
    assert isinstance(streams, Streams)
    one, two = SqlClient(endpoint), SqlClient(endpoint)
    one.run("CREATE TABLE t (a)")
    one.run("BEGIN IMMEDIATE")
    clock.now += 9
    streams.reap()
    assert two.code("BEGIN IMMEDIATE") == "SQLITE_BUSY"
    one.run("INSERT INTO t VALUES (1)")
    clock.now += 11
    streams.reap()
    assert two.code("BEGIN IMMEDIATE") is None
    response = one.post("/v3/pipeline", {"baton": one.baton, "requests": []})
    assert (response.status, json.loads(response.body)["code"]) == (410, "STREAM_EXPIRED")
    assert two.rows("SELECT count(*) FROM t") == [[0]]
    two.run("COMMIT")


def test_a_transaction_ends_after_a_while_however_busy(
    endpoint: SqlEndpoint, database: Database, clock: Clock
) -> None:
    streams = endpoint.streams
    assert isinstance(streams, Streams)
    one = SqlClient(endpoint)
    one.run("BEGIN IMMEDIATE")
    for _ in range(3):
        clock.now += 9
        streams.reap()
        one.run("SELECT 1")
    clock.now += 4
    streams.reap()
    assert one.post("/v3/pipeline", {"baton": one.baton, "requests": []}).status == 410
    with database.writer():
        pass


def test_streams_of_another_process_are_lost(client: SqlClient, make_endpoint: MakeEndpoint) -> None:
    client.run("BEGIN IMMEDIATE")
    elsewhere = make_endpoint()
    response = SqlClient(elsewhere).post("/v3/pipeline", {"baton": client.baton, "requests": []})
    assert (response.status, json.loads(response.body)["code"]) == (410, "STREAM_LOST")
    client.run("ROLLBACK")
    client.pipeline(execute("SELECT 1"))
    fresh = SqlClient(make_endpoint())
    fresh.pipeline(execute("SELECT 1"))
    response = SqlClient(elsewhere).post("/v3/pipeline", {"baton": fresh.baton, "requests": []})
    assert response.status == 200, "a stream without state needs no memory"


def test_many_write_at_once(endpoint: SqlEndpoint, client: SqlClient, database: Database) -> None:
    def work(number: int) -> None:
        mine = SqlClient(endpoint)
        for each in range(10):
            assert mine.code("INSERT INTO t (name) VALUES (?)", f"{number} {each}") is None

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(client) == 80


def test_readonly_transactions(client: SqlClient) -> None:
    client.run("BEGIN TRANSACTION READONLY")
    assert client.code("INSERT INTO t (name) VALUES ('a')") == "SQLITE_READONLY"
    assert count(client) == 0
    assert client.code("COMMIT") is None


def test_last_insert_rowid_belongs_to_the_stream(client: SqlClient, other: SqlClient) -> None:
    client.run("INSERT INTO t (id) VALUES (41)")
    assert client.rows("SELECT last_insert_rowid()") == [[41]]
    assert other.rows("SELECT last_insert_rowid()") == [[0]]


@pytest.mark.parametrize("ends", ["closed", "open", "at another process"])
@pytest.mark.parametrize("shape", ["execute", "batch"])
def test_a_repeated_commit_is_executed_once(
    client: SqlClient, other: SqlClient, make_endpoint: MakeEndpoint, ends: str, shape: str
) -> None:
    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES ('a')")
    commit = (
        execute("COMMIT") if shape == "execute" else batch("COMMIT", when("ROLLBACK", type="error", step=0))
    )
    requests = [execute("SELECT 1"), commit, {"type": "get_autocommit"}]
    if ends == "closed":
        requests.append({"type": "close"})
    body = {"baton": client.baton, "requests": requests}
    first = client.post("/v3/pipeline", body)
    sender = SqlClient(make_endpoint()) if ends == "at another process" else client
    for _ in range(2):
        again = sender.post("/v3/pipeline", body)
        assert again.status == 200, again.body
        assert json.loads(again.body)["results"] == json.loads(first.body)["results"]
        assert again.headers["x-lamdb-replayed"] == "true"
    assert count(other) == 1
    body["requests"] = [execute("INSERT INTO t (name) VALUES ('b')"), execute("COMMIT")]
    assert sender.post("/v3/pipeline", body).status == 422
    assert count(other) == 1


@pytest.mark.parametrize("sent", ["one by one", "in a transaction"])
def test_a_repeated_request_under_a_key_is_executed_once(
    client: SqlClient, other: SqlClient, sent: str
) -> None:
    requests = [execute("INSERT INTO t (name) VALUES (NULL)"), execute("SELECT count(*) FROM t")]
    if sent == "in a transaction":
        requests = [execute("BEGIN"), *requests, execute("COMMIT")]
    first = client.pipeline(*requests, idempotency_key="k")
    assert other.pipeline(*requests, idempotency_key="k") == first
    assert count(other) == 1
    response = client.post("/v3/pipeline", {"requests": [execute("SELECT 1")]}, idempotency_key="k")
    assert response.status == 200, "a request that only reads has no use for a key"
    response = client.post("/v3/pipeline", {"requests": [execute("DELETE FROM t")]}, idempotency_key="k")
    assert response.status == 422


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[tuple[SqlClient, SqlClient]]:
    """Clients of two servers on one store, neither of which looks for the other's commits by itself."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            database = stack.enter_context(
                Database.open(f"file://{tmp_path}/store", stale_after=3600, group_seconds=0)
            )
            streams = Streams()
            stack.callback(streams.close)
            made.append(SqlClient(SqlEndpoint(SqlEngine(database), streams, HttpOptions(max_staleness=3600))))
        with_tables(made[0])
        made[1].run("SELECT 1")
        yield made[0], made[1]


def test_a_fenced_write_is_tried_again(two_servers: tuple[SqlClient, SqlClient]) -> None:
    one, two = two_servers
    for number in range(1, 7):
        writer = (one, two)[number % 2]
        assert writer.run("INSERT INTO t DEFAULT VALUES")["last_insert_rowid"] == str(number)
    (result,) = two.pipeline(batch("BEGIN", "INSERT INTO t DEFAULT VALUES", "COMMIT"))
    assert result["response"]["result"]["step_errors"] == [None] * 3
    assert count(two) == 7


@pytest.mark.parametrize("then", ["ROLLBACK", "BEGIN"])
def test_a_fenced_transaction_is_busy(two_servers: tuple[SqlClient, SqlClient], then: str) -> None:
    one, two = two_servers
    one.run("INSERT INTO t (name) VALUES ('known')")
    two.run("INSERT INTO t (name) VALUES ('known, too')")
    two.run("BEGIN")
    two.run("INSERT INTO t (name) VALUES ('mine')")
    one.run("INSERT INTO t (name) VALUES ('theirs')")
    assert two.code("COMMIT") == "SQLITE_BUSY"
    assert two.pipeline({"type": "get_autocommit"})[0]["response"]["is_autocommit"] is True
    assert two.code(then) is None
    if then == "ROLLBACK":
        assert two.code("ROLLBACK") == "SQLITE_ERROR"
        two.run("BEGIN")
    two.run("INSERT INTO t (name) VALUES ('mine')")
    assert two.code("COMMIT") is None
    assert [name for (name,) in two.rows("SELECT name FROM t ORDER BY id")] == [
        "known", "known, too", "theirs", "mine",
    ]  # fmt: skip


@pytest.mark.parametrize("reads_first", [False, True])
def test_a_key_where_a_transaction_ends_within_the_request(
    client: SqlClient, other: SqlClient, reads_first: bool
) -> None:
    client.run("BEGIN")
    client.run("SELECT 1" if reads_first else "INSERT INTO t DEFAULT VALUES")
    requests = [execute("INSERT INTO t DEFAULT VALUES"), execute("COMMIT")]
    requests += [execute("INSERT INTO t DEFAULT VALUES"), execute("SELECT 1")]
    results = client.pipeline(*requests, idempotency_key="k")
    assert [result["type"] for result in results] == ["ok"] * 4
    assert count(other) == (2 if reads_first else 3)


def test_idle_transactions_are_ended_without_anybody_asking(database: Database) -> None:
    streams = Streams(idle_seconds=0.1)
    endpoint = SqlEndpoint(SqlEngine(database, busy_seconds=60), streams, HttpOptions())
    one, two = SqlClient(endpoint), SqlClient(endpoint)
    one.run("BEGIN IMMEDIATE")
    assert two.code("BEGIN IMMEDIATE") is None, "it has waited for the first to be ended"
    two.run("ROLLBACK")
    one.baton = None
    one.run("BEGIN IMMEDIATE")
    assert two.code("BEGIN IMMEDIATE") is None
    streams.close()


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"idle_seconds": 5.0}, "5 s (LAMDB_SQL_IDLE_SECONDS)"),
        ({"idle_seconds": 60.0, "transaction_seconds": 7.5}, "7.5 s (LAMDB_SQL_TRANSACTION_SECONDS)"),
    ],
)
@pytest.mark.parametrize("reaped", [False, True])
@pytest.mark.parametrize("sql", ["INSERT INTO t DEFAULT VALUES", "SELECT 1"])
def test_a_transaction_that_took_too_long_names_its_limit(
    database: Database, limits: dict[str, float], named: str, reaped: bool, sql: str
) -> None:
    now = Clock()
    streams = Streams(now=now, **limits)
    endpoint = SqlEndpoint(SqlEngine(database, now=now), streams, HttpOptions())
    with_tables(SqlClient(endpoint))
    client, other = SqlClient(endpoint), SqlClient(endpoint)
    client.run("BEGIN")
    client.run(sql)
    now.now += 8
    if reaped:
        streams.reap()
    response = client.post("/v3/pipeline", {"baton": client.baton, "requests": [execute("SELECT 1")]})
    told = json.loads(response.body)
    assert (response.status, told["code"]) == (410, "STREAM_EXPIRED")
    assert named in told["message"]
    assert other.code("INSERT INTO t DEFAULT VALUES") is None, "the writer is free"
    assert other.rows("SELECT count(*) FROM t") == [[1]]


def test_a_statement_that_outlasts_its_transaction_names_the_limit(database: Database) -> None:
    streams = Streams(transaction_seconds=0.3)
    endpoint = SqlEndpoint(SqlEngine(database), streams, HttpOptions())
    client = with_tables(SqlClient(endpoint))
    client.run("BEGIN")
    client.run("INSERT INTO t DEFAULT VALUES")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    response = client.post("/v3/pipeline", {"baton": client.baton, "requests": [execute(endless)]})
    told = json.loads(response.body)
    assert (response.status, told["code"]) == (410, "STREAM_EXPIRED")
    assert "LAMDB_SQL_TRANSACTION_SECONDS" in told["message"]
    client.baton = None
    assert client.rows("SELECT count(*) FROM t") == [[0]]
    streams.close()
