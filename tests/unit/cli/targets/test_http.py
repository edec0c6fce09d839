"""A lamDB behind an address: what is sent there, and what is made of the answer."""

import json
import socket

import pytest
from tests.support.command_line import Recorder, recorder

from lamdb.cli.targets.http import HttpTarget, base_of, is_aws
from lamdb.cli.targets.target import GRAPHQL, OPERATOR, Question
from lamdb.errors import RemoteError, RemoteUnavailable

__all__ = ["recorder"]

STAGE = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"


@pytest.mark.parametrize("tail", ["", "/", "/graphql", "/graphql/", "/admin/graphql"])
def test_the_address_of_an_endpoint_is_that_of_all(tail: str) -> None:
    assert base_of(STAGE + tail) == STAGE


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (STAGE, True),
        ("https://vpce-1-abc.execute-api.eu-west-1.vpce.amazonaws.com/v1", True),
        ("https://db.example.com", False),
        ("https://db.example.com/.execute-api./", False),
        ("http://execute-api.localhost:8000", True),
    ],
)
def test_api_gateways_own_addresses_are_known(url: str, expected: bool) -> None:
    assert is_aws(url) is expected


def test_a_question_is_graphql_over_http(recorder: Recorder) -> None:
    target = HttpTarget(recorder.url + "/graphql")
    question = Question("query q { a }", {"b": 1}, "q", {"x-lamdb-as-of": "7"})
    assert target.ask(GRAPHQL, question) == {"data": {}}
    target.ask(OPERATOR, Question("{ a }"))
    first, second = recorder.seen
    assert (first.path, second.path) == ("/graphql", "/admin/graphql")
    assert first.json == {"query": "query q { a }", "variables": {"b": 1}, "operationName": "q"}
    assert (first.headers["content-type"], first.headers["x-lamdb-as-of"]) == ("application/json", "7")
    assert "authorization" not in first.headers
    assert target.name == recorder.url


def test_credentials_are_sent_as_they_are_given(recorder: Recorder) -> None:
    HttpTarget(recorder.url, token="t", api_key="k").ask(GRAPHQL, Question("{ a }"))
    (seen,) = recorder.seen
    assert (seen.headers["authorization"], seen.headers["x-api-key"]) == ("Bearer t", "k")


def test_errors_of_graphql_are_an_answer_whatever_the_status(recorder: Recorder) -> None:
    recorder.status, recorder.answer = 503, b'{"errors": [{"message": "busy"}]}'
    assert HttpTarget(recorder.url).ask(GRAPHQL, Question("{ a }"))["errors"] == [{"message": "busy"}]


@pytest.mark.parametrize(
    ("status", "answer", "says", "hint"),
    [
        (403, b'{"message": "Missing Authentication Token"}', "answered 403: Missing Auth", "LAMDB_TOKEN"),
        (404, b"<html>Not here</html>", "answered 404: <html>Not here", "stage"),
        (502, b"", "answered 502", "Check the address"),
        (200, b'"text"', "answered 200", "Check the address"),
        (200, b'{"data": ', "answered 200", "Check the address"),
    ],
)
def test_what_is_no_answer_of_lamdb_is_an_error(
    recorder: Recorder, status: int, answer: bytes, says: str, hint: str
) -> None:
    recorder.status, recorder.answer = status, answer
    with pytest.raises(RemoteError, match=says) as caught:
        HttpTarget(recorder.url).ask(GRAPHQL, Question("{ a }"))
    assert hint in caught.value.hint


def test_nobody_is_sent_elsewhere_with_credentials(recorder: Recorder) -> None:
    recorder.status, recorder.headers = 307, {"location": recorder.url + "/other"}
    with pytest.raises(RemoteError, match="answered 307"):
        HttpTarget(recorder.url, token="t").ask(GRAPHQL, Question("mutation { a }"))
    assert len(recorder.seen) == 1


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(RemoteUnavailable, match="cannot be reached"):
        HttpTarget(f"http://127.0.0.1:{port}").ask(GRAPHQL, Question("{ a }"))


def test_a_connection_that_breaks(recorder: Recorder) -> None:
    recorder.headers = {"content-length": "1000"}
    recorder.answer = json.dumps({"data": {}}).encode()
    with pytest.raises(RemoteUnavailable, match="did not answer"):
        HttpTarget(recorder.url).ask(GRAPHQL, Question("{ a }"))
