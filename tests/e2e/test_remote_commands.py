"""Commands on a real server, by its address."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.command_line import Done, Run, run

from lamdb.storage import Database

from .conftest import LAMDB, Server

__all__ = ["run"]

TAG = (
    'datasource db {\n  provider = "sqlite"\n}\n\nmodel Tag {\n  id   Int    @id\n  name String @unique\n}\n'
)
SIZED = TAG.replace("@unique\n", "@unique\n  size Int    @default(3)\n")
TOKEN = "a-token-of-operators"
CREATE = "mutation ($id: Int!, $name: String!) { createOneTag(data: {id: $id, name: $name}) { id } }"


@pytest.fixture
def project(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "schema.prisma").write_text(TAG)
    monkeypatch.setenv("LAMDB_DATABASE", str(directory))
    assert run("migrate", "create", "init").code == 0
    return directory


@pytest.fixture
def server(
    project: Path, tmp_path: Path, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> Server:
    """`LAMDB_URL` leads to it, `LAMDB_TOKEN` lets operate it."""
    store = (tmp_path / "store").as_uri()
    made = serve("--store", store, database=project, LAMDB_OPERATOR_TOKEN=TOKEN)
    monkeypatch.setenv("LAMDB_URL", made.url)
    monkeypatch.setenv("LAMDB_TOKEN", TOKEN)
    return made


def ok(done: Done) -> Any:
    assert (done.code, done.err) == (0, ""), done.out
    return done.json


def create(run: Run, number: int, *options: str) -> Done:
    return run("query", CREATE, "--variables", json.dumps({"id": number, "name": f"n{number}"}), *options)


def test_a_server_is_worked_with_by_its_address(
    run: Run, server: Server, project: Path, tmp_path: Path
) -> None:
    assert ok(create(run, 1))["data"] == {"createOneTag": {"id": 1}}
    once = ok(create(run, 2, "--idempotency-key", "k"))
    assert ok(create(run, 2, "--idempotency-key", "k")) == once
    refused = create(run, 2)
    assert (refused.code, refused.json["errors"][0]["extensions"]["code"]) == (1, "P2002")

    status = ok(run("status", "--json"))
    assert (status["store"], status["txid"]) == ((tmp_path / "store").as_uri(), 3)
    past = ok(run("query", "{ findManyTag { name } }", "--txid", 2))
    assert past["data"] == {"findManyTag": [{"name": "n1"}]}
    points = ok(run("backups", "--json"))
    assert ([point["txid"] for point in points["points"]], points["total"]) == ([3, 2, 1], 3)
    assert "… and 2 older" in run("backups", "--limit", "1").out
    assert ok(run("verify", "--json"))["ok"]
    planned = {"merges": 0, "bytesWritten": 0, "deleted": 0, "dryRun": True}
    assert ok(run("compact", "--dry-run", "--json")) == planned
    assert "To do: 0 merges" in run("compact", "--dry-run", "--no-prune").out
    assert ok(run("compact", "--json"))["deleted"] == 0
    assert run("schema", "show", "--text", "--url", server.url).out == TAG
    assert ok(run("admin", "{ documents { kind } }"))["data"]["documents"]

    copy = (tmp_path / "copy").as_uri()
    assert ok(run("restore", "--to-store", copy, "--txid", 2, "--json"))["txid"] == 2
    assert "code: NOT_EMPTY" in run("restore", "--to-store", copy).err
    assert ok(run("query", "{ findManyTag { name } }", "--store", copy)) == past

    (project / "schema.prisma").write_text(SIZED)
    refused = run("migrate", "deploy")
    assert (refused.code, "no migration has" in refused.err) == (1, True)
    name = ok(run("migrate", "create", "sizes", "--json"))["created"]
    assert run("migrate", "status", "--json").json["pending"] == [name]
    assert [each["name"] for each in ok(run("migrate", "deploy", "--dry-run", "--json"))["applied"]] == [name]
    assert [each["name"] for each in ok(run("migrate", "deploy", "--json"))["applied"]] == [name]
    assert ok(run("migrate", "status", "--json"))["upToDate"]
    sizes = ok(run("query", "{ findManyTag { size } }"))["data"]
    assert sizes == {"findManyTag": [{"size": 3}, {"size": 3}]}

    (project / "seed.graphql").write_text('mutation { createOneTag(data: {id: 9, name: "seed"}) { id } }')
    reset = run("migrate", "reset", "--force")
    assert f"--txid 4 --yes --store {(tmp_path / 'store').as_uri()}\n" in reset.out
    assert ok(run("query", "{ findManyTag { id } }"))["data"] == {"findManyTag": [{"id": 9}]}


def test_who_has_no_token_is_told(run: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMDB_TOKEN", "another")
    done = run("status", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "UNAUTHORIZED")
    assert ok(create(run, 1))["data"] == {"createOneTag": {"id": 1}}


def test_what_needs_the_files_says_so(run: Run, server: Server) -> None:
    for arguments in (("export", "x.db"), ("restore", "--to", "x.db"), ("serve",), ("migrate", "push")):
        done = run(*arguments)
        assert (done.code, "store" in done.err) == (2, True), arguments
    assert run("verify", "--at", "2026-01-31").code == 2


def test_serve_tells_a_program_when_it_is_ready(tmp_path: Path, project: Path, run: Run) -> None:
    command = [str(LAMDB), "serve", "--store", (tmp_path / "new").as_uri(), "--port", "0", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "LAMDB_DATABASE": str(project)},
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ready["url"])
        assert ok(run("query", "{ findManyTag { id } }", "--url", ready["url"]))["data"] == {
            "findManyTag": []
        }
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait(60)


def test_values_are_converted_where_they_are(run: Run, server: Server, tmp_path: Path) -> None:
    assert create(run, 1).code == 0
    with Database.open((tmp_path / "store").as_uri()) as database, database.writer() as connection:
        connection.execute("INSERT INTO Tag VALUES (2, CAST('n2' AS BLOB))")
    (found,) = ok(run("verify", "--json"))["values"]
    assert found.startswith("Tag.name: 1 value not in the form of String")
    (tried,) = ok(run("repair", "--dry-run", "--json"))["values"]
    done = ok(run("repair", "--json"))
    assert done["values"] == [tried]
    assert (tried["converted"], tried["left"]) == (1, 0)
    answer = run("query", '{ findManyTag(where: {name: "n2"}) { id } }').json
    assert answer["data"]["findManyTag"] == [{"id": 2}]
