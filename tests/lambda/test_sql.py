"""SQL over HTTP on a cluster: the proxy, readers, the writer, and environments that die."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cluster import Cluster, deploy, running
from .gateway import event_of

type Json = dict[str, Any]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path, sql=True) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        deploy(cluster.s3.url)
        yield cluster


class Stream:
    """A client's stream, whose requests come by API Gateway."""

    def __init__(self, cluster: Cluster, claims: Json | None = None) -> None:
        self.cluster = cluster
        self.claims = claims
        self.baton: str | None = None
        self.headers: dict[str, str] = {}

    def post(self, path: str, body: Json, **headers: str) -> tuple[int, Json]:
        """Status and body of the answer."""
        sent = [("content-type", "text/plain"), *((n.replace("_", "-"), t) for n, t in headers.items())]
        content = json.dumps(body).encode()
        event = event_of("POST", f"/prod{path}", sent, content, stage="prod", client="192.0.2.1")
        if self.claims is not None:
            event["requestContext"]["authorizer"] = {"claims": self.claims}
        answer = self.cluster.invoke(self.cluster.proxy, event)
        self.headers = answer["headers"]
        return answer["statusCode"], json.loads(answer["body"])

    def pipeline(self, *requests: Json, **headers: str) -> list[Json]:
        status, body = self.post("/v2/pipeline", {"baton": self.baton, "requests": list(requests)}, **headers)
        assert status == 200, body
        self.baton = body["baton"]
        results: list[Json] = body["results"]
        return results

    def run(self, sql: str, **headers: str) -> Json:
        (result,) = self.pipeline({"type": "execute", "stmt": {"sql": sql}}, **headers)
        found: Json = result["response"]["result"] if result["type"] == "ok" else result["error"]
        return found

    def rows(self, sql: str) -> list[list[Any]]:
        result = self.run(sql)
        return [[cell.get("value") for cell in row] for row in result["rows"]]


def kill_all(cluster: Cluster) -> None:
    for function in (cluster.reader, cluster.writer):
        for environment in function.environments():
            environment.kill()


def test_a_transaction_survives_the_death_of_every_environment(cluster: Cluster) -> None:
    stream, other = Stream(cluster), Stream(cluster)
    stream.run("BEGIN")
    kill_all(cluster)
    assert stream.run("INSERT INTO Item (name) VALUES ('a') RETURNING id")["rows"]
    kill_all(cluster)
    assert stream.rows("SELECT name FROM Item") == [["a"]]
    assert other.rows("SELECT name FROM Item") == []
    kill_all(cluster)
    assert "code" not in stream.run("COMMIT")
    assert other.rows("SELECT name FROM Item") == [["a"]]
    assert [item["name"] for item in cluster.post("{ findManyItem { name } }").items] == ["a"]


def test_five_statements_and_a_commit_are_one_object_and_seven_invocations(cluster: Cluster) -> None:
    stream = Stream(cluster)
    stream.run("INSERT INTO Item (name) VALUES ('first')")
    puts = cluster.s3.counts()["PUT"]
    before = cluster.reader.invocations + cluster.writer.invocations
    stream.run("BEGIN")
    for number in range(5):
        stream.run(f"INSERT INTO Item (name) VALUES ('{number}')")
    stream.run("COMMIT")
    assert cluster.reader.invocations + cluster.writer.invocations - before == 7
    assert cluster.s3.counts()["PUT"] - puts == 1


def test_a_commit_whose_answer_was_lost_is_answered_but_not_repeated(cluster: Cluster) -> None:
    stream = Stream(cluster)
    lost = iter([True])
    stream.run("BEGIN")
    stream.run("INSERT INTO Item (name) VALUES ('once')")
    cluster.writer.loses_answer = lambda: next(lost, False)
    assert "code" not in stream.run("COMMIT")
    assert next(lost, None) is None
    lost = iter([True])
    assert "code" not in stream.run("INSERT INTO Item (name) VALUES ('too')")
    assert stream.rows("SELECT name FROM Item ORDER BY id") == [["once"], ["too"]]


def test_readers_see_at_once_what_others_wrote(cluster: Cluster) -> None:
    for number in range(3):
        Stream(cluster).run(f"INSERT INTO Item (name) VALUES ('{number}')")
        assert len(Stream(cluster).rows("SELECT * FROM Item")) == number + 1


def test_conflicts_are_told(cluster: Cluster) -> None:
    stream, other = Stream(cluster), Stream(cluster)
    stream.run("BEGIN")
    stream.run("INSERT INTO Item (name) VALUES ('mine')")
    other.run("INSERT INTO Item (name) VALUES ('theirs')")
    assert stream.run("COMMIT")["code"] == "SQLITE_BUSY"
    assert other.rows("SELECT name FROM Item") == [["theirs"]]


@pytest.mark.parametrize(
    ("claims", "sql", "code"),
    [
        (None, "INSERT INTO Item (name) VALUES ('a')", None),
        (None, "CREATE TABLE x (a)", "SQLITE_AUTH"),
        ({"lamdb_role": "read", "sub": "1"}, "SELECT count(*) FROM Item", None),
        ({"lamdb_role": "read", "sub": "1"}, "DELETE FROM Item", "SQLITE_AUTH"),
        ({"custom:lamdb_role": "admin"}, "SELECT hash FROM _lamdb_schema", None),
        ({"custom:lamdb_role": "write"}, "SELECT hash FROM _lamdb_schema", "SQLITE_AUTH"),
    ],
)
def test_roles(cluster: Cluster, claims: Json | None, sql: str, code: str | None) -> None:
    assert Stream(cluster, claims).run(sql).get("code") == code


def test_what_is_refused(cluster: Cluster) -> None:
    stream = Stream(cluster, {"lamdb_role": "king"})
    assert stream.post("/v2/pipeline", {"requests": []})[0] == 403
    assert Stream(cluster).post("/v3/pipeline", {"baton": "3.i.x.y", "requests": []})[0] == 404
    probe = event_of("GET", "/prod/v3", [], b"", stage="prod", client="192.0.2.1")
    assert cluster.invoke(cluster.proxy, probe)["statusCode"] == 200
    # Nobody but the proxy says who asks.
    forged = event_of(
        "POST",
        "/prod/v2/pipeline",
        [("x-lamdb-sql-role", "admin"), ("x-lamdb-sql-principal", "")],
        b'{"requests": []}',
        stage="prod",
        client="192.0.2.1",
    )
    assert cluster.invoke(cluster.reader, forged)["statusCode"] == 404
    body = {"requests": [{"type": "execute", "stmt": {"sql": "SELECT hash FROM _lamdb_schema"}}]}
    _, answer = Stream(cluster).post("/v2/pipeline", body, x_lamdb_sql_role="admin")
    assert answer["results"][0]["error"]["code"] == "SQLITE_AUTH"


def test_a_passing_failure_of_the_store_is_tried_again(cluster: Cluster) -> None:
    stream = Stream(cluster)
    stream.run("INSERT INTO Item (name) VALUES ('first')")
    cluster.s3.set(internal_error=0.3)
    for number in range(5):
        assert "code" not in stream.run(f"INSERT INTO Item (name) VALUES ('{number}')")
    cluster.s3.set()
    assert len(stream.rows("SELECT * FROM Item")) == 6
