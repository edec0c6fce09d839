"""The commands for backups and upkeep, run in this process on real stores."""

import json
import re
import shlex
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamdb.cli import main
from lamdb.storage import Database

ROOT = Path(__file__).parents[3]
LITESTREAM = Path(sysconfig.get_path("scripts")) / "litestream"

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("backups", …)` gives exit code, output and error output."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lamdb", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a table of 30 rows, written by 30 transactions after the one that made it."""
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database:
        for number in range(31):
            with database.writer() as connection:
                connection.execute(f"INSERT INTO t VALUES({number})" if number else "CREATE TABLE t(a)")
    return url


def rows(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])
    finally:
        connection.close()


def as_json(done: tuple[int, str, str]) -> Any:
    code, out, err = done
    assert (code, err) == (0, "")
    return json.loads(out)


def test_backups(run: Run, url: str) -> None:
    code, out, _ = run("backups", "--store", url, "--limit", 3)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["transaction", "31", "30", "29", "…"]
    assert re.fullmatch(r" +31  20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  16.4 KB", lines[1])
    assert lines[-1] == "… and 28 older: --limit 0 lists all."
    found = as_json(run("backups", "--store", url, "--json", "--limit", 0))
    assert found["total"] == 31
    assert [point["txid"] for point in found["points"]] == [*range(31, 0, -1)]
    assert found["points"][0]["size"] == 16384
    assert run("backups", "--store", "memory:")[1] == "The store holds no transactions.\n"


def test_restoring_to_files(run: Run, url: str, tmp_path: Path) -> None:
    target = tmp_path / "restored.db"
    assert "the state of transaction 31, 16.4 KB" in run("restore", "--store", url, "--to", target)[1]
    assert rows(target) == 30
    code, _, err = run("restore", "--store", url, "--to", target, "--txid", 5)
    assert code == 1
    assert "code: TARGET" in err
    done = run("restore", "--store", url, "--to", target, "--txid", 5, "--overwrite", "--json")
    assert as_json(done) == {"txid": 5, "size": 16384, "file": str(target)}
    assert rows(target) == 4
    moment = as_json(run("backups", "--store", url, "--json", "--limit", 1))["points"][0]["time"]
    assert as_json(run("restore", "--store", url, "--at", moment, "--to", tmp_path / "at.db", "--json"))
    assert rows(tmp_path / "at.db") == 30
    assert run("export", tmp_path / "export.db", "--store", url)[0] == 0
    assert rows(tmp_path / "export.db") == 30


def test_restoring_to_a_store_and_in_place(run: Run, url: str, tmp_path: Path) -> None:
    other = (tmp_path / "other").as_uri()
    assert as_json(run("restore", "--store", url, "--txid", 11, "--to-store", other, "--json"))["txid"] == 11
    assert run("restore", "--store", url, "--to-store", other)[0] == 1
    assert as_json(run("restore", "--store", url, "--txid", 11, "--in-place", "--yes", "--json")) == {
        "txid": 32,
        "before": 31,
    }
    for place in (url, other):
        with Database.open(place) as database, database.reader() as connection:
            assert connection.execute("SELECT count(*) FROM t").get == 10
    _, out, _ = run("restore", "--store", url, "--txid", 31, "--in-place", "--yes")
    assert "To undo this, restore `--txid 32`." in out


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--to", "x.db", "--in-place"),
        ("--to", "x.db", "--at", "yesterday"),
        ("--to", "x.db", "--txid", "five"),
        ("--to", "x.db", "--txid", "5", "--at", "2026-01-01"),
        ("--in-place", "--txid", "5"),
        ("--in-place", "--yes"),
        ("--to-store", "ftp://x"),
        ("--to-store", "file:///nowhere/x", "--scratch", "no/such/directory"),
    ],
)
def test_wrong_calls_of_restore_exit_with_2(run: Run, url: str, options: tuple[str, ...]) -> None:
    code, out, err = run("restore", "--store", url, *options)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_states_that_are_not_there(run: Run, url: str, tmp_path: Path) -> None:
    for options in (("--txid", "99"), ("--at", "2001-01-01"), ("--txid", "0")):
        code, _, err = run("restore", "--store", url, "--to", tmp_path / "x.db", *options)
        assert code == 1
        assert "code: NOT_RESTORABLE" in err
    code, _, err = run("export", tmp_path / "x.db", "--store", (tmp_path / "none").as_uri())
    assert code == 1
    assert "code: NOT_A_STORE" in err
    assert not (tmp_path / "x.db").exists()


def test_verify(run: Run, url: str, tmp_path: Path) -> None:
    scratch = ("--scratch", tmp_path)
    assert run("verify", "--store", url, *scratch)[:2] == (
        0,
        "Transaction 31 can be restored: 16.4 KB, no faults.\n",
    )
    assert as_json(run("verify", "--store", url, *scratch, "--txid", 3, "--json")) == {
        "ok": True,
        "txid": 3,
        "size": 16384,
        "faults": [],
        "values": [],
        "litestreamTxid": None,
    }
    assert run("verify", "--store", url, *scratch, "--litestream")[:2] == (
        0,
        "Transaction 31 can be restored: 16.4 KB, no faults.\n"
        "Litestream restores transaction 31 with the same pages.\n",
    )
    checked = as_json(run("verify", "--store", url, *scratch, "--litestream", "--json"))
    assert (checked["ok"], checked["litestreamTxid"]) == (True, 31)
    with Database.open(url) as database, database.writer(foreign_keys=False) as connection:
        connection.execute("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)")
        connection.execute("INSERT INTO c VALUES(5)")
    code, out, _ = run("verify", "--store", url, *scratch)
    assert code == 1
    assert "row 1 of c refers to a row of p" in out
    damaged = next((tmp_path / "store").rglob("*0004.ltx"))
    body = bytearray(damaged.read_bytes())
    body[-20] ^= 1
    damaged.write_bytes(body)
    code, _, err = run("verify", "--store", url, *scratch)
    assert code == 1
    assert "code: CORRUPT_FILE" in err
    assert "0000000000000004.ltx" in err


def test_import(run: Run, tmp_path: Path) -> None:
    source, url = tmp_path / "source.db", (tmp_path / "new").as_uri()
    connection = sqlite3.connect(source)
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1), (2)")
    scratch = ("--scratch", tmp_path)
    assert as_json(run("import", source, "--store", url, "--no-schema", *scratch, "--json")) == {
        "txid": 1,
        "findings": [],
        "file": str(source),
    }
    connection.close()
    code, _, err = run("import", source, "--store", url, "--no-schema", *scratch)
    assert code == 1
    assert "code: NOT_EMPTY" in err
    code, _, err = run("import", tmp_path / "none.db", "--no-schema", "--store", (tmp_path / "b").as_uri())
    assert code == 1
    assert "code: SOURCE" in err
    run("export", tmp_path / "out.db", "--store", url)
    assert rows(tmp_path / "out.db") == 2


def test_compact(run: Run, url: str, tmp_path: Path) -> None:
    assert as_json(run("compact", "--store", url, "--dry-run", "--json")) == {
        "merges": 1,
        "bytesWritten": 0,
        "deleted": 0,
        "dryRun": True,
    }
    assert not (tmp_path / "store/ltx/2").exists()
    code, out, _ = run("compact", "--store", url)
    assert code == 0
    assert re.fullmatch(r"Made 1 merges?, wrote [\d.]+ \w+, deleted 0 files\.\n", out)
    assert [path.name for path in (tmp_path / "store/ltx/2").iterdir()] == [f"{1:016x}-{16:016x}.ltx"]
    assert run("compact", "--store", url, "--no-prune")[0] == 0
    assert run("verify", "--store", url)[0] == 0


def test_the_lines_for_litestream_in_the_documentation(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every `litestream` line of docs/operations.md works on a store of lamDB, beside its `lamdb` line."""
    document = (ROOT / "docs/operations.md").read_text()
    lines = [line for line in document.splitlines() if line.startswith("litestream ")]
    assert len(lines) >= 4
    points = as_json(run("backups", "--store", url, "--json", "--limit", 0))["points"]
    moment = points[0]["time"]
    # Litestream restores what is older than the moment; on a quick machine several commits share one.
    before = max(point["txid"] for point in points if point["time"] < moment)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        words = [
            word.replace("s3://bucket/prefix", url).replace("2026-01-31T12:00:00Z", moment)
            for word in shlex.split(line.split(" #")[0])
        ]
        Path("restored.db").unlink(missing_ok=True)
        done = subprocess.run([LITESTREAM, *words[1:]], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        if "restored.db" in words:
            expected = 9 if "-txid" in words else before - 1 if "-timestamp" in words else 30
            assert rows(Path("restored.db")) == expected


def test_the_commands_in_the_documentation_are_there() -> None:
    called = re.findall(r"^lamdb (\w+)", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    known = re.findall(r"^### `lamdb (\w+)", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)
    assert called
    assert set(called) <= set(known)
