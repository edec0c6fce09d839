"""Credentials from an endpoint beside the process."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from lamdb.errors import SettingsError, StoreUnavailable
from lamdb.storage.stores.containercredentials import ContainerCredentials, container_credentials

GOOD = {"AccessKeyId": "id", "SecretAccessKey": "secret", "Token": "token"}


class Endpoint(BaseHTTPRequestHandler):
    answers: list[tuple[int, bytes]]
    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("authorization")))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    handler = type("Bound", (Endpoint,), {"answers": [(200, json.dumps(GOOD).encode())], "seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: HTTPServer, *answers: tuple[int, bytes], path: str = "/c?role=1") -> Any:
    if answers:
        server.RequestHandlerClass.answers[:] = answers  # type: ignore[attr-defined]
    return ContainerCredentials(f"http://127.0.0.1:{server.server_port}{path}", "t")()


def test_the_endpoint_is_asked_with_its_token(server: HTTPServer) -> None:
    found = ask(server)
    assert (found["access_key_id"], found["secret_access_key"], found["token"]) == ("id", "secret", "token")
    assert server.RequestHandlerClass.seen == [("/c?role=1", "t")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("minutes", [1, 600])
def test_credentials_are_asked_for_again_before_they_expire(server: HTTPServer, minutes: int) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    body = json.dumps({**GOOD, "Expiration": ends.isoformat().replace("+00:00", "Z")}).encode()
    assert ask(server, (200, body))["expires_at"] <= ends
    assert ask(server)["expires_at"] <= datetime.now(UTC) + timedelta(minutes=15)


def test_a_passing_failure_is_tried_again(server: HTTPServer) -> None:
    good = json.dumps(GOOD).encode()
    assert ask(server, (500, b""), (200, b"no JSON"), (200, good))["access_key_id"] == "id"


@pytest.mark.parametrize("answer", [(403, b"{}"), (200, b""), (200, b"[]"), (200, b'{"AccessKeyId": "id"}')])
def test_an_endpoint_without_credentials_is_named(server: HTTPServer, answer: tuple[int, bytes]) -> None:
    with pytest.raises(StoreUnavailable, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        ask(server, answer)


@pytest.mark.parametrize(
    "address", ["http://example.com/c", "http://10.0.0.1/c", "ftp://127.0.0.1x/c", "http:///c", "c"]
)
def test_credentials_do_not_come_from_another_machine_over_plain_http(address: str) -> None:
    with pytest.raises(SettingsError, match="AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        ContainerCredentials(address, None)


@pytest.mark.parametrize(
    "address", ["http://localhost:1/c", "http://127.0.0.2/c", "http://[::1]/c", "http://169.254.170.2/c",
                "http://169.254.170.23/v1/credentials", "https://example.com/c"]
)  # fmt: skip
def test_addresses_that_aws_uses_are_fine(address: str) -> None:
    ContainerCredentials(address, None)


@pytest.mark.parametrize(
    "other",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ],
)
def test_what_obstore_finds_by_itself_is_left_to_it(other: str) -> None:
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/c"}
    assert container_credentials(environment) is not None
    assert container_credentials({**environment, other: "x"}) is None
    assert container_credentials({}) is None


def test_requests_at_the_same_time_ask_once(server: HTTPServer) -> None:
    ends = datetime.now(UTC) + timedelta(hours=6)
    body = json.dumps({**GOOD, "Expiration": ends.isoformat()}).encode()
    server.RequestHandlerClass.answers[:] = [(200, body)]  # type: ignore[attr-defined]
    provider = ContainerCredentials(f"http://127.0.0.1:{server.server_port}/c", "t")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: provider(), range(8)))
    assert found == [found[0]] * 8
    assert len(server.RequestHandlerClass.seen) == 1  # type: ignore[attr-defined]


def test_credentials_that_end_soon_are_not_kept(server: HTTPServer) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=2)
    body = json.dumps({**GOOD, "Expiration": ends.isoformat()}).encode()
    server.RequestHandlerClass.answers[:] = [(200, body)]  # type: ignore[attr-defined]
    provider = ContainerCredentials(f"http://127.0.0.1:{server.server_port}/c", "t")
    provider()
    provider()
    assert len(server.RequestHandlerClass.seen) == 2  # type: ignore[attr-defined]
