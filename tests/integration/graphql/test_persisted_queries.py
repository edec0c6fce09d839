"""Automatic persisted queries through GraphQL over HTTP, with a database."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from tests.support.graphql_blog import blog_api, empty_blog

from lamdb.graphql.api import Api
from lamdb.graphql.persisted_queries import PersistedQueries
from lamdb.graphql.transport.http import GRAPHQL_RESPONSE, HttpOptions, HttpRequest, HttpResponse, handle
from lamdb.storage import Database

NAMES = "query ($take: Int) { findManyTag(take: $take) { name } }"
CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"
NOT_FOUND = {
    "errors": [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}]
}


def extensions(document: str) -> dict[str, Any]:
    given = hashlib.sha256(document.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": given}}


@dataclass
class Endpoint:
    database: Database
    api: Api = field(default_factory=blog_api)
    kept: PersistedQueries = field(default_factory=lambda: PersistedQueries(100, 1_000_000))

    def ask(
        self,
        document: str,
        *,
        whole: bool = False,
        method: str = "POST",
        accept: str = "*/*",
        **variables: Any,
    ) -> HttpResponse:
        """`whole`: with the document, and not only its hash."""
        sent: dict[str, Any] = {"extensions": extensions(document), "variables": variables}
        if whole:
            sent["query"] = document
        query, body = "", orjson.dumps(sent)
        if method == "GET":
            texts = {
                name: each if name == "query" else orjson.dumps(each).decode() for name, each in sent.items()
            }
            query, body = urlencode(texts), b""
        headers = {"content-type": "application/json", "accept": accept}
        request = HttpRequest(method, "/graphql", query, headers, body)
        return handle(self.api, self.database, request, HttpOptions(persisted=self.kept))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with empty_blog() as database:
        yield Endpoint(database)


def read(response: HttpResponse) -> Any:
    return orjson.loads(response.body)


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_RESPONSE])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_hash_the_document_and_the_hash_again(endpoint: Endpoint, method: str, accept: str) -> None:
    asked = {"method": method, "accept": accept}
    unknown = endpoint.ask(NAMES, **asked)
    assert (unknown.status, unknown.headers["cache-control"]) == (200, "no-store")
    assert read(unknown) == NOT_FOUND
    first = endpoint.ask(NAMES, whole=True, **asked)
    again = endpoint.ask(NAMES, **asked)
    assert first.status == again.status == 200
    assert read(first) == read(again) == {"data": {"findManyTag": []}}
    assert "cache-control" not in again.headers


def test_variables_may_differ_each_time(endpoint: Endpoint) -> None:
    for name in ("a", "b"):
        endpoint.ask(CREATE, whole=True, name=name)
    assert read(endpoint.ask(CREATE, name="c")) == {"data": {"createOneTag": {"name": "c"}}}
    endpoint.ask(NAMES, whole=True)
    found = [len(read(endpoint.ask(NAMES, take=take))["data"]["findManyTag"]) for take in (1, 2, 5)]
    assert found == [1, 2, 3]


def test_a_get_with_the_hash_of_a_mutation_changes_nothing(endpoint: Endpoint) -> None:
    endpoint.ask(CREATE, whole=True, name="a")
    refused = endpoint.ask(CREATE, method="GET", name="b")
    assert (refused.status, refused.code) == (405, "METHOD_NOT_ALLOWED")
    endpoint.ask(NAMES, whole=True)
    assert read(endpoint.ask(NAMES)) == {"data": {"findManyTag": [{"name": "a"}]}}


@pytest.mark.parametrize(
    "document",
    [
        "{ findManyTag { name",
        "{ findManyTag { nothing } }",
        "{ findManyNothing { id } }",
        "",
        "query A { __typename } query B { __typename }",
    ],
)
def test_a_document_that_is_not_valid_is_not_kept(endpoint: Endpoint, document: str) -> None:
    for _ in range(2):
        refused = endpoint.ask(document, whole=True)
        assert "data" not in read(refused)
    assert len(endpoint.kept) == 0
    assert read(endpoint.ask(document)) == NOT_FOUND


def test_a_document_is_kept_though_its_variables_are_wrong(endpoint: Endpoint) -> None:
    wrong = endpoint.ask(NAMES, whole=True, take="one")
    assert wrong.code == "BAD_VARIABLES"
    assert read(endpoint.ask(NAMES, take=1)) == {"data": {"findManyTag": []}}


def test_another_document_is_neither_executed_nor_kept(endpoint: Endpoint) -> None:
    body = orjson.dumps({"query": CREATE, "extensions": extensions(NAMES), "variables": {"name": "x"}})
    request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json"}, body)
    refused = handle(endpoint.api, endpoint.database, request, HttpOptions(persisted=endpoint.kept))
    assert (refused.status, refused.code) == (400, "MALFORMED_REQUEST")
    assert len(endpoint.kept) == 0
    endpoint.ask(NAMES, whole=True)
    assert read(endpoint.ask(NAMES)) == {"data": {"findManyTag": []}}
