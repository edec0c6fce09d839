"""Signatures beside botocore's, and the connections that requests go by."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

from lamdb.cluster.aws.http import AnswerLost, Connections, Unreachable
from lamdb.cluster.aws.signature import AccessKeys, frozen, signed

MOMENT = 1_767_225_600.0
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:lamdb-reader:live"


def by_botocore(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    headers: dict[str, str],
    body: bytes,
    keys: AccessKeys,
    service: str,
) -> dict[str, str]:
    moment = datetime.fromtimestamp(MOMENT, UTC).replace(tzinfo=None)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    request = AWSRequest("POST", url, headers, body)
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    SigV4Auth(credentials, service, "eu-central-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://lambda.eu-central-1.amazonaws.com/2015-03-31/functions/reader/invocations", "lambda"),
        (f"https://lambda.eu-central-1.amazonaws.com/f/{quote(ARN, safe='')}/invocations", "lambda"),
        ("http://127.0.0.1:4566/2015-03-31/functions/%C3%A9%20b~c/invocations", "lambda"),
        ("https://sqs.eu-central-1.amazonaws.com/", "sqs"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/", "sqs"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/octet-stream"}, b"{}"),
        ({"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}, b""),
        ({"x-amz-invocation-type": "Event", "x-odd": "  two   spaces "}, "é\n".encode() * 1000),
    ],
)
def test_signatures_are_those_of_botocore(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    service: str,
    headers: dict[str, str],
    body: bytes,
    token: str | None,
) -> None:
    keys = AccessKeys("AKIDEXAMPLE", "secret/with+signs", token)
    ours = signed(url, headers, body, keys=keys, service=service, region="eu-central-1", now=MOMENT)
    theirs = by_botocore(monkeypatch, url, headers, body, keys, service)
    assert ours["authorization"] == theirs["authorization"]
    assert (ours["x-amz-date"], ours.get("x-amz-security-token")) == (theirs["x-amz-date"], token)


def test_credentials() -> None:
    assert frozen(AccessKeys("a", "b")) == AccessKeys("a", "b")
    assert frozen(Credentials("a", "b", "c")) == AccessKeys("a", "b", "c")
    with pytest.raises(NoCredentialsError):
        frozen(None)


@contextmanager
def listener(answer: bytes) -> Iterator[str]:
    """An address at which one request gets so many bytes."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(10)


def post(address: str, **options: float) -> bytes:
    seconds = {"connect_seconds": 5.0, "read_seconds": 5.0, **options}
    return Connections(address, **seconds).post(f"{address}/", {"host": "here"}, b"{}").body  # type: ignore[arg-type]


def test_an_answer() -> None:
    with listener(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as address:
        assert post(address) == b"ok"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", b"nonsense\r\n\r\n"]
)
def test_an_answer_that_is_lost(answer: bytes) -> None:
    with listener(answer) as address, pytest.raises(AnswerLost):
        post(address)


def test_an_answer_that_does_not_come() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(AnswerLost):
            post(f"http://127.0.0.1:{silent.getsockname()[1]}", read_seconds=0.05)


def test_nobody_is_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unreachable):
        post(address)


def test_redirects_are_answers() -> None:
    answer = b"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    with listener(answer) as address:
        assert post(address) == b""


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listener(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nproxied") as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert post("http://lambda.example.invalid") == b"proxied"
    with listener(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ndirect") as address:
        assert post(address) == b"direct"


def test_certificates_are_checked_against_the_file_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    options = {"connect_seconds": 1, "read_seconds": 1}
    address = "https://lambda.eu-central-1.amazonaws.com"
    default = Connections(address, **options)._pool.connection_pool_kw
    assert default["cert_reqs"] == "CERT_REQUIRED"
    assert Path(default["ca_certs"]).name == "cacert.pem"
    given = Connections(address, environ={"AWS_CA_BUNDLE": str(tmp_path / "ours.pem")}, **options)
    assert given._pool.connection_pool_kw["ca_certs"] == str(tmp_path / "ours.pem")
