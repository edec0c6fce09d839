"""A run: clients, servers and maintenance on one store, all killed and frozen at random; then the check.

On S3 the store itself also fails, in phases. Nothing outlives the run, whatever happens.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Self

import apsw
from tests.support.s3_faults import FaultyS3

from lamdb.storage import Database, open_store
from lamdb.storage.backup.verification import verify
from lamdb.storage.ltx.files import plan
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import find_backups
from lamdb.storage.maintenance.compaction import Compactor

from . import model
from .checker import violations
from .history import History, Past, Row
from .maintenance import all_files

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))

STALE_AFTER = 0.5
"""Seconds; a fiftieth of lamDB's default, so that views grow old while the run lasts."""

_LONGEST_FREEZE = 2.0
_MOST_FILES = 1 + 4 * 15
_STOP_SECONDS = 30

PHASES: list[dict[str, float]] = [
    {"latency": 0.005},
    {"latency": 0.02, "jitter": 0.02},
    {"latency": 0.005, "slow_down": 0.15, "internal_error": 0.05},
    {"latency": 0.005, "lose_request": 0.05, "lose_answer": 0.1, "answer_error": 0.05},
    {"latency": 0.005, "cut": 0.05, "trickle": 0.05, "trickle_seconds": 0.3},
    {"latency": 0.005, "conflict": 0.1, "lose_answer": 0.05, "slow_down": 0.05},
]


@dataclass
class Report:
    """`problems` is empty if all went well; `figures` are of what happened."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


class Member:
    """A process of the run that is started again when it ends or is killed."""

    def __init__(self, name: str, command: Callable[[int], list[str]], folder: Path) -> None:
        self.name = name
        self._command = command
        self._folder = folder
        self._incarnation = 0
        self._frozen_until: float | None = None
        self.start()

    def start(self) -> None:
        self._incarnation += 1
        with (self._folder / f"{self.name}.err").open("ab") as errors:
            self._process = subprocess.Popen(
                self._command(self._incarnation), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._frozen_until = None

    def freeze(self, seconds: float) -> None:
        self._process.send_signal(signal.SIGSTOP)
        self._frozen_until = time.monotonic() + seconds

    @property
    def frozen(self) -> bool:
        return self._frozen_until is not None

    def tend(self) -> str | None:
        """Thaws it in time; says so if it has ended by itself, and starts it again.

        A server may give up at its start if the store fails just then.
        """
        if self._frozen_until is not None and time.monotonic() >= self._frozen_until:
            self._process.send_signal(signal.SIGCONT)
            self._frozen_until = None
        code = self._process.poll()
        if code is None:
            return None
        last_words = self._last_words()
        self.start()
        if code == 1 and "STORE_UNAVAILABLE" in last_words[-500:]:
            return None
        return f"{self.name} ended by itself with exit code {code}:\n{last_words}"

    def stop(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()

    def wait(self) -> str | None:
        """Says so if it had to be killed."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
            self.kill()
            return f"{self.name} did not stop within {_STOP_SECONDS} s:\n{self._last_words()}"
        return None

    def _last_words(self) -> str:
        return (self._folder / f"{self.name}.err").read_text()[-6000:]


class Run:
    """One store under load. `folder` is empty, and holds logs and the store, if that is a directory."""

    def __init__(self, folder: Path, *, s3: FaultyS3 | None, keep: float, seed: int) -> None:
        self._folder = folder
        self._s3 = s3
        self._keep = keep
        self._random = random.Random(seed)
        self._members: list[Member] = []
        self.counts: Counter[str] = Counter()
        self.first_txid = 0
        """With it, the tables are as the clients expect them."""
        self.problems: list[str] = []
        self.url = s3.url if s3 else (folder / "store").as_uri()

    def __enter__(self) -> Self:
        project = self._folder / "project"
        project.mkdir()
        (project / "schema.prisma").write_text(model.SCHEMA)
        _lamdb("migrate", "create", "init", "--database", str(project))
        _lamdb("migrate", "deploy", "--store", self.url, "--database", str(project))
        self.first_txid = model.fill(self.url)
        ports = [_free_port() for _ in range(2)]
        for number, port in enumerate(ports):
            self._add(
                f"server{number}", lambda _, number=number, port=port: self._server(port, cache=number == 1)
            )
        for number in range(2):
            self._add(
                f"storage{number}", lambda i, number=number: self._storage_clients(f"storage{number}.{i}")
            )
        self._add("http", lambda i: self._http_clients(f"http.{i}", ports))
        self._add("maintenance", lambda i: self._maintenance(i))
        (self._folder / "scratch").mkdir()
        self._add("historian", lambda i: self._historian(f"historian.{i}"))
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.kill()

    def rage(self, seconds: float) -> None:
        """Lets the clients work for so long, while their world falls apart."""
        end = time.monotonic() + seconds
        action = phase = time.monotonic() + min(3.0, seconds / 5)
        while (now := time.monotonic()) < end:
            self._tend()
            if now >= action:
                self._act()
                action = now + self._random.uniform(0.3, 1.2)
            if now >= phase and self._s3 is not None:
                self._s3.set(**self._random.choice(PHASES))
                phase = now + self._random.uniform(1.0, 4.0)
            time.sleep(0.02)
        if self._s3 is not None:
            self._s3.set(latency=0.005)

    def stop(self) -> None:
        """Ends all processes; what they do until then still counts."""
        for member in self._members:
            member.stop()
        self.problems += filter(None, [member.wait() for member in self._members])

    def history(self) -> History:
        return History.load(self._folder)

    def maintenance_counts(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for path in self._folder.glob("maintenance.*.json"):
            total.update(json.loads(path.read_text() or "{}"))
        return total

    def _tend(self) -> None:
        self.problems += filter(None, [member.tend() for member in self._members])

    def _act(self) -> None:
        victim = self._random.choice([member for member in self._members if not member.frozen] or [None])
        if victim is None:
            return
        if self._random.random() < 0.4:
            victim.kill()
            victim.start()
            self.counts["kills"] += 1
        else:
            # Most are frozen for longer than their view stays fresh.
            victim.freeze(self._random.uniform(0.1, _LONGEST_FREEZE))
            self.counts["freezes"] += 1

    def _add(self, name: str, command: Callable[[int], list[str]]) -> None:
        self._members.append(Member(name, command, self._folder))

    def _server(self, port: int, *, cache: bool) -> list[str]:
        """With `cache`, one that keeps pages on disk in place of memory."""
        return [
            *("env", f"LAMDB_WRITER_STALE_AFTER={STALE_AFTER}", "LAMDB_LOG_LEVEL=error"),
            *("LAMDB_FENCED_RETRIES=6", "LAMDB_MAX_STALENESS=0.5"),
            *(self._caching() if cache else []),
            *(str(SCRIPTS / "lamdb"), "serve", "--store", self.url),
            *("--database", str(self._folder / "project"), "--port", str(port)),
        ]

    def _caching(self) -> list[str]:
        place = f"LAMDB_DISK_CACHE_DIR={self._folder / 'cache'}"
        return [place, "LAMDB_DISK_CACHE_BYTES=4000000", "LAMDB_HYDRATE=true", "LAMDB_CACHE_BYTES=1048576"]

    def _storage_clients(self, name: str) -> list[str]:
        return _module("storage_clients", self.url, name, self._log(name), str(STALE_AFTER))

    def _http_clients(self, name: str, ports: list[int]) -> list[str]:
        return _module("http_clients", name, self._log(name), *map(str, ports))

    def _maintenance(self, incarnation: int) -> list[str]:
        figures = str(self._folder / f"maintenance.{incarnation}.json")
        return _module("maintenance", self.url, figures, str(self._keep))

    def _historian(self, name: str) -> list[str]:
        scratch = str(self._folder / "scratch")
        return _module(
            "historian", self.url, name, self._log(name), str(self._keep), scratch, str(self.first_txid)
        )

    def _log(self, name: str) -> str:
        return str(self._folder / f"{name}.log")


def run(folder: Path, *, on_s3: bool, seconds: float, keep: float, seed: int = 1) -> Report:
    """Rages for `seconds`, then checks what is left. Transactions are kept for `keep` seconds."""
    with ExitStack() as stack:
        s3 = stack.enter_context(FaultyS3(seed=seed, latency=0.005)) if on_s3 else None
        stack.enter_context(_environment(s3.environment if s3 else {}))
        with Run(folder, s3=s3, keep=keep, seed=seed) as running:
            running.rage(seconds)
            running.stop()
        faults = s3.counts() if s3 else Counter()
        return _report(running, seconds, faults, folder)


def _report(running: Run, seconds: float, faults: Counter[str], folder: Path) -> Report:
    history = running.history()
    report = Report(list(running.problems))
    with Database.open(running.url, create=False) as database:
        report.problems += _final_state(database, folder)
        history.pasts += _restore_points(database, running.first_txid)
        with database.reader() as connection:
            rows = model.rows(connection)
        txid = database.txid
    report.problems += violations(history, rows)
    report.problems += _after_compaction(running.url, rows, folder)
    report.figures = _figures(history, rows, seconds, txid)
    report.figures |= {name: float(count) for name, count in sorted(running.counts.items())}
    report.figures |= {f"compaction: {name}": n for name, n in running.maintenance_counts().items()}
    report.figures |= {f"S3: {name}": float(count) for name, count in sorted(faults.items())}
    report.figures["caches on disk"] = float(len([*folder.glob("cache/*/")]))
    report.figures["files that opening needs"] = float(_files_to_open(running.url))
    return report


def _final_state(database: Database, folder: Path) -> Iterator[str]:
    """The last state holds together, and Litestream restores the same, and an earlier one."""
    with database.reader() as connection:
        _, wrong = model.look(connection, database.txid, thoroughly=True)
        if wrong:
            yield f"the last state: {wrong}"
        for pragma, expected in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
            if (answer := connection.execute(f"PRAGMA {pragma}").fetchall()) != expected:
                yield f"{pragma}: {answer[:5]}"
        last = model.content(connection)
    yield from _differences("the last state", _restored(database.url, folder), last)
    earlier = max(1, database.txid - 20)
    with database.as_of(txid=earlier) as connection:
        content = model.content(connection)
        entries = connection.execute("SELECT count(*) FROM Entry").get
    with database.reader() as connection:
        first = model.content(connection, entries=entries)
    if content["Entry"] != first["Entry"]:
        yield f"the entries of transaction {earlier} are not the first of the last state's"
    restored = _restored(database.url, folder, "-txid", f"{earlier:016x}")
    yield from _differences(f"transaction {earlier}", restored, content)


def _restore_points(database: Database, first: int) -> Iterator[Past]:
    """Looks at a dozen of the states that are said to be restorable."""
    points = [point for point in find_backups(database.pages.replica).points if point.txid >= first]
    for point in points[:: len(points) // 12 + 1]:
        invoked = time.monotonic()
        with database.as_of(txid=point.txid) as connection:
            seen, wrong = model.look(connection, point.txid, thoroughly=True)
        yield Past("the end", invoked, time.monotonic(), "points", seen, point.txid, wrong=wrong)


def _after_compaction(url: str, rows: list[Row], folder: Path) -> Iterator[str]:
    """Once compaction has caught up, the same is there, in few files."""
    replica = Replica(open_store(url))
    try:
        Compactor(replica).run()
        files = len(plan(all_files(replica)))
    finally:
        replica.close()
    if files > _MOST_FILES:
        yield f"opening needs {files} files"
    with Database.open(url, create=False) as database:
        if not (found := verify(database.pages, folder)).ok:
            yield f"after compaction: {found.faults}"
        with database.reader() as connection:
            if model.rows(connection) != rows:
                yield "compaction changed the entries"


def _differences(what: str, restored: model.Content | str, expected: model.Content) -> Iterator[str]:
    if isinstance(restored, str):
        yield f"Litestream does not restore {what}: {restored}"
    elif restored != expected:
        yield f"Litestream restores another content of {what}"


def _restored(url: str, folder: Path, *options: str) -> model.Content | str:
    """The content that Litestream restores, or what it says."""
    target = folder / "restored.db"
    target.unlink(missing_ok=True)
    source = f"{url}?endpoint={os.environ['AWS_ENDPOINT_URL_S3']}" if url.startswith("s3:") else url
    command = [SCRIPTS / "litestream", "restore", "-integrity-check", "full", *options, "-o", target, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr or done.stdout
    connection = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return model.content(connection)
    finally:
        connection.close()


def _files_to_open(url: str) -> int:
    replica = Replica(open_store(url))
    try:
        return len(plan(all_files(replica)))
    finally:
        replica.close()


def _figures(history: History, rows: list[Row], seconds: float, txid: int) -> dict[str, float]:
    outcomes = Counter(write.outcome for write in history.writes)
    times = [
        1000 * (write.completed - write.invoked)
        for write in history.writes
        if write.outcome == "ok" and write.completed is not None
    ]
    return {
        "seconds": seconds,
        "acknowledged writes": outcomes["ok"],
        "of them per second": outcomes["ok"] / seconds,
        "refused or fenced writes": outcomes["failed"],
        "writes of unknown outcome": outcomes["unknown"],
        "of them kept": len(rows) - outcomes["ok"],
        "transactions": txid,
        "writes per transaction": len(rows) / max(1, txid),
        "write, p50 ms": median(times) if times else 0.0,
        "write, p99 ms": quantiles(times, n=100)[-1] if len(times) > 1 else 0.0,
        "reads": len(history.reads),
        "of them strong": sum(read.strong for read in history.reads),
        "of them of a token": sum(read.token > 0 for read in history.reads),
        "past states read": sum(past.how in {"as_of", "time", "points"} for past in history.pasts),
        "past states restored": sum(past.how in {"file", "store"} for past in history.pasts),
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """These AWS variables, and no others."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _lamdb(*arguments: str) -> None:
    subprocess.run([SCRIPTS / "lamdb", *arguments], check=True, capture_output=True)


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tests.soak.{name}", *arguments]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
