"""A directory as a store, without the rights to it: every operation fails at once, and says why."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamdb.errors import StoreRefused
from lamdb.storage import Database
from lamdb.storage.ltx import replica
from lamdb.storage.stores.localstore import LocalStore

USER = 10001


@pytest.fixture
def root() -> Iterator[Path]:
    """A store of the user, below folders that everybody may pass."""
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)
    store = parent / "store"
    store.mkdir()
    with Database.open(f"file://{store}") as database:
        database.write(lambda connection: connection.execute("CREATE TABLE t (a)"))
    give(store)
    yield store
    for folder, _, _ in os.walk(parent, topdown=True):
        Path(folder).chmod(0o700)
    shutil.rmtree(parent)


def give(store: Path) -> None:
    if os.geteuid() == 0:
        for folder, _, files in os.walk(store):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(path, USER, USER)


@contextmanager
def as_user() -> Iterator[int]:
    """Without the rights of root, if the tests run as root: the user's number."""
    user = os.geteuid()
    if user != 0:
        yield user
        return
    os.seteuid(USER)
    try:
        yield USER
    finally:
        os.seteuid(0)


def insert(store: Path) -> None:
    with Database.open(f"file://{store}") as database:
        database.write(lambda connection: connection.execute("CREATE TABLE IF NOT EXISTS t (a)"))
        database.write(lambda connection: connection.execute("INSERT INTO t VALUES (1)"))


KEY = "ltx/0/0000000000000001-0000000000000001.ltx"
NEXT = "ltx/0/0000000000000002-0000000000000002.ltx"

OPERATIONS: dict[str, tuple[str, Callable[[LocalStore], object]]] = {
    "get": ("ltx/0", lambda store: store.get(KEY)),
    "get_range": ("ltx/0", lambda store: store.get_range(KEY, 0, 1)),
    "get_suffix": ("ltx/0", lambda store: store.get_suffix(KEY, 1)),
    "head": ("ltx/0", lambda store: store.head(KEY)),
    "list": ("ltx", lambda store: list(store.list())),
    "list of a folder": ("ltx/0", lambda store: list(store.list("ltx/0/"))),
    "put_new": ("ltx/0", lambda store: store.put_new(NEXT, b"x", timestamp_ms=0)),
    "put_new in a new folder": ("ltx", lambda store: store.put_new("ltx/1/x", b"x", timestamp_ms=0)),
    "upload": ("ltx/0", lambda store: store.upload(NEXT, timestamp_ms=0).write(b"x")),
    "delete": ("ltx/0", lambda store: store.delete(KEY)),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_names_user_and_folder(root: Path, operation: str) -> None:
    folder, work = OPERATIONS[operation]
    (root / folder).chmod(0o000)
    with as_user() as user, pytest.raises(StoreRefused) as refused:
        work(LocalStore(root))
    assert f"Permission denied for user {user} at {root / folder}" in refused.value.message
    assert f"chown -R {user} {root}" in refused.value.hint
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        (".", 0o000),
        (".", 0o300),
        (".", 0o600),
        ("ltx", 0o000),
        ("ltx/0", 0o500),
        ("ltx/0", 0o300),
        (KEY, 0o000),
    ],
)
def test_a_write_fails_at_once(root: Path, place: str, mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(seconds: float) -> None:
        raise AssertionError("it is tried again")

    monkeypatch.setattr(replica.time, "sleep", wait)
    (root / place).chmod(mode)
    with as_user() as user, pytest.raises(StoreRefused, match=f"for user {user} at {re.escape(str(root))}"):
        insert(root)


@pytest.mark.parametrize(("place", "mode"), [("ltx/0", 0o500), ("ltx/0", 0o300), ("ltx/0", 0o000)])
def test_rights_that_are_taken_away_from_a_running_process(root: Path, place: str, mode: int) -> None:
    with Database.open(f"file://{root}") as database:
        (root / place).chmod(mode)
        for _ in range(2):
            with as_user(), pytest.raises(StoreRefused):
                database.write(lambda connection: connection.execute("INSERT INTO t VALUES (1)"))
        # Nothing was kept, and it goes on when the rights are back.
        (root / place).chmod(0o700)
        with as_user():
            database.write(lambda connection: connection.execute("INSERT INTO t VALUES (2)"))
        with database.reader() as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(2,)]


def test_a_store_below_a_folder_of_somebody_else(root: Path) -> None:
    root.chmod(0o500)
    inner = root / "new" / "store"
    with as_user() as user, pytest.raises(StoreRefused, match=rf"for user {user} at {re.escape(str(root))}$"):
        insert(inner)


def test_a_file_of_another_writer_that_cannot_be_read(root: Path) -> None:
    """Its name is taken, so the commit did not happen: that needs no waiting."""
    with Database.open(f"file://{root}") as database:
        taken = root / NEXT
        taken.write_bytes(b"theirs")
        taken.chmod(0o000)
        with as_user(), pytest.raises(StoreRefused):
            database.write(lambda connection: connection.execute("INSERT INTO t VALUES (1)"))
