"""The operator API on AWS: whose requests are operators', and which function they go to."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.graphql_blog import blog_schema

from lamdb.cluster import reader, writer
from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.events import Received
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.routing.retry import Backoff, Contention
from lamdb.cluster.runtime.observability import Observer
from lamdb.cluster.service import Service
from lamdb.deployment.apply import deploy
from lamdb.errors import DocumentInvalid, FunctionUnavailable, Throttled
from lamdb.operator.kind import PATH
from lamdb.operator.routing import needs_writer
from lamdb.settings import Settings
from lamdb.storage import Database

STATUS = "{ database { txid } }"
MIGRATE = 'mutation { resolve(migration: "a", as: APPLIED) { name } }'
VERIFY = "mutation { verify { ok } }"
SIGNED = {"identity": {"userArn": "arn:aws:iam::123456789012:user/ops"}, "resourcePath": PATH}
ANSWER = {"statusCode": 200, "headers": {}, "body": '{"data":{}}', "isBase64Encoded": False}


def rest(query: str = STATUS, *, path: str = PATH, context: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "path": path,
        "headers": {"content-type": "application/json"},
        "requestContext": SIGNED if context is None else context,
        "body": json.dumps({"query": query}),
    }


def http(context: dict[str, Any]) -> dict[str, Any]:
    made = {"http": {"method": "POST"}, "stage": "$default", "routeKey": f"POST {PATH}", **context}
    return {"requestContext": made, "rawPath": PATH, "headers": {}, "body": json.dumps({"query": STATUS})}


def is_operators(event: Any) -> bool:
    received = events.read(event)
    assert isinstance(received, Received)
    return received.is_operators


def test_the_path_is_the_operator_apis() -> None:
    assert events.OPERATOR_PATH == PATH


def test_who_was_authorised_by_iam_is_an_operator() -> None:
    assert is_operators(rest())
    assert is_operators(http({"authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/ops"}}}))


@pytest.mark.parametrize(
    "event",
    [
        rest(context={}),
        rest(context={"resourcePath": PATH}),
        rest(context={"resourcePath": PATH, "identity": {"userArn": None}}),
        rest(context={"resourcePath": PATH, "authorizer": {"claims": {"sub": "someone"}}}),
        # Signed, but let in by the rule for everything else.
        rest(context={**SIGNED, "resourcePath": "/{proxy+}"}),
        rest(path="/graphql", context={**SIGNED, "resourcePath": "/graphql"}),
        http({}),
        http({"authorizer": {"jwt": {"claims": {}}}}),
        http({"routeKey": "$default", "authorizer": {"iam": {"userArn": "arn"}}}),
        {"query": STATUS},
        {"query": STATUS, "path": PATH},
    ],
)
def test_nobody_else_is(event: dict[str, Any]) -> None:
    assert not is_operators(event)


@pytest.mark.parametrize("route", ["$default", None])
def test_a_caller_of_a_function_url_is_no_operator(route: str | None) -> None:
    """IAM lets it call the URL, whatever the path: nothing says that it may operate."""
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": PATH,
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": "POST", "path": PATH},
            "domainName": "abcdefgh.lambda-url.eu-west-1.on.aws",
            "routeKey": route,
            "stage": "$default",
            "authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/anna"}},
        },
        "body": json.dumps({"query": STATUS}),
    }
    received = events.read(event)
    assert isinstance(received, Received)
    assert received.request.path == PATH
    assert not received.is_operators


def test_whoever_may_invoke_a_function_may_ask_as_an_operator() -> None:
    request = {"query": MIGRATE, "variables": {"a": 1}, "operationName": None}
    received = events.read({"lamdb": {"admin": request}})
    assert isinstance(received, Received)
    assert (received.is_operators, received.request.path) == (True, PATH)
    assert json.loads(received.request.body)["variables"] == {"a": 1}


@pytest.mark.parametrize(
    ("document", "writer"),
    [
        (STATUS, False),
        (MIGRATE, True),
        (VERIFY, False),
        ("mutation { a: verify { ok } compact { merges } }", True),
        ("mutation { ... on Mutation { verify { ok } } }", True),
        ("fragment f on Mutation { reset { txid } } mutation { ...f }", True),
    ],
)
def test_what_changes_something_needs_the_writer(document: str, writer: bool) -> None:
    assert needs_writer(document, None) is writer


def test_the_operation_name_decides_where_to() -> None:
    both = f"query q {STATUS} {MIGRATE.replace('mutation', 'mutation m')}"
    assert (needs_writer(both, "q"), needs_writer(both, "m")) == (False, True)
    with pytest.raises(DocumentInvalid):
        needs_writer(both, None)


class Functions:
    """Fails with each of `failures` first, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        self.asked.append((function, json.loads(payload)["lamdb"]["request"]))
        if self.failures:
            raise self.failures.pop(0)
        return json.dumps(ANSWER).encode()

    def send(self, event: Any) -> Any:
        def backoff(seconds: float, contention: Contention) -> Backoff:
            return Backoff(seconds, contention, sleep=lambda _: None)

        settings = Settings(writer_function="w", reader_function="r")
        return Proxy(settings, self, Observer("proxy"), backoff=backoff).handle(event, None)


@pytest.mark.parametrize(("query", "function"), [(STATUS, "r"), (MIGRATE, "w"), (VERIFY, "r")])
def test_the_proxy_sends_operators_requests_where_they_belong(query: str, function: str) -> None:
    functions = Functions()
    assert functions.send(rest(query))["statusCode"] == 200
    ((asked, request),) = functions.asked
    assert (asked, request["path"]) == (function, PATH)
    assert "idempotency-key" not in request["headers"]


@pytest.mark.parametrize("event", [rest(context={}), {**rest(), "httpMethod": "GET"}, rest("{")])
def test_the_proxy_refuses_who_is_no_operator_and_what_is_no_request(event: dict[str, Any]) -> None:
    functions = Functions()
    assert functions.send(event)["statusCode"] in {400, 404, 405}
    assert functions.asked == []


def test_what_changes_something_is_sent_again_only_if_it_was_not_begun() -> None:
    throttled = Functions(Throttled("busy"), Throttled("busy"))
    assert throttled.send(rest(MIGRATE))["statusCode"] == 200
    assert len(throttled.asked) == 3
    lost = Functions(FunctionUnavailable("lost"))
    assert lost.send(rest(MIGRATE))["statusCode"] == 503
    assert len(lost.asked) == 1


def test_what_only_reads_is_sent_again() -> None:
    lost = Functions(FunctionUnavailable("lost"))
    assert lost.send(rest(STATUS))["statusCode"] == 200
    assert len(lost.asked) == 2


@pytest.fixture
def services(tmp_path: Path) -> tuple[Service, Service]:
    """A writer and a reader on a store with one migration."""
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database:
        deploy(database, [], blog_schema())
    settings = Settings(store=url)
    return Service(writer.role(), settings), Service(reader.ROLE, settings)


def admin(service: Service, query: str) -> dict[str, Any]:
    answer: dict[str, Any] = service.handle({"lamdb": {"admin": {"query": query}}}, None)
    return answer


def test_reader_and_writer_answer_operators(services: tuple[Service, Service]) -> None:
    writing, reading = services
    asked = "{ database { txid readOnly } }"
    assert admin(writing, asked)["data"] == {"database": {"txid": 1, "readOnly": False}}
    assert admin(reading, asked)["data"] == {"database": {"txid": 1, "readOnly": True}}
    assert admin(writing, "mutation { compact(seconds: 1) { finished } }")["data"]["compact"]["finished"]
    # A reader cannot write, but it can verify.
    refused = admin(reading, "mutation { snapshot { txid } }")
    assert refused["errors"][0]["extensions"]["code"] == "READ_ONLY"
    assert admin(reading, VERIFY)["data"] == {"verify": {"ok": True}}


def test_the_data_api_and_the_operator_api_are_told_apart(services: tuple[Service, Service]) -> None:
    writing, _ = services
    assert "errors" in writing.handle({"query": STATUS}, None)
    assert "errors" in admin(writing, "{ findManyTag { name } }")
    unsigned = writing.handle(rest(context={}), None)
    assert (unsigned["statusCode"], json.loads(unsigned["body"])["errors"][0]["extensions"]["code"]) == (
        404,
        "NOT_FOUND",
    )
    assert writing.handle(rest(), None)["statusCode"] == 200
