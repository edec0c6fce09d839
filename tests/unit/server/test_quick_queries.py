"""Queries that are answered inside `data_received` are answered as all others are."""

import asyncio
import gzip
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.transport import http
from lamdb.graphql.transport.http import Call, HttpRequest
from lamdb.server.app import Application
from lamdb.server.exchange import Head
from lamdb.server.instance import Instance
from lamdb.server.quick_queries import lane_key
from lamdb.settings import Settings
from lamdb.storage import Database

from .test_app import QUERY, Scope, Wire

DEMO = Path(__file__).parents[3] / "database"
DATE = "Sun, 29 Nov 2026 01:00:00 GMT"
FILTERED = "query ($name: String!) { findManyTag(where: { name: { equals: $name } }) { name } }"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


def head(body: bytes, **headers: str) -> Head:
    named = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body))}
    named.update({name.replace("_", "-"): text for name, text in headers.items()})
    return Head("POST", "/graphql", "", named, len(body), keep_alive=True)


def parsed(pieces: list[bytes] | None) -> tuple[int, dict[str, str], bytes] | None:
    if pieces is None:
        return None
    start, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    status, *lines = start.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers.pop("date") == DATE
    assert int(headers.pop("content-length")) == len(body)
    return int(status.split(" ")[1]), headers, body


def with_app[T](instance: Instance, test: Callable[["Both"], T], **settings: Any) -> T:
    async def main() -> T:
        app = Application(instance, Settings(**settings))
        both = Both(app)
        try:
            for document in (QUERY, FILTERED):
                for _ in range(4):
                    await both.slow(json.dumps({"query": document, "variables": {"name": "art"}}).encode())
            return test(both)
        finally:
            app.close()

    return asyncio.run(main())


class Both:
    """The two ways to a response."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def quick(self, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes] | None:
        return parsed(self.app.at_once(head(body, **headers), body, DATE))

    async def slow(self, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        wire = Wire([body])
        await self.app.__rsgi__(Scope(headers=head(body, **headers).headers), wire)
        (answer,) = wire.answers
        return answer


def without_id(answer: tuple[int, dict[str, str], bytes] | None) -> Any:
    assert answer is not None
    return answer[0], {name: text for name, text in answer[1].items() if name != "x-request-id"}, answer[2]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"accept": "application/graphql-response+json"},
        {"accept": "*/*", "accept_encoding": "gzip, br"},
        {"origin": "https://example.org"},
        {"origin": "http://localhost:3000"},
        {"x_lamdb_txid": "1"},
        {"x_lamdb_consistency": "eventual", "x_lamdb_txid": "99999"},
        {"x_request_id": "mine"},
        {"x_request_id": "not fit; to be logged"},
        {"user_agent": "é"},
    ],
)
def test_both_ways_give_the_same(instance: Instance, headers: dict[str, str]) -> None:
    bodies = [
        {"query": QUERY},
        {"query": QUERY, "variables": None, "operationName": None, "extensions": {}},
        {"query": FILTERED, "variables": {"name": "history"}},
    ]

    async def main() -> None:
        app = Application(instance, Settings(cors_origins=("https://example.org",)))
        both = Both(app)
        for asked in bodies:
            body = json.dumps(asked).encode()
            for _ in range(4):
                slow = await both.slow(body, **headers)
            quick = both.quick(body, **headers)
            assert without_id(quick) == without_id(slow)
            assert quick is not None
            assert (quick[1]["x-request-id"] == "mine") == (headers.get("x_request_id") == "mine")
        app.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer lamdb_search_x.y"},
        {"content_type": "text/plain"},
        {"content_encoding": "gzip"},
        {"accept": "text/html"},
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"prefer": "respond-async"},
        {"x_lamdb_txid": "none"},
        {"x_lamdb_txid": "99999"},
        {"x_lamdb_consistency": "strong"},
        {"x_lamdb_consistency": "weak"},
        {"x_lamdb_as_of": "1"},
        {"x_lamdb_timeout": "1"},
        {"idempotency_key": "k"},
    ],
)
def test_unusual_heads_are_left_to_the_application(instance: Instance, headers: dict[str, str]) -> None:
    body = json.dumps({"query": QUERY}).encode()
    assert with_app(instance, lambda both: both.quick(body, **headers)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"query": 1}',
        b'{"query": "{ a"}',
        json.dumps({"query": QUERY, "variables": []}).encode(),
        json.dumps({"query": QUERY, "operationName": 1}).encode(),
        json.dumps({"query": QUERY, "extensions": 1}).encode(),
        json.dumps({"query": QUERY, "operationName": "other"}).encode(),
        json.dumps({"query": FILTERED, "variables": {}}).encode(),
        json.dumps({"query": FILTERED, "variables": {"name": 1}}).encode(),
        json.dumps({"query": 'mutation { createOneTag(data: { name: "n" }) { name } }'}).encode(),
        json.dumps({"query": QUERY, "variables": {"x": "x" * 9000}}).encode(),
        json.dumps({"query": "{ findManyTag { id } }"}).encode(),
    ],
)
def test_other_bodies_are_left_to_the_application(instance: Instance, body: bytes) -> None:
    assert with_app(instance, lambda both: both.quick(body)) is None


def test_literals_do_not_matter(instance: Instance) -> None:
    """QUERY takes one tag: a document that takes two is as quick."""
    body = json.dumps({"query": QUERY.replace("take: 1", "take: 2")}).encode()

    async def main() -> None:
        both = Both(Application(instance, Settings()))
        for _ in range(4):
            await both.slow(json.dumps({"query": QUERY}).encode())
        while (answer := both.quick(body)) is None:  # the first that differs is compiled in a thread
            await both.slow(body)
        assert len(json.loads(answer[2])["data"]["findManyTag"]) == 2
        both.app.close()

    asyncio.run(main())


def test_a_state_that_is_too_old_is_left_to_the_application(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"query": QUERY}).encode()

    def test(both: Both) -> None:
        assert both.quick(body) is not None
        monkeypatch.setattr(Database, "age", lambda _: 1000.0)
        assert both.quick(body) is None
        assert both.quick(body, x_lamdb_consistency="eventual") is not None

    with_app(instance, test)


def test_long_answers_are_compressed(instance: Instance) -> None:
    body = json.dumps({"query": QUERY}).encode()

    def test(both: Both) -> None:
        plain, short = both.quick(body), both.quick(body, accept_encoding="gzip")
        assert plain is not None
        assert without_id(plain) == without_id(short)
        both.app._quick._options = replace(both.app._quick._options, gzip_from=10)
        answer = both.quick(body, accept_encoding="gzip")
        assert answer is not None
        assert answer[1]["content-encoding"] == "gzip"
        assert gzip.decompress(answer[2]) == plain[2]

    with_app(instance, test)


def test_requests_are_logged_with_their_ids(instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"query": QUERY}).encode()
    caplog.set_level(logging.INFO, "lamdb.server")

    def test(both: Both) -> None:
        caplog.clear()
        assert both.quick(body, x_request_id="quick-1") is not None

    with_app(instance, test, log_requests=True)
    (record,) = caplog.records
    assert record.getMessage() == "request"
    assert vars(record)["status"] == 200


def named(document: str) -> dict[str, Any]:
    given = hashlib.sha256(document.encode()).hexdigest()
    return {"persistedQuery": {"version": 1, "sha256Hash": given}}


def test_a_hash_in_place_of_a_document_is_answered_as_quickly(instance: Instance) -> None:
    body = {"variables": {"name": "art"}, "extensions": named(FILTERED)}
    alone, whole = json.dumps(body).encode(), json.dumps({"query": FILTERED, **body}).encode()
    other = json.dumps({"query": QUERY, **body}).encode()

    def test(both: Both) -> None:
        assert both.quick(alone) is None
        assert both.quick(whole) is None, "`app` keeps it first"
        response = http.answer(
            instance.api, instance.database, called(both, whole), both.app._options, caught_up=True
        )
        for body in (alone, whole):
            found = both.quick(body)
            assert found is not None
            assert found[2] == response.body
        assert both.quick(other) is None, "`app` refuses it"

    def called(both: Both, body: bytes) -> Call:
        request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json"}, body)
        call = http.receive(request, both.app._options.persisted)
        assert isinstance(call, Call)
        return call

    with_app(instance, test)


def test_a_hash_is_left_to_the_application_where_none_are_kept(instance: Instance) -> None:
    body = json.dumps({"query": QUERY, "extensions": named(QUERY)}).encode()

    def test(both: Both) -> None:
        assert both.quick(body) is None

    with_app(instance, test, persisted_queries=0)


SEARCH = "query ($text: String!) { searchArticle(query: $text) { totalCount hits { node { title } } } }"


def test_a_search_is_quick_if_its_result_is_kept(instance: Instance) -> None:
    def body(text: str) -> bytes:
        return json.dumps({"query": SEARCH, "variables": {"text": text}}).encode()

    async def main() -> None:
        app = Application(instance, Settings())
        both = Both(app)
        try:
            asked = [body(text) for text in ("history", "art", "no such word")]
            for each in asked:
                assert both.quick(each) is None
                slow = await both.slow(each)
                assert json.loads(slow[2])["data"]["searchArticle"]
                assert without_id(both.quick(each)) == without_id(slow)
            # However slow the document was for another text.
            app._lane.executed(lane_key(SEARCH), 1.0)
            assert both.quick(asked[0]) is not None
            assert both.quick(body("history ")) is None
            assert both.quick(asked[0]) is not None
            with instance.database.writer() as connection:
                connection.execute("UPDATE Article SET views = views + 1 WHERE id = 1")
            assert both.quick(asked[0]) is None
            await both.slow(asked[0])
            assert both.quick(asked[0]) is not None
        finally:
            app.close()

    asyncio.run(main())
