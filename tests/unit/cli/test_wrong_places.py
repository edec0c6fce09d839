"""Commands in the wrong folder, on files that cannot be used, and on places of another kind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from tests.support.command_line import Run, run

from lamdb.cli.interrupts import Interrupts
from lamdb.cli.nearby import project_hint

__all__ = ["run"]

SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "database"
    directory.mkdir()
    (directory / "schema.prisma").write_text(SCHEMA)
    return directory


@pytest.mark.parametrize(
    "line",
    [
        ["serve"],
        ["import", "old.db"],
        ["status"],
        ["query", "{ a }"],
        ["migrate", "dev"],
        ["schema", "introspect"],
    ],
)
def test_the_project_below_is_named(
    run: Run, tmp_path: Path, line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/lamdb.toml").write_text('store = "store"\n')
    monkeypatch.chdir(tmp_path)
    done = run(*line)
    assert done.code == 2
    assert "cd shop" in done.err


def test_the_project_above_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "shop/database/migrations"
    folder.mkdir(parents=True)
    (tmp_path / "shop/lamdb.toml").write_text('store = "store"\n')
    assert project_hint(folder).endswith("cd ../..")
    assert "lamdb init" in project_hint(tmp_path / "elsewhere")
    assert project_hint(tmp_path).endswith("cd shop")


# Files.


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (["init", "here/file"], "here/file"),
        (["init", "/proc/shop"], "/proc/shop"),
        (["schema", "format", "--database", "{project}"], "schema.prisma"),
        (["schema", "validate", "--database", "{project}"], "schema.prisma"),
        (
            ["serve", "--store", "memory:", "--push", "--port", "0", "--database", "{project}"],
            "schema.prisma",
        ),
        (["schema", "convert", "{project}", "--output", "/proc/out"], "schema.prisma"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else value,
)
def test_files_that_cannot_be_used_are_no_fault_of_lamdb(
    project: Path, tmp_path: Path, line: list[str], named: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/file").write_text("")
    (project / "schema.prisma").chmod(0)
    # Root may read it, unless it gives that up.
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-m", "lamdb", *(word.format(project=project) for word in line)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "code: FILE" in done.stderr
    assert f"{named} cannot be used: " in done.stderr
    assert "INTERNAL" not in done.stderr


def test_a_document_in_a_missing_file(run: Run) -> None:
    done = run("query", "@nowhere.graphql", "--store", "memory:")
    assert done.code == 2
    assert "the document cannot be read from nowhere.graphql: No such file" in done.err
    assert "Errno" not in done.err


@pytest.mark.parametrize(
    ("file", "message"),
    [("lamdb.toml", "there is no setting 'stor'"), (".env", "there is no setting LAMDB_STOR")],
)
def test_a_misspelt_setting_is_recognised(
    run: Run, tmp_path: Path, file: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).write_text('stor = "x"\n' if file == "lamdb.toml" else "LAMDB_STOR=x\n")
    done = run("status")
    assert message in done.err
    assert f"Did you mean {'store' if file == 'lamdb.toml' else 'LAMDB_STORE'}?" in done.err


# Places of another kind.


def test_a_sqlite_file_is_no_store(run: Run, tmp_path: Path) -> None:
    apsw.Connection(str(tmp_path / "a.db")).execute("CREATE TABLE t (a)")
    done = run("status", "--store", tmp_path / "a.db")
    assert f"lamdb import {tmp_path / 'a.db'}" in done.err
    (tmp_path / "b.txt").write_text("b")
    assert "A store is a directory" in run("status", "--store", tmp_path / "b.txt").err


@pytest.mark.parametrize(
    ("option", "place", "advice"),
    [
        ("--store", "http://127.0.0.1:8000", "give it as --url"),
        ("--url", "localhost:8000", "write http://localhost:8000"),
        ("--url", "[::1]:8000/graphql", "write http://[::1]:8000/graphql"),
        ("--url", "shop", "https://db.example.com"),
    ],
)
def test_places_of_another_kind(run: Run, option: str, place: str, advice: str) -> None:
    done = run("status", option, place)
    assert done.code == 2
    assert advice in done.err


def test_no_server_listens(run: Run) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = run("query", "{ a }", "--url", f"http://127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port} cannot be reached: Connection refused" in done.err
    assert "lamdb serve" in done.err


@pytest.mark.parametrize(("host", "advice"), [("192.0.2.1", "--host"), ("no.host.invalid", "--host")])
def test_an_address_of_another_machine(run: Run, project: Path, host: str, advice: str) -> None:
    done = run("serve", "--store", "memory:", "--push", "--database", project, "--host", host)
    assert done.code == 2
    assert advice in done.err
    assert "Stop what uses the port" not in done.err


def test_a_restore_may_name_a_path(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("migrate", "push", "--store", "store", "--database", project).code == 0
    done = run("restore", "--to-store", "copy", "--store", "store")
    assert done.code == 0, done.err
    assert run("status", "--store", "copy").code == 0
    refused = run("restore", "--to-store", "http://127.0.0.1", "--store", "store")
    assert refused.code == 2
    assert "--to-store" in refused.err
    missing = run("restore", "--to", "nowhere/a.db", "--store", "store")
    assert "cannot write nowhere/a.db: No such file or directory" in missing.err


# Without a command; Ctrl-C.


@pytest.mark.parametrize("line", [[], ["migrate"], ["schema"], ["key"]])
def test_without_a_command_the_help_is_printed(run: Run, line: list[str]) -> None:
    done = run(*line)
    assert done.code == 2
    assert done.out == run(*line, "-h").out
    assert done.err == ""
    assert "\x1b" not in done.out


def test_an_interrupt_while_modules_are_loaded() -> None:
    code = """
import sys, builtins
loaded = builtins.__import__
def interrupted(name, *rest):
    if name == "lamdb.cli":
        raise KeyboardInterrupt
    return loaded(name, *rest)
builtins.__import__ = interrupted
from lamdb.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)


@pytest.fixture
def default_handler() -> Iterator[None]:
    """Python's own handler of SIGINT, which is ignored if the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_ignored_interrupt_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts, interrupts.held():
            _interrupt()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("default_handler")
def test_an_interrupt_waits_for_the_end_of_a_step() -> None:
    steps: list[str] = []

    def step(interrupts: Interrupts, name: str, *, signals: int) -> None:
        with interrupts.held():
            for _ in range(signals):
                _interrupt()
            steps.append(name)

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            step(interrupts, "first", signals=1)
        step(interrupts, "second", signals=0)
        with pytest.raises(KeyboardInterrupt):
            step(interrupts, "not whole", signals=2)
        with pytest.raises(KeyboardInterrupt):
            _interrupt()
    assert steps == ["first", "second"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_get_no_interrupts() -> None:
    done: list[bool] = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.held():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
