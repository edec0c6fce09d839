"""Clients of the API are told what happened, and no path, bucket, address or object; the log is told all."""

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.graphql_blog import blog_schema

from lamdb import errors
from lamdb.errors import LamdbError, SettingsError, StorageError
from lamdb.graphql import stored_schema
from lamdb.graphql.errors import detailed, entry
from lamdb.graphql.from_settings import serving
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, handle
from lamdb.prisma.migrate.migrate import push
from lamdb.settings import Settings
from lamdb.storage import Database, open_store

PUBLIC = [
    made
    for made in vars(errors).values()
    if isinstance(made, type) and issubclass(made, LamdbError) and made.public is not None
]
PLACES = "cannot read s3://secret-bucket/prefix/0000/1.ltx at http://10.0.0.9:9000 in /srv/secret"


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_nothing_of_a_message_with_places_is_told(
    cls: type[LamdbError], caplog: pytest.LogCaptureFixture
) -> None:
    meta = {"object": "prefix/0000/1.ltx", "faults": ["/srv/secret"], "txid": 7}
    error = cls(PLACES, hint="See /srv/secret.", meta=meta)
    told = entry(error)
    text = str(told)
    assert not any(place in text for place in ("secret", "10.0.0.9", "ltx", "s3:"))
    assert told["extensions"]["code"] == error.code
    assert told["extensions"]["meta"] == {"txid": 7}
    assert [record.reason for record in caplog.records] == [PLACES]  # type: ignore[attr-defined]
    with detailed():
        assert PLACES in str(entry(error))


def test_every_failure_of_the_store_or_the_engine_is_covered() -> None:
    """Errors that show their own message are listed: it is made of numbers and of the request."""
    shown = {
        cls.__name__
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, StorageError | SettingsError) and cls.public is None
    }
    assert shown >= {"Fenced", "ReplicaLag", "NotRestorable", "ReadOnly", "TransactionTooLarge"}
    assert not shown & {"StorageError", "StoreUnavailable", "CommitUnknown", "NotAStore", "CorruptFile"}


def filled(url: str) -> None:
    with Database.open(url) as database:
        with database.writer() as connection:
            push(connection, blog_schema())
            stored_schema.store(connection, stored_schema.compute(blog_schema()))
        with database.writer() as connection:
            connection.execute("INSERT INTO Tag VALUES ('a')")


def ask(database: Database, query: str, **headers: str) -> bytes:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = orjson.dumps({"query": query})
    request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json", **named}, body)
    return handle(serving(Settings()), database, request, HttpOptions(max_staleness=1000)).body


QUERIES = [
    ("{ findManyTag { name } }", {}),
    ("{ findManyTag { name } }", {"x_lamdb_consistency": "strong"}),
    ("{ findManyTag { name } }", {"x_lamdb_as_of": "2"}),
    ("{ findManyTag { name } }", {"x_lamdb_as_of": "77"}),
    ('mutation { createOneTag(data: {name: "b"}) { name } }', {}),
    ('mutation { deleteManyTag(where: {name: {equals: "x"}}) { count } }', {}),
]


def damage(directory: Path, how: str) -> None:
    for path in sorted(directory.rglob("*.ltx")):
        match how:
            case "bytes":
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 0xFF
                path.write_bytes(content)
            case "gone":
                path.unlink()
            case "a folder":
                path.unlink()
                path.mkdir()


@pytest.mark.parametrize("how", ["bytes", "gone", "a folder"])
@pytest.mark.parametrize(("query", "headers"), QUERIES)
def test_a_damaged_directory(tmp_path: Path, how: str, query: str, headers: dict[str, Any]) -> None:
    directory = tmp_path / "secret-folder"
    filled(directory.as_uri())
    with Database.open(directory.as_uri(), cache_bytes=0) as database:
        damage(directory, how)
        answer = ask(database, query, **headers).decode()
    assert not any(place in answer for place in ("secret-folder", str(tmp_path), ".ltx", "Errno"))


@pytest.mark.parametrize(("query", "headers"), QUERIES[1:4])
def test_a_bucket_that_is_gone(s3: Any, query: str, headers: dict[str, Any]) -> None:
    filled(s3.url)
    with Database(open_store(s3.url), cache_bytes=0) as database:
        for found in s3.client.list_objects_v2(Bucket=s3.bucket)["Contents"]:
            s3.client.delete_object(Bucket=s3.bucket, Key=found["Key"])
        s3.client.delete_bucket(Bucket=s3.bucket)
        answer = ask(database, query, **headers).decode()
    assert '"errors"' in answer
    assert not any(place in answer for place in (s3.bucket, s3.endpoint, "127.0.0.1", "data/demo", ".ltx"))


def test_the_log_has_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = tmp_path / "secret-folder"
    filled(directory.as_uri())
    with Database.open(directory.as_uri(), cache_bytes=0) as database:
        damage(directory, "a folder")
        caplog.set_level(logging.ERROR, "lamdb")
        ask(database, "{ findManyTag { name } }")
    assert any("secret-folder" in getattr(record, "reason", "") for record in caplog.records)
