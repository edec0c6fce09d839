"""Where the proxy sends what, how long it tries, and what it answers if nobody else does."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lamdb.cluster.invocation import events
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.routing.retry import Backoff, Contention
from lamdb.cluster.runtime.observability import Observer
from lamdb.errors import FunctionError, FunctionUnavailable, Throttled
from lamdb.graphql.search_tokens import SearchToken
from lamdb.graphql.transport.wire import read_parameters
from lamdb.settings import Settings

QUERY = "{ findManyTag { name } }"
MUTATION = "mutation { deleteManyTag { count } }"
ANSWER = {
    "statusCode": 200,
    "headers": {"x-lamdb-txid": "5"},
    "body": '{"data":{}}',
    "isBase64Encoded": False,
}
STORE_DOWN = {
    "statusCode": 503, "headers": {"retry-after": "1"}, "isBase64Encoded": False,
    "body": '{"errors":[{"message":"","extensions":{"code":"STORE_UNAVAILABLE","retryable":true}}]}',
    "lamdb": ["STORE_UNAVAILABLE", True],
}  # fmt: skip


@dataclass
class Functions:
    """Fails with each of `failures` first, then answers."""

    failures: list[Exception | dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        assert 0 < seconds <= 28
        self.asked.append((function, json.loads(payload)["lamdb"]["request"]))
        match self.failures.pop(0) if self.failures else ANSWER:
            case Exception() as error:
                raise error
            case answer:
                return json.dumps(answer).encode()


@dataclass
class Time:
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def backoff(self, seconds: float, contention: Contention) -> Backoff:
        return Backoff(
            seconds, contention, clock=lambda: self.now, sleep=self.sleep, uniform=lambda _, high: high
        )


@dataclass
class Client:
    functions: Functions = field(default_factory=Functions)
    time: Time = field(default_factory=Time)
    cors: tuple[str, ...] = ()
    cors_headers: tuple[str, ...] = ()
    graphiql: bool = True
    search_key: str = ""

    def send(self, method: str = "POST", path: str = "/graphql", **event: Any) -> dict[str, Any]:
        settings = Settings(
            writer_function="w",
            reader_function="r",
            cors_origins=self.cors,
            cors_headers=self.cors_headers,
            graphiql=self.graphiql,
            search_key=self.search_key,
        )
        proxy = Proxy(settings, self.functions, Observer("proxy"), backoff=self.time.backoff)
        return proxy.handle({"httpMethod": method, "path": path, **event}, None)

    def post(self, query: str, **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        body = json.dumps({"query": query})
        return self.send(headers={"content-type": "application/json", **named}, body=body)


@pytest.fixture
def client() -> Client:
    return Client()


def code_of(answer: dict[str, Any]) -> str:
    return str(json.loads(answer["body"])["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize(
    ("query", "function"),
    [(QUERY, "r"), (MUTATION, "w"), ('{ findManyTag(where: {name: "mutation"}) { name } }', "r"),
     ("# mutation\n{ a }", "r"), ("query mutation { a }", "r"), ("not graphql", "r")],
)  # fmt: skip
def test_operations_go_where_they_belong(client: Client, query: str, function: str) -> None:
    answer = client.post(query)
    assert [name for name, _ in client.functions.asked] == [function]
    assert (answer["statusCode"], answer["body"]) == (200, ANSWER["body"])


def test_a_document_that_does_not_say_what_to_execute_is_refused_here(client: Client) -> None:
    answer = client.post("query q { a } mutation m { b }")
    assert code_of(answer) == "OPERATION_RESOLUTION_FAILURE"
    assert client.functions.asked == []


def test_a_get_reads_and_never_mutates(client: Client) -> None:
    assert client.send("GET", multiValueQueryStringParameters={"query": [QUERY]})["statusCode"] == 200
    refused = client.send("GET", multiValueQueryStringParameters={"query": [MUTATION]})
    assert (refused["statusCode"], code_of(refused)) == (405, "METHOD_NOT_ALLOWED")
    assert [name for name, _ in client.functions.asked] == ["r"]


def test_mutations_get_a_key_that_stays_while_they_are_tried_again(client: Client) -> None:
    client.functions.failures = [Throttled("x"), FunctionUnavailable("x")]
    client.post(MUTATION)
    keys = [request["headers"]["x-lamdb-attempts-key"] for _, request in client.functions.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    client.post(MUTATION)
    assert client.functions.asked[-1][1]["headers"]["x-lamdb-attempts-key"] != keys[0]


@pytest.mark.parametrize("name", ["idempotency_key", "x_lamdb_idempotency_key"])
def test_a_key_of_the_client_is_kept(client: Client, name: str) -> None:
    client.post(MUTATION, **{name: "mine"})
    headers = client.functions.asked[0][1]["headers"]
    assert [text for header, text in headers.items() if header.endswith("-key")] == ["mine"]


def test_queries_get_no_key_and_credentials_go_no_further(client: Client) -> None:
    given = {"authorization": "secret", "x_lamdb_attempts_key": "secret"}
    client.post(QUERY, cookie="lamdb-txid=3", x_lamdb_consistency="strong", **given)
    headers = client.functions.asked[0][1]["headers"]
    assert "secret" not in headers.values()
    assert not [name for name in headers if name.endswith("-key")]
    assert (headers["x-lamdb-txid"], headers["x-lamdb-consistency"]) == ("3", "strong")


@pytest.mark.parametrize("query", [QUERY, "query @live { findManyTag { name } }"])
def test_streams_of_events_are_refused_here(client: Client, query: str) -> None:
    answer = client.post(query, accept="text/event-stream")
    assert (answer["statusCode"], code_of(answer)) == (406, "NOT_ACCEPTABLE")
    assert "standalone server" in json.loads(answer["body"])["errors"][0]["extensions"]["hint"]
    assert client.functions.asked == []


def test_the_schema_is_asked_of_a_reader(client: Client) -> None:
    client.functions.failures = [Throttled("x")]
    got = client.send(
        "GET", path="/schema.graphql", headers={"If-None-Match": '"x"', "Authorization": "secret"}
    )
    assert got["statusCode"] == 200
    assert [name for name, _ in client.functions.asked] == ["r", "r"]
    request = client.functions.asked[-1][1]
    assert (request["path"], request["headers"]["if-none-match"]) == ("/schema.graphql", '"x"')
    assert "secret" not in request["headers"].values()
    assert client.send("POST", path="/schema.graphql")["statusCode"] == 405


def test_the_token_goes_back_as_header_and_cookie(client: Client) -> None:
    headers = client.post(QUERY)["headers"]
    assert headers["x-lamdb-txid"] == "5"
    assert headers["set-cookie"].startswith("lamdb-txid=5;")


@pytest.mark.parametrize("failure", [FunctionUnavailable("gone"), STORE_DOWN])
def test_what_passes_is_tried_again(client: Client, failure: Exception | dict[str, Any]) -> None:
    client.functions.failures = [failure] * 3
    assert client.post(QUERY)["statusCode"] == 200
    assert client.time.pauses == [0.05, 0.1, 0.2]


def test_who_is_throttled_waits_for_a_turn(client: Client) -> None:
    client.functions.failures = [Throttled("busy")] * 3
    assert client.post(QUERY)["statusCode"] == 200
    assert client.time.pauses == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(
    ("make", "code"), [(Throttled, "THROTTLED"), (FunctionUnavailable, "FUNCTION_UNAVAILABLE")]
)
def test_in_the_end_it_says_so_in_time(client: Client, make: Callable[[str], Exception], code: str) -> None:
    client.functions.failures = [make("x")] * 1000
    answer = client.post(MUTATION)
    assert (answer["statusCode"], code_of(answer), answer["headers"]["retry-after"]) == (503, code, "1")
    assert 18 <= client.time.now < 20


def test_what_will_not_get_better_is_not_tried_again(client: Client) -> None:
    client.functions.failures = [FunctionError("ResourceNotFoundException")]
    answer = client.post(QUERY)
    assert (answer["statusCode"], code_of(answer)) == (502, "FUNCTION")
    assert len(client.functions.asked) == 1


def test_a_function_that_is_none_of_ours(client: Client) -> None:
    client.functions.failures = [{"hello": "world"}] * 1000
    assert code_of(client.post(QUERY)) == "FUNCTION_UNAVAILABLE"


def test_a_request_that_is_too_large(client: Client) -> None:
    answer = client.post(QUERY + " " * 7_000_000)
    assert (answer["statusCode"], code_of(answer)) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(("text", "status"), [('\\"', 413), ("\\n", 413), ("x", 200), ("é", 413)])
def test_the_limit_is_of_what_a_function_gets(client: Client, text: str, status: int) -> None:
    """JSON inside JSON is longer. The message has both lengths."""
    body = json.dumps({"query": QUERY, "variables": {"text": text * 1_500_000}})
    answer = client.send(headers={"content-type": "application/json"}, body=body)
    assert answer["statusCode"] == status
    if status == 200:
        return
    assert code_of(answer) == "BODY_TOO_LARGE"
    assert str(len(body)) in json.loads(answer["body"])["errors"][0]["message"]


def test_health_and_what_is_not_there(client: Client) -> None:
    health = client.send("GET", "/health")
    assert (health["statusCode"], json.loads(health["body"])["status"]) == (200, "ok")
    assert client.send("GET", "/nowhere")["statusCode"] == 404
    assert client.functions.asked == []


def test_browsers_get_graphiql_below_the_stage(client: Client) -> None:
    browser = {"headers": {"accept": "text/html"}, "requestContext": {"path": "/v1/"}}
    page = client.send("GET", "/", **browser)
    assert page["headers"]["content-type"] == "text/html; charset=utf-8"
    assert 'data-endpoint="/v1/graphql"' in page["body"]
    assert client.send("GET", "/graphiql/app.js", headers={"accept-encoding": "gzip"})["statusCode"] == 200
    assert client.send("GET", "/graphiql/..%2fx.py")["statusCode"] == 404


def test_graphiql_can_be_switched_off(client: Client) -> None:
    client.graphiql = False
    assert client.send("GET", "/", headers={"accept": "text/html"})["statusCode"] == 404
    assert client.send("GET", "/graphiql/app.js")["statusCode"] == 404


def test_pages_of_other_origins() -> None:
    client = Client(cors=("https://app.example",))
    asking = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert client.send("OPTIONS", headers=asking)["statusCode"] == 204
    answer = client.post(QUERY, origin="https://app.example")
    assert answer["headers"]["access-control-allow-origin"] == "https://app.example"


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type,x-amz-date,x-amz-security-token",
        "authorization,content-type,x-amz-content-sha256,x-amz-date,x-amz-security-token,x-amz-user-agent",
        "amz-sdk-invocation-id,amz-sdk-request,authorization,x-amz-date",
        "content-type,x-api-key,x-lamdb-timeout,x-lamdb-txid,idempotency-key",
        "apollo-require-preflight,content-type,x-apollo-operation-name",
    ],
)
def test_pages_may_send_the_headers_of_their_clients(headers: str) -> None:
    client = Client(
        cors=("https://app.example",), cors_headers=("apollo-require-preflight", "x-apollo-operation-name")
    )
    asking = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": headers,
    }
    answer = client.send("OPTIONS", headers=asking)
    allowed = {name.strip() for name in answer["headers"]["access-control-allow-headers"].split(",")}
    assert set(headers.split(",")) <= allowed


def emitted_metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]


@pytest.mark.parametrize("failure", [Throttled("x"), FunctionUnavailable("x"), STORE_DOWN])
def test_only_what_clients_are_refused_is_counted_as_refused(
    client: Client, capsys: pytest.CaptureFixture[str], failure: FunctionError | dict[str, Any]
) -> None:
    client.functions.failures = [failure] * 3
    assert client.post(QUERY)["statusCode"] == 200
    assert all("RefusedRequests" not in each for each in emitted_metrics(capsys))
    client.functions.failures = [failure] * 100_000
    assert client.post(QUERY)["statusCode"] == 503
    assert [each.get("RefusedRequests") for each in emitted_metrics(capsys)] == [[1]]


def test_a_client_that_asks_for_what_cannot_be_is_not_counted_as_refused(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    client.functions.failures = [FunctionError("not there")]
    assert client.post(QUERY)["statusCode"] == 502
    assert all("RefusedRequests" not in each for each in emitted_metrics(capsys))


def test_how_long_a_client_waits_reaches_the_function(client: Client) -> None:
    client.post(QUERY, x_lamdb_timeout="2.5")
    [(_, request)] = client.functions.asked
    assert request["headers"]["x-lamdb-timeout"] == "2.5"


def test_metrics_count_retries(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    client.functions.failures = [Throttled("x")] * 2
    client.post(QUERY)
    emitted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert emitted[0]["ThrottledRetries"] == [2]
    assert emitted[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "lamDB"


def test_what_a_refused_document_says_is_not_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    refused = client.post('mutation { x "secret"')
    assert code_of(refused) == "GRAPHQL_PARSE_FAILED"
    logged = str([vars(record) for record in caplog.records])
    assert "GRAPHQL_PARSE_FAILED" in logged
    assert "secret" not in logged


SEARCH_KEY = "a key that nobody else knows"


@pytest.mark.parametrize("path", ["/graphql", "/search"])
def test_a_request_with_a_search_token_goes_to_a_reader_with_it(client: Client, path: str) -> None:
    client.search_key = SEARCH_KEY
    authorization = f"Bearer {SearchToken().sign(SEARCH_KEY)}"
    headers = {"content-type": "application/json", "authorization": authorization}
    answer = client.send(path=path, headers=headers, body=json.dumps({"query": QUERY}))
    assert answer["statusCode"] == 200
    [(function, request)] = client.functions.asked
    assert (function, request["path"]) == ("r", "/graphql")
    assert request["headers"]["authorization"] == authorization


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/graphql", MUTATION, "FORBIDDEN"),
        ("/search", MUTATION, "FORBIDDEN"),
        ("/schema.graphql", QUERY, "FORBIDDEN"),
        ("/writes/x", QUERY, "FORBIDDEN"),
        ("/v3/pipeline", QUERY, "FORBIDDEN"),
        ("/admin/graphql", QUERY, "FORBIDDEN"),
    ],
)
def test_a_search_token_reaches_nothing_else(client: Client, path: str, query: str, code: str) -> None:
    client.search_key = SEARCH_KEY
    headers = {
        "content-type": "application/json",
        "authorization": f"bearer {SearchToken().sign(SEARCH_KEY)}",
    }
    for more in ({}, {"prefer": "respond-async"}):
        answer = client.send(path=path, headers={**headers, **more}, body=json.dumps({"query": query}))
        assert (answer["statusCode"], code_of(answer)) == (403, code)
    assert client.functions.asked == []


@pytest.mark.parametrize("token", ["", "Bearer x", f"Bearer {SearchToken().sign('another key')}"])
@pytest.mark.parametrize("key", ["", SEARCH_KEY])
def test_the_search_endpoint_wants_a_token(client: Client, token: str, key: str) -> None:
    client.search_key = key
    headers = {"content-type": "application/json", "authorization": token}
    answer = client.send(path="/search", headers=headers, body=json.dumps({"query": QUERY}))
    assert (answer["statusCode"], code_of(answer)) == (401, "UNAUTHORIZED")
    assert client.functions.asked == []


def test_credentials_of_other_kinds_are_not_forwarded(client: Client) -> None:
    client.post(QUERY, authorization="Bearer secret")
    assert "authorization" not in client.functions.asked[0][1]["headers"]


# Automatic persisted queries

INVALID = {
    "statusCode": 200, "headers": {}, "isBase64Encoded": False,
    "body": '{"errors":[{"message":"","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}',
    "lamdb": ["GRAPHQL_VALIDATION_FAILED", False],
}  # fmt: skip


@dataclass
class Persisted:
    """One environment of the proxy, and requests that name documents by their hash."""

    functions: Functions = field(default_factory=Functions)
    proxy: Proxy = field(init=False)

    def __post_init__(self) -> None:
        settings = Settings(writer_function="w", reader_function="r", search_key="k" * 32)
        self.proxy = Proxy(settings, self.functions, Observer("proxy"))

    def ask(
        self,
        document: str,
        *,
        whole: bool = False,
        method: str = "POST",
        path: str = "/graphql",
        **headers: str,
    ) -> dict[str, Any]:
        sha256 = hashlib.sha256(document.encode()).hexdigest()
        extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256}}
        sent: dict[str, Any] = {"variables": {"a": 1}, "extensions": extensions}
        if whole:
            sent["query"] = document
        event: dict[str, Any] = {"httpMethod": method, "path": path}
        if method == "GET":
            texts = {name: [part if name == "query" else json.dumps(part)] for name, part in sent.items()}
            event["multiValueQueryStringParameters"] = texts
        named = {"content-type": "application/json", **headers}
        return self.proxy.handle({**event, "headers": named, "body": json.dumps(sent)}, None)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("document", "function"), [(QUERY, "r"), (MUTATION, "w")])
def test_functions_get_the_document_of_a_hash(document: str, function: str, method: str) -> None:
    client = Persisted()
    assert code_of(client.ask(document, method=method)) == "PERSISTED_QUERY_NOT_FOUND"
    assert client.functions.asked == []
    assert client.ask(document, whole=True)["statusCode"] == 200
    answer = client.ask(document, method=method)
    if method == "GET" and document == MUTATION:
        assert (answer["statusCode"], code_of(answer)) == (405, "METHOD_NOT_ALLOWED")
        return
    assert answer["statusCode"] == 200
    assert [name for name, _ in client.functions.asked] == [function, function]
    for _, request in client.functions.asked:
        event = {"lamdb": {"request": request}}
        received = events.read(event)
        assert isinstance(received, events.Received)
        parameters = read_parameters(received.request)
        assert (parameters.query, parameters.variables) == (document, {"a": 1})
        assert not parameters.extensions


@pytest.mark.parametrize("failure", [INVALID, STORE_DOWN | {"statusCode": 500}])
def test_a_document_that_no_function_found_valid_is_not_kept(failure: dict[str, Any]) -> None:
    client = Persisted(Functions(failures=[failure]))
    client.ask(QUERY, whole=True)
    assert code_of(client.ask(QUERY)) == "PERSISTED_QUERY_NOT_FOUND"


def test_a_search_may_name_its_document_by_a_hash() -> None:
    client = Persisted()
    token = SearchToken().sign("k" * 32)
    headers = {"authorization": f"Bearer {token}"}
    assert client.ask(QUERY, whole=True, path="/search", **headers)["statusCode"] == 200
    assert client.ask(QUERY, path="/search", **headers)["body"] == ANSWER["body"]
    _, request = client.functions.asked[-1]
    assert json.loads(request["body"])["query"] == QUERY
    assert request["headers"]["authorization"] == headers["authorization"]
