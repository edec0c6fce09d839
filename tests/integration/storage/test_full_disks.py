"""Directories that take no more: a plain failure, nothing kept, and work goes on when they do again."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lamdb.errors import CommitUnknown, StoreUnavailable
from lamdb.storage import Database
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.stores.localstore import LocalStore

from .history import ask, tell


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("this process may not mount file systems")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], check=True)


def names(folder: Path) -> list[str]:
    return sorted(name for _, _, names in os.walk(folder) for name in names)


def refused(database: Database, statement: str, hint: str) -> None:
    """The statement fails without another attempt, and not with an outcome that is unknown."""
    with pytest.raises(StoreUnavailable) as caught:
        tell(database, statement)
    assert not isinstance(caught.value, CommitUnknown)
    assert caught.value.code == "STORE_REFUSED"
    assert hint in caught.value.hint


def test_a_full_disk(disk: Path) -> None:
    with Database(LocalStore(disk / "store")) as database:
        tell(database, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
        before = names(disk)
        for _ in range(2):
            refused(database, "INSERT INTO t SELECT randomblob(1500000)", "The disk is full")
            assert names(disk) == before
        assert ask(database, "SELECT a FROM t") == [(1,)]
        tell(database, "INSERT INTO t VALUES(2)")
        remount(disk, "size=8m")
        tell(database, "INSERT INTO t SELECT randomblob(1500000)")
    with Database(LocalStore(disk / "store")) as database:
        assert ask(database, "SELECT count(*) FROM t") == [(3,)]


def test_a_file_system_that_was_mounted_for_reading(disk: Path) -> None:
    with Database(LocalStore(disk / "store")) as database:
        tell(database, "CREATE TABLE t(a)")
        remount(disk, "ro")
        refused(database, "INSERT INTO t VALUES(1)", "read-only")
        assert ask(database, "SELECT a FROM t") == []
        remount(disk, "rw")
        tell(database, "INSERT INTO t VALUES(2)")
        assert ask(database, "SELECT a FROM t") == [(2,)]


def test_a_new_store_where_nothing_may_be_written(disk: Path) -> None:
    remount(disk, "ro")
    with Database(LocalStore(disk / "store")) as database:
        refused(database, "CREATE TABLE t(a)", "read-only")
    assert names(disk) == []


def test_maintenance_on_a_full_disk_leaves_what_there_is(disk: Path) -> None:
    with Database(LocalStore(disk / "store"), page_size=1024) as database:
        tell(database, "CREATE TABLE t(a)")
        for _ in range(30):
            tell(database, "INSERT INTO t SELECT randomblob(25000)")
        before = names(disk)
        with pytest.raises(StoreUnavailable):
            Maintenance(database.pages).run()
        assert names(disk) == before
        remount(disk, "size=8m")
        assert Maintenance(database.pages).run().work.merges
        assert ask(database, "SELECT count(*) FROM t") == [(30,)]


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EMFILE", "EFBIG"])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "link"])
def test_every_error_before_a_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, call: str
) -> None:
    number = getattr(errno, code)
    works: Callable[..., object] = getattr(os, call)

    def fails(*arguments: object, **options: object) -> object:
        if call == "open" and not int(arguments[1]) & os.O_CREAT:
            return works(*arguments, **options)
        raise OSError(number, os.strerror(number))

    with Database(LocalStore(tmp_path)) as database:
        tell(database, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
        before = names(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fails)
            refused(database, "INSERT INTO t VALUES(2)", "")
        assert names(tmp_path) == before
        tell(database, "INSERT INTO t VALUES(3)")
        assert ask(database, "SELECT a FROM t") == [(1,), (3,)]


def test_the_answer_to_a_link_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system: the file is there, and it is ours."""
    works = os.link

    def lost(*arguments: object) -> None:
        works(*arguments)
        raise OSError(errno.EIO, "Input/output error")

    with Database(LocalStore(tmp_path)) as database:
        tell(database, "CREATE TABLE t(a)")
        with monkeypatch.context() as patched:
            patched.setattr(os, "link", lost)
            tell(database, "INSERT INTO t VALUES(1)")
    with Database(LocalStore(tmp_path)) as database:
        assert ask(database, "SELECT a FROM t") == [(1,)]
