"""The small parts of the server: CORS, logs, examples, addresses, the seed."""

import gzip
import io
import json
import logging
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from lamdb.deployment.project import Project
from lamdb.deployment.seed import apply_seed
from lamdb.errors import QueryError, SettingsError
from lamdb.graphql.transport import graphiql
from lamdb.graphql.transport.cors import Cors
from lamdb.graphql.transport.graphiql import asset
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.server import logs
from lamdb.server.examples import curl, example_query
from lamdb.server.instance import build_api
from lamdb.server.run import Address, free_address
from lamdb.settings import Settings
from lamdb.storage import Database

DEMO = Path(__file__).parents[3] / "database"

# CORS

PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "POST"}


def allowed(cors: Cors, origin: str | None) -> dict[str, str]:
    headers = {"vary": "accept"}
    cors.allow(origin, headers)
    return headers


def test_cors_is_off_by_default() -> None:
    assert Cors(()).preflight(PREFLIGHT) is None
    assert allowed(Cors(()), "https://app.example") == {"vary": "accept"}


def test_cors_for_one_origin() -> None:
    cors = Cors(["https://app.example"])
    answer = cors.preflight(PREFLIGHT)
    assert answer is not None
    assert answer.status == 204
    assert "x-lamdb-txid" in answer.headers["access-control-allow-headers"]
    assert cors.preflight({**PREFLIGHT, "origin": "https://evil.example"}) is None
    assert cors.preflight({"origin": "https://app.example"}) is None
    headers = allowed(cors, "https://app.example")
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["vary"] == "accept, origin"
    assert allowed(cors, "https://evil.example") == {"vary": "accept, origin"}
    assert allowed(cors, None) == {"vary": "accept, origin"}


def test_cors_for_every_origin() -> None:
    headers = allowed(Cors(["*"]), "https://any.example")
    assert headers["access-control-allow-origin"] == "*"
    assert headers["vary"] == "accept"
    assert "x-lamdb-txid" in headers["access-control-expose-headers"]


# Logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:], root.level = before


def test_a_line_of_json_for_each_event(stream: io.StringIO) -> None:
    logs.configure("info", "auto", stream)
    log = logging.getLogger("lamdb.test")
    log.debug("too quiet")
    token = logs.request_id.set("r-1")
    try:
        log.info("what %s", "happened", extra={"txid": 7, "path": Path("/x")})
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("it failed")
    finally:
        logs.request_id.reset(token)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "lamdb.test",
        "message": "what happened",
        "txid": 7,
        "path": "/x",
        "request_id": "r-1",
    }
    assert second["exception"].startswith("Traceback")
    assert second["exception"].endswith("ValueError: why")


def test_words_for_people(stream: io.StringIO) -> None:
    logs.configure("warning", "human", stream)
    logging.getLogger("lamdb.test").warning("look here", extra={"run": "this"})
    assert stream.getvalue()[8:] == " warning  look here  run=this\n"


# Examples


def test_the_example_is_pasteable(tmp_path: Path) -> None:
    datamodel = PrismaSchema.load(DEMO).datamodel
    query = example_query(datamodel, indent=False)
    assert query == "{ findManyAuthor(take: 3) { id email name } }"
    assert example_query(datamodel).split() == query.split()
    words = shlex.split(curl("http://[::1]:8000/graphql", '{ it\'s(a: "$HOME") }'))
    assert orjson.loads(words[-1]) == {"query": '{ it\'s(a: "$HOME") }'}
    assert words[2] == "http://[::1]:8000/graphql"


# Addresses


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Address("127.0.0.1", 80), "http://127.0.0.1:80"),
        (Address("0.0.0.0", 80), "http://127.0.0.1:80"),
        (Address("::", 80), "http://[::1]:80"),
        (Address("fe80::1", 80), "http://[fe80::1]:80"),
    ],
)
def test_urls_for_people(address: Address, url: str) -> None:
    assert address.url == url


def test_a_free_port_is_found_and_a_taken_one_refused() -> None:
    host, port = free_address("localhost", 0)
    assert host in {"127.0.0.1", "::1"}
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="in use"):
            free_address("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(SettingsError, match=r"nowhere\.invalid"):
        free_address("nowhere.invalid", port)


# Assets


@pytest.mark.parametrize("name", ["../assets.py", ".built", "nothing.js", "", "a/b.js", "app.js.gz"])
def test_only_bundled_files_are_served(name: str) -> None:
    assert asset(name) is None


# The seed

TWO_TAGS = """
mutation {{
  a: createOneTag(data: {{ name: "a" }}) {{ id }}
  b: createOneTag(data: {{ name: "{}" }}) {{ id }}
}}
"""
SCHEMA = """\
datasource db {
  provider = "sqlite"
}

model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique

  @@map("a strange; name")
}
"""


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:") as opened:
        with opened.writer() as connection:
            push(connection, PrismaSchema.parse(SCHEMA))
        yield opened


def test_the_seed_is_planted_once(database: Database) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    api = build_api(schema, Settings())
    document = (
        'mutation { a: createOneTag(data: { name: "a" }) { id } b: createOneTag(data: { name: "b" }) { id } }'
    )
    before = database.txid
    assert apply_seed(api, database, schema, document)
    assert database.txid == before + 1
    assert not apply_seed(api, database, schema, document)
    assert database.txid == before + 1


def test_a_seed_that_fails_keeps_nothing(database: Database) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    api = build_api(schema, Settings())
    before = database.txid
    for document in (TWO_TAGS.format("a"), "mutation { createOneTag }", "this is no document"):
        with pytest.raises(QueryError, match="The seed failed"):
            apply_seed(api, database, schema, document)
        assert database.txid == before


def test_a_table_that_no_migration_made_is_empty(database: Database) -> None:
    """As in a store in memory, whose schema may be ahead of its migrations."""
    schema = PrismaSchema.parse(SCHEMA + "\nmodel Later {\n  id Int @id\n}\n")
    api = build_api(schema, Settings())
    with pytest.raises(QueryError, match="The seed failed") as caught:
        apply_seed(api, database, schema, "mutation { createOneLater(data: { id: 1 }) { id } }")
    assert caught.value.code == "P2021"
    assert "lamdb migrate dev" in (caught.value.hint or "")
    assert apply_seed(api, database, schema, 'mutation { createOneTag(data: { name: "a" }) { id } }')
    assert not apply_seed(api, database, schema, 'mutation { createOneTag(data: { name: "b" }) { id } }')


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\n  # a\r\n# mutation { createOneTag }"])
def test_a_seed_of_comments_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    (tmp_path / "seed.graphql").write_bytes(text.encode())
    assert Project.at(tmp_path).seed is None


def test_a_seed_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    (tmp_path / "seed.graphql").write_bytes(b"mutation { \xe9 }")
    with pytest.raises(SettingsError, match=r"seed\.graphql is not UTF-8"):
        assert Project.at(tmp_path).seed
    (tmp_path / "seed.graphql").write_bytes(b"\xef\xbb\xbfmutation { a }")
    assert Project.at(tmp_path).seed == "mutation { a }"


@pytest.mark.parametrize("has_plain", [True, False])
def test_a_bundled_file_may_be_there_only_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_plain: bool
) -> None:
    monkeypatch.setattr(graphiql, "VENDOR", tmp_path)
    asset.cache_clear()
    (tmp_path / "app.js.gz").write_bytes(gzip.compress(b"let x"))
    if has_plain:
        (tmp_path / "app.js").write_bytes(b"let x")
    found = asset("app.js")
    asset.cache_clear()
    assert found is not None
    assert found.content == b"let x" == gzip.decompress(found.gzipped or b"")
    assert asset("other.js") is None
    assert b"/graphiql/app.js" in graphiql.page().body, "the page is there with its files"
    for accepted, encoding in (("gzip", "gzip"), ("identity", None)):
        request = HttpRequest("GET", "/graphiql/app.js", "", {"accept-encoding": accepted})
        response = graphiql.bundled(request)
        assert response.headers.get("content-encoding") == encoding
        assert (gzip.decompress(response.body) if encoding else response.body) == b"let x"
        request = HttpRequest("GET", "/graphiql/app.js", "", {"if-none-match": response.headers["etag"]})
        assert graphiql.bundled(request).status == 304
    asset.cache_clear()


def test_no_file_is_unpacked_for_clients_that_take_it_compressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphiql, "VENDOR", tmp_path)
    monkeypatch.setattr(graphiql.gzip, "decompress", pytest.fail)
    asset.cache_clear()
    (tmp_path / "app.js.gz").write_bytes(packed := gzip.compress(b"let x"))
    request = HttpRequest("GET", "/graphiql/app.js", "", {"accept-encoding": "br, gzip"})
    assert graphiql.bundled(request).body == packed
    asset.cache_clear()
