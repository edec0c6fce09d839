"""SQL over HTTP at reader and writer, as the proxy sends it."""

import json

import pytest

from lamdb.cluster.invocation.sql_callers import PRINCIPAL_HEADER, ROLE_HEADER
from lamdb.cluster.rate_limit import Rate
from lamdb.cluster.sql import LambdaSqlEndpoint
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.budget import NEVER, Deadline


def ask(
    sql: LambdaSqlEndpoint, text: str, deadline: Deadline = NEVER, rate: Rate | None = None
) -> HttpResponse:
    body = {"requests": [{"type": "execute", "stmt": {"sql": text}}]}
    headers = {ROLE_HEADER: "write", PRINCIPAL_HEADER: ""}
    return sql.answer(
        HttpRequest("POST", "/v2/pipeline", "", headers, json.dumps(body).encode()), deadline, rate
    )


@pytest.mark.parametrize("read_only", [False, True])
def test_writes_beyond_the_rate_are_refused(read_only: bool) -> None:
    with Database.open("memory:") as database:
        sql = LambdaSqlEndpoint(database, Settings(store="memory:"), HttpOptions(), read_only=read_only)
        rate = Rate(1, 2, clock=lambda: 0.0)
        answers = [ask(sql, "SELECT 1", rate=rate) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 503]
        assert (answers[-1].code, answers[-1].retryable) == ("THROTTLED", True)
        assert json.loads(answers[-1].body)["code"] == "THROTTLED"


def test_a_deadline_that_has_passed(tmp_path: object) -> None:
    with Database.open("memory:") as database:
        sql = LambdaSqlEndpoint(database, Settings(store="memory:"), HttpOptions(), read_only=False)
        answer = ask(sql, "SELECT 1", Deadline.after(-1))
        assert (answer.status, answer.code) == (504, "TIME_LIMIT")


def test_a_reader_sends_writes_on(tmp_path: object) -> None:
    with Database.open("memory:") as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t (a)")
        sql = LambdaSqlEndpoint(database, Settings(store="memory:"), HttpOptions(), read_only=True)
        assert ask(sql, "INSERT INTO t VALUES (1)").status == 421
