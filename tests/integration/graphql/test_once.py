"""Mutations under an idempotency key, and questions to the past, through GraphQL over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.graphql_blog import blog_api, blog_deployable, blog_engine, blog_types, empty_blog

from lamdb.errors import Fenced
from lamdb.graphql import stored_schema
from lamdb.graphql.api import Api
from lamdb.graphql.apis import Apis
from lamdb.graphql.idempotency import ATTEMPT_SECONDS, KeyOrigin
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, HttpResponse, handle
from lamdb.storage import Database

CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"
NAMES = "{ findManyTag { name } }"


@dataclass
class Endpoint:
    database: Database
    api: Api | Apis
    options: HttpOptions = field(default_factory=HttpOptions)

    def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> HttpResponse:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        body = orjson.dumps({"query": query, "variables": variables})
        request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json", **named}, body)
        return handle(self.api, self.database, request, self.options)

    def tags(self, **headers: str) -> list[str]:
        answer = orjson.loads(self.post(NAMES, **headers).body)
        return [row["name"] for row in answer["data"]["findManyTag"]]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with empty_blog() as database:
        with database.writer() as connection:
            stored_schema.store(connection, blog_deployable())
        yield Endpoint(database, Apis(lambda _: Api(blog_engine(), blog_types())))


def code_of(response: HttpResponse) -> str:
    return str(orjson.loads(response.body)["errors"][0]["extensions"]["code"])


def test_the_second_time_has_the_first_answer_and_writes_nothing(endpoint: Endpoint) -> None:
    first = endpoint.post(CREATE, {"name": "a"}, idempotency_key="k1")
    txid = endpoint.database.txid
    again = endpoint.post(CREATE, {"name": "a"}, x_lamdb_idempotency_key="k1")
    assert first.status == again.status == 200
    assert again.body == first.body == b'{"data":{"createOneTag":{"name":"a"}}}'
    assert "x-lamdb-replayed" not in first.headers
    assert again.headers["x-lamdb-replayed"] == "true"
    assert endpoint.database.txid == txid
    assert endpoint.tags() == ["a"]


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
def test_the_same_key_for_another_request_is_refused(endpoint: Endpoint, accept: str) -> None:
    endpoint.post(CREATE, {"name": "a"}, idempotency_key="k1")
    refused = endpoint.post(CREATE, {"name": "b"}, idempotency_key="k1", accept=accept)
    assert (refused.status, code_of(refused)) == (422, "IDEMPOTENCY_MISMATCH")
    assert endpoint.tags() == ["a"]


def test_what_failed_is_executed_again(endpoint: Endpoint) -> None:
    endpoint.post(CREATE, {"name": "a"}, idempotency_key="k1")
    failed = endpoint.post(CREATE, {"name": "a"}, idempotency_key="k2")
    assert code_of(failed) == "P2002"
    endpoint.post('mutation { deleteOneTag(where: {name: "a"}) { name } }')
    retried = endpoint.post(CREATE, {"name": "a"}, idempotency_key="k2")
    assert "x-lamdb-replayed" not in retried.headers
    assert endpoint.tags() == ["a"]


def test_a_key_expires_and_its_row_goes(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("lamdb.graphql.idempotency.time.time", lambda: now)
    endpoint.post(CREATE, {"name": "a"}, idempotency_key="k1")
    endpoint.post("mutation { deleteManyTag { count } }")
    now += endpoint.options.idempotency_seconds - 1
    assert endpoint.post(CREATE, {"name": "a"}, idempotency_key="k1").headers["x-lamdb-replayed"]
    now += 2
    assert "x-lamdb-replayed" not in endpoint.post(CREATE, {"name": "a"}, idempotency_key="k1").headers
    now += 2 * endpoint.options.idempotency_seconds
    endpoint.post(CREATE, {"name": "b"}, idempotency_key="k2")
    with endpoint.database.reader() as connection:
        assert connection.execute("SELECT count(*) FROM _lamdb_idempotency").get == 1


def test_a_key_of_a_proxy_is_remembered_for_its_attempts_only(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("lamdb.graphql.idempotency.time.time", lambda: now)
    endpoint.post(CREATE, {"name": "a"}, x_lamdb_attempts_key="k")
    assert endpoint.post(CREATE, {"name": "a"}, x_lamdb_attempts_key="k").headers["x-lamdb-replayed"]
    # A client's key is another one, whatever it is.
    taken = endpoint.post(CREATE, {"name": "a"}, idempotency_key="k")
    assert b"P2002" in taken.body
    now += ATTEMPT_SECONDS + 1
    endpoint.post(CREATE, {"name": "b"}, x_lamdb_attempts_key="k2")
    endpoint.post(CREATE, {"name": "c"}, x_lamdb_attempts_key="k3", idempotency_key="k3")
    with endpoint.database.reader() as connection:
        kept = {keys: connection.execute(f"SELECT count(*) FROM {keys}").get for keys in list(KeyOrigin)[:2]}
    assert kept == {KeyOrigin.CLIENT: 1, KeyOrigin.PROXY: 1}


def test_many_at_once_under_one_key_write_once(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(endpoint.post, CREATE, {"name": "a"}, idempotency_key="k") for _ in range(32)]
        responses = [call.result() for call in calls]
    assert {response.body for response in responses} == {b'{"data":{"createOneTag":{"name":"a"}}}'}
    assert sum("x-lamdb-replayed" not in response.headers for response in responses) == 1
    assert endpoint.tags() == ["a"]


def test_another_writer_on_the_same_store_replays(tmp_path: Path) -> None:
    """The second still believes in the state before: the store fences it, and then it finds the answer."""
    url = (tmp_path / "store").as_uri()
    with empty_blog(url) as one, Database.open(url) as other:
        first = Endpoint(one, blog_api()).post(CREATE, {"name": "a"}, idempotency_key="k")
        again = Endpoint(other, blog_api()).post(CREATE, {"name": "a"}, idempotency_key="k")
        assert again.headers["x-lamdb-replayed"] == "true"
        assert again.body == first.body


def test_a_commit_that_fails_keeps_neither(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def fenced(*_: object, **__: object) -> None:
        raise Fenced("another writer was first")

    with monkeypatch.context() as patch:
        patch.setattr(endpoint.database.pages.replica, "commit", fenced)
        assert endpoint.post(CREATE, {"name": "a"}, idempotency_key="k").status == 503
    retried = endpoint.post(CREATE, {"name": "a"}, idempotency_key="k")
    assert (retried.status, retried.headers.get("x-lamdb-replayed")) == (200, None)
    assert endpoint.tags() == ["a"]


@pytest.mark.parametrize("headers", [
    {"idempotency_key": ""},
    {"idempotency_key": "x" * 256},
    {"idempotency_key": "naïve"},
    {"idempotency_key": "a", "x_lamdb_idempotency_key": "b"},
])  # fmt: skip
def test_keys_that_are_none(endpoint: Endpoint, headers: dict[str, str]) -> None:
    refused = endpoint.post(CREATE, {"name": "a"}, **headers)
    assert (refused.status, code_of(refused)) == (400, "MALFORMED_REQUEST")


def test_the_past(endpoint: Endpoint) -> None:
    endpoint.post(CREATE, {"name": "a"})
    then = endpoint.database.txid
    endpoint.post(CREATE, {"name": "b"})
    assert endpoint.tags() == ["a", "b"]
    past = endpoint.post(NAMES, x_lamdb_as_of=str(then))
    assert past.body == b'{"data":{"findManyTag":[{"name":"a"}]}}'
    assert past.headers["x-lamdb-as-of"] == past.headers["x-lamdb-txid"] == str(then)
    assert endpoint.tags(x_lamdb_as_of="2999-01-01T00:00:00Z") == ["a", "b"]


def test_a_session_that_looks_back_keeps_its_token(endpoint: Endpoint) -> None:
    endpoint.post(CREATE, {"name": "a"})
    past = endpoint.post(NAMES, x_lamdb_as_of="2", x_lamdb_txid=str(endpoint.database.txid))
    assert past.headers["x-lamdb-txid"] == str(endpoint.database.txid)


@pytest.mark.parametrize(
    ("query", "as_of", "status", "code"),
    [
        (NAMES, "9999", 404, "NOT_RESTORABLE"),
        (NAMES, "yesterday", 400, "MALFORMED_REQUEST"),
        (CREATE, "2", 403, "READ_ONLY"),
    ],
)
def test_pasts_that_cannot_be_asked(
    endpoint: Endpoint, query: str, as_of: str, status: int, code: str
) -> None:
    refused = endpoint.post(query, {"name": "a"}, x_lamdb_as_of=as_of)
    assert (refused.status, code_of(refused)) == (status, code)


def test_a_reader_refuses_mutations(endpoint: Endpoint) -> None:
    endpoint.options = HttpOptions(read_only=True)
    refused = endpoint.post(CREATE, {"name": "a"})
    assert (refused.status, code_of(refused)) == (403, "READ_ONLY")
    assert endpoint.tags() == []
