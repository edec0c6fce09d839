"""GraphQL over HTTP without a server: what becomes a GraphQL request, and what its result becomes."""

import gzip
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest

from lamdb.errors import DocumentInvalid, ReplicaLag
from lamdb.graphql.api import GraphQLRequest, Kind, Result
from lamdb.graphql.transport.http import (
    GRAPHQL_RESPONSE,
    JSON,
    HttpOptions,
    HttpRequest,
    HttpResponse,
    handle,
    response_type,
)
from lamdb.graphql.transport.wire import Call, read_parameters, receive, with_document

ANSWER = b'{"data":{"n":1}}'


@dataclass
class FakeApi:
    """Answers every request with `result` and remembers it; a text with "mutation" is one."""

    result: Result = field(default_factory=lambda: Result(ANSWER, executed=True, kind="query", txid=7))
    seen: list[GraphQLRequest] = field(default_factory=list)

    def operation_kind(self, request: GraphQLRequest) -> Kind:
        if "{" not in request.query:
            raise DocumentInvalid("it does not parse")
        return "mutation" if "mutation" in request.query else "query"

    def execute(self, database: Any, request: GraphQLRequest, *, once: Any = None) -> Result:
        self.seen.append(request)
        return self.result


@dataclass
class FakeDatabase:
    """At transaction 7, with 9 in the store."""

    txid: int = 7
    is_overtaken: bool = False
    looked: float = 0.0
    refreshed: list[tuple[int, float]] = field(default_factory=list)

    def age(self) -> float:
        return self.looked

    def refresh(self, min_txid: int = 0, timeout: float = 5.0) -> int:
        self.refreshed.append((min_txid, timeout))
        if min_txid > 9:
            raise ReplicaLag(f"transaction {min_txid} did not appear")
        self.txid = 9
        return 9


@dataclass
class Client:
    api: FakeApi = field(default_factory=FakeApi)
    database: FakeDatabase = field(default_factory=FakeDatabase)
    options: HttpOptions = field(default_factory=HttpOptions)

    def send(self, method: str, query: str, headers: dict[str, str], body: bytes = b"") -> HttpResponse:
        request = HttpRequest(method, "/graphql", query, headers, body)
        return handle(self.api, self.database, request, self.options)  # type: ignore[arg-type]

    def post(self, body: Any, **headers: str) -> HttpResponse:
        """Header names are written with underscores."""
        named = {"content-type": JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}
        return self.send("POST", "", named, body if isinstance(body, bytes) else orjson.dumps(body))

    def get(self, query: str, **headers: str) -> HttpResponse:
        return self.send("GET", query, headers)


@pytest.fixture
def client() -> Client:
    return Client()


def errors(response: HttpResponse) -> list[dict[str, Any]]:
    answer = orjson.loads(response.body)
    assert set(answer) == {"errors"}
    return answer["errors"]


def refused(response: HttpResponse, status: int, code: str) -> str:
    """Checks the one shape that every refusal has; returns the message."""
    (only,) = errors(response)
    assert set(only) == {"message", "extensions"}
    assert (response.status, only["extensions"]["code"], response.code) == (status, code, code)
    return only["message"]


# Requests


def test_post_carries_every_parameter(client: Client) -> None:
    response = client.post(
        {"query": "query Q { n }", "operationName": "Q", "variables": {"a": 1}, "extensions": {"b": 2}}
    )
    assert (response.status, response.body) == (200, ANSWER)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert client.api.seen == [GraphQLRequest("query Q { n }", {"a": 1}, "Q", {"b": 2})]


def test_optional_parameters_may_be_null_or_absent(client: Client) -> None:
    client.post({"query": "{ n }"})
    client.post({"query": "{ n }", "operationName": None, "variables": None, "extensions": None, "more": 1})
    assert client.api.seen == [GraphQLRequest("{ n }")] * 2


def test_get_takes_them_from_the_url(client: Client) -> None:
    parameters = {
        "query": "query Q { n # 🏊\n}",
        "operationName": "Q",
        "variables": '{"a":"x y"}',
        "other": "1",
    }
    assert client.get(urlencode(parameters)).status == 200
    assert client.api.seen == [GraphQLRequest("query Q { n # 🏊\n}", {"a": "x y"}, "Q")]


def test_empty_parameters_in_a_url_are_absent(client: Client) -> None:
    assert client.get("query=%7Bn%7D&operationName=&variables=&extensions=").status == 200
    assert client.api.seen == [GraphQLRequest("{n}")]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no body"),
        (b"{", "not JSON"),
        (b'{"query":"\xff"}', "not JSON"),
        (b'{"query":NaN}', "not JSON"),
        ([{"query": "{ n }"}], "batches"),
        (b'"{ n }"', "not an object"),
        ({"qeury": "{ n }"}, "`query` is missing"),
        ({"query": None}, "`query` is missing"),
        ({"query": 1}, "`query` must be a string"),
        ({"query": "{ n }", "operationName": ["a"]}, "`operationName` must be a string"),
        ({"query": "{ n }", "variables": "{}"}, "`variables` must be an object"),
        ({"query": "{ n }", "variables": [1]}, "`variables` must be an object"),
        ({"query": "{ n }", "extensions": 0}, "`extensions` must be an object"),
    ],
)
def test_malformed_bodies_are_refused(client: Client, body: Any, says: str) -> None:
    for accept in (JSON, GRAPHQL_RESPONSE):
        response = client.post(body, accept=accept)
        assert says in refused(response, 400, "MALFORMED_REQUEST")
        assert response.headers["content-type"].startswith(accept)
    assert client.api.seen == []


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "`query` is missing"),
        ("query=%7Bn%7D&variables=%7B", "`variables` in the URL is not JSON"),
        ("query=%7Bn%7D&variables=1", "`variables` must be an object"),
        ("query=%7Bn%7D&query=%7Bm%7D", "twice"),
        ("query=%FF", "not UTF-8"),
    ],
)
def test_malformed_urls_are_refused(client: Client, query: str, says: str) -> None:
    assert says in refused(client.get(query), 400, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/graphql"},
        {"content-type": "application/json; charset=iso-8859-1"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_bodies_that_are_not_json_are_refused(client: Client, headers: dict[str, str]) -> None:
    refused(client.send("POST", "", headers, b'{"query":"{ n }"}'), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON;charset=UTF-8", 'application/json; charset="utf8"']
)
def test_json_has_many_spellings(client: Client, content_type: str) -> None:
    assert client.post({"query": "{ n }"}, content_type=content_type).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    response = client.send(method, "query=%7Bn%7D", {})
    refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, POST"


def test_get_never_mutates(client: Client) -> None:
    response = client.get("query=" + quote("mutation { n }"))
    refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"
    assert client.api.seen == []


def test_get_leaves_it_to_execution_to_say_what_is_wrong(client: Client) -> None:
    assert client.get("query=nonsense").status == 200
    assert client.api.seen == [GraphQLRequest("nonsense")]


# Media types


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{JSON}, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL_RESPONSE};q=0, {JSON};q=0.1", JSON),
        ("text/html,application/xhtml+xml,*/*;q=0.8", JSON),
        (f"*/*;q=0.1, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"{JSON}; charset=latin1, {GRAPHQL_RESPONSE}; q=0.1", GRAPHQL_RESPONSE),
        (f"{JSON};q=nonsense, */*;q=0.2", JSON),
        ("text/html", None),
        (f"{JSON};q=0", None),
        ("image/*", None),
    ],
)
def test_negotiation(accept: str | None, chosen: str | None) -> None:
    assert response_type(accept) == chosen


def test_nothing_acceptable_is_refused_before_anything_happens(client: Client) -> None:
    response = client.post({"query": "{ n }"}, accept="text/html")
    refused(response, 406, "NOT_ACCEPTABLE")
    assert client.api.seen == []


# Results


@pytest.mark.parametrize(
    ("result", "json_status", "graphql_status"),
    [
        (Result(ANSWER, executed=True, kind="query", txid=7), 200, 200),
        (Result(b'{"errors":[],"data":null}', executed=True, kind="mutation", txid=7), 200, 200),
        (Result(b'{"errors":[]}', executed=False, kind=None, status=400), 200, 400),
        (Result(b'{"errors":[]}', executed=False, kind=None, status=413), 200, 413),
        (Result(b'{"errors":[]}', executed=False, kind="query", status=503, retryable=True), 503, 503),
        (Result(b'{"errors":[]}', executed=False, kind="query", status=503), 503, 503),
        (Result(b'{"errors":[]}', executed=False, kind="query", status=500), 500, 500),
    ],
)
def test_status_codes_by_media_type(result: Result, json_status: int, graphql_status: int) -> None:
    for accept, status in ((JSON, json_status), (GRAPHQL_RESPONSE, graphql_status)):
        response = Client(FakeApi(result)).post({"query": "{ n }"}, accept=accept)
        assert (response.status, response.body) == (status, result.body)
        assert response.headers["content-type"] == f"{accept}; charset=utf-8"
        assert response.headers["vary"] == "accept, accept-encoding"
        assert ("retry-after" in response.headers) == result.retryable


def large() -> Result:
    return Result(b'{"data":"' + b"x" * 10_000 + b'"}', executed=True, kind="query", txid=7)


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("*, gzip;q=0", False),
        ("identity", False),
    ],
)
def test_large_responses_are_gzipped_for_those_who_accept_it(accepted: str, zipped: bool) -> None:
    response = Client(FakeApi(large())).post({"query": "{ n }"}, accept_encoding=accepted)
    assert (response.headers.get("content-encoding") == "gzip") is zipped
    assert (gzip.decompress(response.body) if zipped else response.body) == large().body


def test_small_responses_are_not_gzipped(client: Client) -> None:
    assert "content-encoding" not in client.post({"query": "{ n }"}, accept_encoding="gzip").headers


def test_what_is_compressed_already_is_sent_as_it_is() -> None:
    ready = gzip.compress(ANSWER)
    api = FakeApi(Result(None, executed=True, kind="query", gzipped=ready))
    assert Client(api).post({"query": "{ n }"}, accept_encoding="gzip").body == ready
    assert Client(api).post({"query": "{ n }"}).body == ANSWER


# Consistency


def test_every_response_names_a_transaction(client: Client) -> None:
    assert client.post({"query": "{ n }"}).headers["x-lamdb-txid"] == "7"
    client.api.result = Result(b'{"errors":[]}', executed=False, kind=None, status=400)
    assert client.post({"query": "{ n }"}).headers["x-lamdb-txid"] == "7"


@pytest.mark.parametrize(
    ("headers", "looked", "refreshed"),
    [
        ({}, 0.5, []),
        ({}, 1.5, [(0, 2.0)]),
        ({"x_lamdb_txid": "7"}, 0.5, []),
        ({"x_lamdb_txid": "8"}, 0.5, [(8, 2.0)]),
        ({"x_lamdb_consistency": "session", "x_lamdb_txid": "8"}, 0.5, [(8, 2.0)]),
        ({"x_lamdb_consistency": "strong"}, 0.0, [(0, 2.0)]),
        ({"x_lamdb_consistency": "Strong", "x_lamdb_txid": "9"}, 0.0, [(9, 2.0)]),
        ({"x_lamdb_consistency": "eventual", "x_lamdb_txid": "99"}, 99.0, []),
    ],
)
def test_when_the_store_is_asked(
    headers: dict[str, str], looked: float, refreshed: list[tuple[int, float]]
) -> None:
    database = FakeDatabase(looked=looked)
    client = Client(database=database, options=HttpOptions(token_wait=2.0, max_staleness=1.0))
    assert client.post({"query": "{ n }"}, **headers).status == 200
    assert database.refreshed == refreshed


def test_a_transaction_that_does_not_appear_is_lag(client: Client) -> None:
    response = client.post({"query": "{ n }"}, x_lamdb_txid="10", accept=JSON)
    refused(response, 503, "REPLICA_LAG")
    assert response.headers["retry-after"] == "1"
    assert client.api.seen == []


@pytest.mark.parametrize("token", ["", "x", "-1", "1.5", "٣", "9" * 19])
def test_tokens_must_be_numbers(client: Client, token: str) -> None:
    refused(client.post({"query": "{ n }"}, x_lamdb_txid=token), 400, "MALFORMED_REQUEST")


def test_consistency_must_be_known(client: Client) -> None:
    response = client.post({"query": "{ n }"}, x_lamdb_consistency="maximal")
    assert "maximal" in refused(response, 400, "MALFORMED_REQUEST")
    assert "session, strong, eventual" in errors(response)[0]["extensions"]["hint"]


# Automatic persisted queries, turned off

HASHED = {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb46db40b5132295c0291d62fb65d6759a9"}}


@pytest.mark.parametrize("accept", [None, "application/json", "application/graphql-response+json", "*/*"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_clients_of_apollo_are_told_to_send_the_document(method: str, accept: str | None) -> None:
    headers = {"content-type": "application/json"} | ({"accept": accept} if accept else {})
    query, body = "", b""
    if method == "GET":
        query = urlencode(
            {"operationName": "Q", "variables": "{}", "extensions": orjson.dumps(HASHED).decode()}
        )
    else:
        body = orjson.dumps({"operationName": "Q", "variables": {}, "extensions": HASHED})
    response = receive(HttpRequest(method, "/graphql", query, headers, body))
    assert isinstance(response, HttpResponse)
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert orjson.loads(response.body) == {
        "errors": [
            {
                "message": "PersistedQueryNotSupported",
                "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"},
            }
        ]
    }


def test_a_document_with_its_hash_is_executed() -> None:
    body = orjson.dumps({"query": "{ __typename }", "extensions": HASHED})
    call = receive(HttpRequest("POST", "/graphql", "", {"content-type": "application/json"}, body))
    assert isinstance(call, Call)
    assert call.parameters.query == "{ __typename }"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_with_its_document_is_the_same_request(method: str) -> None:
    sent = {
        "query": "query Q($a: String) { n(a: $a) }",
        "operationName": "Q",
        "variables": {"a": "ä&=+ %"},
        "extensions": {**HASHED, "other": [1, 2.5, None]},
    }
    headers = {"content-type": JSON}
    body, query = orjson.dumps(sent), ""
    if method == "GET":
        texts = {
            name: part if isinstance(part, str) else orjson.dumps(part).decode()
            for name, part in sent.items()
        }
        body, query = b"", urlencode(texts)
    request = HttpRequest(method, "/graphql", query, headers, body)
    parameters = read_parameters(request)
    whole = read_parameters(with_document(request, parameters))
    assert whole == replace(parameters, extensions={"other": [1, 2.5, None]})
    bare = GraphQLRequest("{ n }")
    assert read_parameters(with_document(request, bare)) == bare
