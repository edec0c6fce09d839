"""Transactions over several requests whose statements are too long for a baton: they are in the store."""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from tests.unit.hrana.conftest import Functions, SqlClient, value, with_tables
from tests.unit.hrana.test_protocol import batch

from lamdb.errors import StoreUnavailable
from lamdb.hrana.protocol.error_responses import JSON
from lamdb.storage.maintenance.transient import KEPT_SECONDS, remove_transient
from lamdb.storage.stores.objectstore import TRANSIENT_FOLDER

LIMITS = {"most_bytes": 64 * 1024 * 1024}
SMALL = {"most_bytes": 20_000, "longest_baton": 2000, "smallest": 500}
INSERT = "INSERT INTO t (name) VALUES (?)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one of the objects."""
    return tmp_path / "store" / TRANSIENT_FOLDER


def made(functions: Functions, limits: dict[str, int]) -> SqlClient:
    """A client of new environments with these limits."""
    functions.limits = limits
    replace(functions)
    return with_tables(SqlClient(functions))


def replace(functions: Functions) -> None:
    functions.readers = [functions.make(can_write=False)]
    functions.writer = functions.make(can_write=True)


def texts(count: int, length: int) -> list[str]:
    """Texts that can hardly be compressed."""
    chance = random.Random(1)
    return [chance.randbytes(length // 2).hex() for _ in range(count)]


def insert(client: SqlClient, rows: list[str]) -> None:
    steps = [{"stmt": {"sql": INSERT, "args": [value(row)]}} for row in rows]
    (result,) = client.pipeline(batch(*steps))
    assert not any(result["response"]["result"]["step_errors"])


@pytest.mark.parametrize("dies", [False, True])
def test_rows_of_four_megabytes_in_one_transaction(functions: Functions, folder: Path, dies: bool) -> None:
    client, rows = made(functions, LIMITS), texts(4000, 1000)
    client.run("BEGIN")
    longest = 0
    for at in range(0, len(rows), 500):
        insert(client, rows[at : at + 500])
        assert client.baton is not None
        longest = max(longest, len(client.baton))
        if dies:
            replace(functions)
    assert longest < 1024 * 1024 + 1000
    assert SqlClient(functions).rows("SELECT count(*) FROM t") == [[0]]
    assert "code" not in client.run("COMMIT")
    assert SqlClient(functions).rows("SELECT count(*), count(DISTINCT name) FROM t") == [[4000, 4000]]
    assert 1 < len(os.listdir(folder)) <= 4


def test_readers_write_no_objects(functions: Functions, folder: Path) -> None:
    client = made(functions, SMALL)
    client.run("BEGIN")
    functions.counts.clear()
    insert(client, texts(5, 1000))
    assert (functions.counts["reader"], functions.counts["misdirected"]) == (1, 1)
    functions.counts.clear()
    assert client.rows("SELECT count(*) FROM t") == [[5]]
    assert (functions.counts["reader"], functions.counts["writer"]) == (1, 0)
    assert len(os.listdir(folder)) == 1


def test_a_request_that_is_sent_again_writes_no_second_object(functions: Functions, folder: Path) -> None:
    client = made(functions, SMALL)
    client.run("BEGIN")
    baton, rows = client.baton, texts(5, 1000)
    for _ in range(3):
        client.baton = baton
        insert(client, rows)
        replace(functions)
    assert len(os.listdir(folder)) == 1
    committed = client.baton
    for _ in range(3):
        client.baton = committed
        assert "code" not in client.run("COMMIT")
        replace(functions)
    assert SqlClient(functions).rows("SELECT count(*) FROM t") == [[5]]


def test_a_transaction_beyond_the_limit_is_refused_as_a_whole(functions: Functions) -> None:
    client = made(functions, SMALL)
    client.run("BEGIN")
    rows = texts(36, 1000)
    for at in (0, 4, 8, 12):
        insert(client, rows[at : at + 4])
    insert(client, rows[16:])
    assert client.run("SELECT 1")["code"] == "SQLITE_FULL"
    assert client.run("COMMIT")["code"] == "SQLITE_FULL"
    client.run("ROLLBACK")
    assert client.rows("SELECT count(*) FROM t") == [[0]]


@pytest.mark.parametrize("harm", ["gone", "damaged", "of another stream"])
def test_nothing_but_what_was_written_is_read(functions: Functions, folder: Path, harm: str) -> None:
    client, other = made(functions, SMALL), SqlClient(functions)
    client.run("BEGIN")
    insert(client, texts(5, 1000))
    (part,) = folder.iterdir()
    if harm == "gone":
        part.unlink()
    elif harm == "damaged":
        part.write_bytes(part.read_bytes()[:-1] + b"x")
    else:
        other.run("BEGIN")
        insert(other, texts(6, 1000))
        (theirs,) = set(folder.iterdir()) - {part}
        part.write_bytes(theirs.read_bytes())
    replace(functions)
    body = {"baton": client.baton, "requests": [{"type": "execute", "stmt": {"sql": "COMMIT"}}]}
    response = client.post("/v3/pipeline", body)
    assert (response.status, response.headers["content-type"]) == (404, JSON)
    assert json.loads(response.body)["code"] == "STREAM_NOT_FOUND"
    assert SqlClient(functions).rows("SELECT count(*) FROM t") == [[0]]


@pytest.mark.parametrize(("count", "code"), [(5, None), (4000, "SQLITE_BUSY")])
def test_a_store_that_takes_no_object(
    functions: Functions, monkeypatch: pytest.MonkeyPatch, count: int, code: str | None
) -> None:
    client = made(functions, {**LIMITS, "longest_baton": 2000, "smallest": 500})
    client.run("BEGIN")
    store = functions.writer.engine.database.pages.replica.store

    def fail(*_: Any, **__: Any) -> bool:
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_new", fail)
        insert(client, texts(count, 1500))
    assert client.run("COMMIT").get("code") == code
    if code:
        client.run("ROLLBACK")
    assert client.rows("SELECT count(*) FROM t") == [[0 if code else count]]


def test_maintenance_deletes_old_objects(functions: Functions, folder: Path) -> None:
    client = made(functions, SMALL)
    for _ in range(3):
        client.run("BEGIN")
        insert(client, texts(5, 1000))
        client.run("ROLLBACK")
    parts = sorted(folder.iterdir())
    assert len(parts) == 3
    pages = functions.writer.engine.database.pages
    assert remove_transient(pages) == 0
    then = pages.clock.now().wall - KEPT_SECONDS - 60
    for part in parts[:2]:
        os.utime(part, (then, then))
    assert remove_transient(pages) == 2
    assert list(folder.iterdir()) == parts[2:]


def test_a_database_that_has_no_transaction_yet(functions: Functions, folder: Path) -> None:
    functions.limits = SMALL
    replace(functions)
    client = SqlClient(functions)
    client.run("BEGIN")
    client.run("CREATE TABLE t (name)")
    insert(client, texts(5, 1000))
    assert len(os.listdir(folder)) == 1
    replace(functions)
    assert "code" not in client.run("COMMIT")
    assert client.rows("SELECT count(*) FROM t") == [[5]]
