"""`verify` with Litestream's command: it restores the same pages, and what it cannot do is said."""

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.s3_faults import FaultyS3
from tests.support.s3_server import S3, s3, s3_endpoint

from lamdb.errors import SettingsError, TargetError, TimeLimit
from lamdb.storage import Database
from lamdb.storage.backup import litestream
from lamdb.storage.backup.litestream import Digests, Litestream
from lamdb.storage.backup.verification import Verification, verify
from lamdb.storage.budget import NEVER, Deadline
from lamdb.storage.maintenance.background import Maintenance

from .history import tell

__all__ = ["s3", "s3_endpoint"]


@pytest.fixture(params=["directory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "directory":
        return (tmp_path / "a store").as_uri()
    bucket: S3 = request.getfixturevalue("s3")
    return f"{bucket.url}%20of%20ours"


def fill(url: str, transactions: int = 6) -> None:
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")
        for number in range(1, transactions):
            tell(database, f"INSERT INTO t VALUES(zeroblob({9000 * number}))")


def check(
    url: str,
    scratch: Path,
    command: Litestream | None = None,
    *,
    txid: int | None = None,
    deadline: Deadline = NEVER,
) -> Verification:
    scratch.mkdir(exist_ok=True)
    with Database.open(url, create=False) as database:
        try:
            return verify(
                database.pages,
                scratch,
                txid=txid,
                litestream=command or Litestream.find(),
                deadline=deadline,
            )
        finally:
            assert list(scratch.iterdir()) == [], "something was left behind"


def test_litestream_restores_what_lamdb_does(url: str, tmp_path: Path) -> None:
    fill(url)
    found = check(url, tmp_path / "scratch")
    assert (found.faults, found.txid, found.litestream_txid) == ((), 6, 6)
    past = check(url, tmp_path / "scratch", txid=3)
    assert (past.faults, past.litestream_txid) == ((), 3)
    with Database.open(url) as database:
        Maintenance(database.pages).run()
        tell(database, "DROP TABLE t")
    found = check(url, tmp_path / "scratch")
    assert (found.faults, found.litestream_txid) == ((), 7)


def test_without_it_nothing_is_asked(url: str, tmp_path: Path) -> None:
    fill(url)
    with Database.open(url, create=False) as database:
        assert verify(database.pages, tmp_path).litestream_txid is None


def test_a_state_of_too_many_files_is_checked_as_far_as_possible(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litestream, "MOST_FILES", 4)
    fill(url)
    found = check(url, tmp_path / "scratch")
    assert (found.faults, found.txid, found.litestream_txid) == ((), 6, 4)


def test_reading_is_all_that_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyS3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        fill(f"{server.url}/demo")
        server.reset()
        target = tmp_path / "restored.db"
        assert Litestream.find().restore(f"{server.url}/demo", 6, target) == ""
        assert server.counts().keys() == {"GET", "LIST"}
        assert target.exists()


class Otherwise(Litestream):
    """Restores the right file, and then changes it."""

    def __init__(self, change: Callable[[Path], object]) -> None:
        super().__init__(Path(sysconfig.get_path("scripts"), "litestream"))
        self._change = change

    def restore(self, url: str, txid: int, target: Path, deadline: Deadline = NEVER) -> str:
        said = super().restore(url, txid, target, deadline)
        self._change(target)
        return said


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda path: flip(path, 100), "page 1 differs"),
        (lambda path: flip(path, 8192 * 2 + 8191), "page 3 differs"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8192]), "pages in place of"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "pages in place of"),
    ],
)
def test_other_pages_are_faults(tmp_path: Path, change: Callable[[Path], object], fault: str) -> None:
    url = (tmp_path / "store").as_uri()
    fill(url)
    found = check(url, tmp_path / "scratch", Otherwise(change))
    assert not found.ok
    assert fault in found.faults[0]
    assert found.faults[0].startswith("Litestream restores transaction 6 otherwise: ")


def script(folder: Path, text: str) -> Litestream:
    path = folder / "litestream"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Litestream(path)


def test_a_restore_that_fails_is_a_fault_in_its_words(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    fill(url)
    found = check(url, tmp_path / "scratch", script(tmp_path, "echo broken chain >&2; exit 1"))
    assert found.faults == ("Litestream does not restore transaction 6: broken chain",)
    silent = check(url, tmp_path / "scratch", script(tmp_path, "exit 3"))
    assert silent.faults == ("Litestream does not restore transaction 6: exit code 3",)


def test_a_file_that_moved_meanwhile_is_no_fault(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    fill(url)
    once, real = tmp_path / "once", Path(sysconfig.get_path("scripts"), "litestream")
    command = script(tmp_path, f'test -e "{once}" || {{ : > "{once}"; exit 1; }}; exec "{real}" "$@"')
    assert check(url, tmp_path / "scratch", command).ok


def test_what_keeps_it_from_restoring_is_an_error(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    fill(url)
    slow = script(tmp_path, 'for last; do :; done; touch "$last.tmp"; exec sleep 60')
    with pytest.raises(TimeLimit, match="did not restore"):
        check(url, tmp_path / "scratch", slow, deadline=Deadline.after(0.2))
    with pytest.raises(TargetError, match="no room"):
        check(url, tmp_path / "scratch", script(tmp_path, "echo write: no space left on device >&2; exit 1"))
    with pytest.raises(SettingsError, match="cannot be started"):
        check(url, tmp_path / "scratch", Litestream(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="in memory"):
        Litestream.find().restore("memory:", 1, tmp_path / "restored.db")


def test_where_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "scripts"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(SettingsError, match="not installed"):
        Litestream.find()
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin", "exit 0")
    assert shutil.which("litestream")
    assert Litestream.find().restore("file:///anywhere", 1, tmp_path / "restored.db") == ""


def test_the_page_that_sqlite_never_uses_is_not_compared() -> None:
    one, other = Digests(65536), Digests(65536)
    for number in range(16386):
        one.add(b"")
        other.add(b"other" if number == 16384 else b"")
    assert list(one.differences(other)) == []
