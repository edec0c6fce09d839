"""The others: Litestream's command line, which restores whole files, and its VFS, which reads pages."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_START_SECONDS = 120

MISSING_VFS = "not installed (pip install litestream-vfs)"


class Failed(Exception):
    """A contender did not do what it was asked; the message says why."""


def restore(url: str, endpoint: str, target: Path, *, seconds: float) -> None:
    """Restores the newest state to a new file. Raises `Failed`, also after so many seconds."""
    command = Path(sysconfig.get_path("scripts"), "litestream")
    arguments = ["restore", "-o", str(target), f"{url}?endpoint={endpoint}"]
    try:
        done = subprocess.run(
            [str(command), *arguments], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"more than {seconds:g} s") from error
    if done.returncode:
        raise Failed(_last_line(done.stderr))


def vfs_extension() -> str | None:
    """The path of Litestream's VFS, if the package `litestream-vfs` is installed."""
    if importlib.util.find_spec("litestream_vfs") is None:
        return None
    return str(importlib.import_module("litestream_vfs").loadable_path())


class Answer(NamedTuple):
    """`seconds` as the process that asked has seen them."""

    seconds: float
    value: Any


class VfsReader:
    """A process that reads one database through Litestream's VFS."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def ask(self, sql: str, *, seconds: float = _START_SECONDS) -> Answer:
        """The first value of a query. Raises `Failed`, also after so many seconds."""
        return self._send({"sql": sql}, seconds)

    def wait_for(self, sql: str, value: Any, *, seconds: float) -> Answer:
        """Repeats a query until it answers `value`. Raises `Failed`."""
        return self._send({"sql": sql, "until": value}, seconds)

    def _send(self, query: dict[str, Any], seconds: float) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(query) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            raise Failed(f"more than {seconds:g} s" if late.is_set() else _last_line(self._log.read_text()))
        return Answer(**json.loads(line))


@contextmanager
def vfs_reader(extension: str, url: str, endpoint: str) -> Iterator[VfsReader]:
    with tempfile.TemporaryDirectory(prefix="lamdb-bench-") as folder:
        log = Path(folder, "errors")
        environment = {
            **os.environ,
            "LITESTREAM_REPLICA_URL": f"{url}?endpoint={endpoint}",
            "LITESTREAM_LOG_LEVEL": "error",
            "LITESTREAM_LOG_FILE": str(Path(folder, "log")),
        }
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.storage.vfs_reader", extension],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            yield VfsReader(process, log)
        finally:
            process.kill()
            process.communicate()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return f"failed: {lines[-1][:160]}" if lines else "failed without a word"
