"""The studio of a server: the servers that have it, its callers, and requests of other pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, Wire, with_app

from lamdb.access import keys
from lamdb.graphql.transport import studio
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.settings import Settings

SCHEMA = """datasource db {
  provider = "sqlite"
}
RULES
model Note {
  id    Int    @id @default(autoincrement())
  text  String
  owner String
}
"""
RULES = "/// @@allow('all', owner == auth().sub)"
SELECT = {"requests": [{"type": "execute", "stmt": {"sql": "SELECT count(*) FROM Note"}}, {"type": "close"}]}
INSERT = {
    "requests": [{"type": "execute", "stmt": {"sql": "INSERT INTO Note (text, owner) VALUES ('x', 'y')"}}]
}
JSON = {"content-type": "application/json"}
LOCAL = {"host": "localhost:8000"}


@pytest.fixture(scope="module", params=["", RULES], ids=["open", "ruled"])
def instance(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Instance, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("database")
    (folder / "schema.prisma").write_text(SCHEMA.replace("RULES", request.param))
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as opened:
        with opened.database.writer() as connection:
            made = {
                role: keys.create(connection, name=role, role=role, claims={})[1]
                for role in ("read", "write", "admin")
            }
        made["ruled"] = request.param
        yield opened, made


def ask(
    instance: Instance,
    path: str,
    body: Any = None,
    *,
    method: str = "",
    token: str = "",
    headers: dict[str, str] | None = None,
    **settings: Any,
) -> tuple[int, dict[str, str], bytes]:
    async def test(app: Application) -> tuple[int, dict[str, str], bytes]:
        sent = LOCAL | ({} if body is None else JSON) | (headers or {})
        if token:
            sent["authorization"] = f"Bearer {token}"
        wire = Wire([] if body is None else [json.dumps(body).encode()])
        await app.__rsgi__(Scope(method or ("GET" if body is None else "POST"), path, sent), wire)
        return wire.answers[0]

    return with_app(instance, test, **settings)


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 200),
        ({"host": "::1"}, 200),
        ({"host": "0.0.0.0"}, 404),
        ({"host": "0.0.0.0", "auth": ("keys",)}, 200),
        ({"host": "0.0.0.0", "studio": "on"}, 200),
        ({"studio": "off"}, 404),
        ({"sql": False}, 404),
        ({"sql": False, "studio": "on"}, 200),
    ],
)
def test_on_which_servers_it_is(
    instance: tuple[Instance, dict[str, str]], settings: dict[str, Any], status: int
) -> None:
    found, headers, body = ask(instance[0], "/studio", **settings)
    assert found == status
    if status == 200:
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert b"http" not in body.replace(b"http-equiv", b"")
    assert (b'"studio"' in ask(instance[0], "/", **settings)[2]) is (status == 200)


@pytest.mark.parametrize(
    ("role", "mode", "session", "insert"),
    [
        ("admin", "auto", 200, True),
        ("write", "auto", 403, False),
        ("read", "auto", 403, False),
        ("", "auto", 401, False),
        ("admin", "on", 200, True),
        ("write", "on", 200, True),
        ("read", "on", 200, False),
        ("", "on", 401, False),
    ],
)
def test_callers_have_their_roles(
    instance: tuple[Instance, dict[str, str]], role: str, mode: str, session: int, insert: bool
) -> None:
    opened, made = instance
    if made["ruled"] and role in ("read", "write"):
        session, insert = 403, False
    given: dict[str, Any] = {"auth": ("keys",), "studio": mode, "token": made.get(role, "")}
    status, _, body = ask(opened, studio.SESSION, **given)
    assert status == session, body
    if status == 200:
        said = json.loads(body)
        assert said["role"] == role
        assert role == "admin" or said["operator"] is False
    status, _, body = ask(opened, studio.DATA, INSERT, **given)
    assert (status == 200 and json.loads(body)["results"][0]["type"] == "ok") is insert, body
    status, _, body = ask(opened, studio.DATA, SELECT, **given)
    assert (status == 200) is (session == 200), body


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"host": "evil.example"},
        {"host": "db.example.com"},
    ],
)
@pytest.mark.parametrize("path", [studio.DATA, studio.SESSION])
def test_other_pages_and_names_are_refused(
    instance: tuple[Instance, dict[str, str]], path: str, headers: dict[str, str]
) -> None:
    """The settings that admit them to the API change nothing."""
    lenient: dict[str, Any] = {"cors_origins": ("*",), "hosts": ("*",)}
    body = SELECT if path == studio.DATA else None
    assert ask(instance[0], path, body, headers=headers, **lenient)[0] == 403
    assert ask(instance[0], path, body)[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken(instance: tuple[Instance, dict[str, str]], kind: str) -> None:
    assert ask(instance[0], studio.DATA, SELECT, headers={"content-type": kind})[0] == 415


def test_the_past_can_only_be_read(instance: tuple[Instance, dict[str, str]]) -> None:
    opened = instance[0]
    past = {"x-lamdb-as-of": str(opened.database.txid)}
    status, _, body = ask(opened, studio.DATA, INSERT, headers=past)
    assert status != 200 or json.loads(body)["results"][0]["type"] == "error"
    assert json.loads(ask(opened, studio.DATA, SELECT, headers=past)[2])["results"][0]["type"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/studio/", 308),
        ("GET", "/studio/nothing.js", 404),
        ("GET", "/studio/../graphiql.html", 404),
        ("GET", "/studio/..%2fstudio.html", 404),
        ("GET", "/studio/v2/pipeline/x", 404),
        ("POST", "/studio", 405),
        ("DELETE", "/studio/app.js", 405),
        ("GET", "/studiox", 404),
    ],
)
def test_paths(instance: tuple[Instance, dict[str, str]], method: str, path: str, status: int) -> None:
    assert ask(instance[0], path, method=method)[0] == status


def test_files_are_sent_compressed_and_once(
    instance: tuple[Instance, dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "app.js").write_bytes(b"1;")
    (tmp_path / "app.js.gz").write_bytes(b"packed")
    monkeypatch.setattr(studio, "FILES", tmp_path)
    status, headers, body = ask(instance[0], "/studio/app.js", headers={"accept-encoding": "gzip"})
    assert (status, body, headers["content-encoding"]) == (200, b"packed", "gzip")
    again = ask(instance[0], "/studio/app.js", headers={"if-none-match": headers["etag"]})
    assert again[0] == 304
    assert b'src="studio/app.js"' in ask(instance[0], "/studio")[2]


def test_a_page_that_is_not_built_says_so(
    instance: tuple[Instance, dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(studio, "FILES", tmp_path)
    assert b"make build" in ask(instance[0], "/studio")[2]
