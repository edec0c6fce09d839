"""`python -m bench.coldstart`: how long the functions take from the start of a process to its first answer.

The functions run in the local Lambda of the tests, with nothing cached but what the operating system has of
files, on a store with 20 ms for each request. Whatever they invoke is warm. Processor time tells what a busy
machine hides; that of an interpreter that does nothing is measured beside it. Dataclasses are compiled
before, as in the layer (`lamdb.cluster.runtime.precompile`).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from lamdb.cluster.runtime.starting import COMPILED

cluster = import_module("tests.lambda.cluster")
environment = import_module("tests.lambda.environment")

LATENCY = 0.02


@dataclass(frozen=True)
class Case:
    name: str
    function: str
    event: dict[str, Any]


def _request(method: str, path: str, query: str | None = None) -> dict[str, Any]:
    """As API Gateway passes it on."""
    body = None if query is None else json.dumps({"query": query, "variables": {"name": "a"}})
    headers = {"content-type": "application/json"}
    return {"httpMethod": method, "path": path, "headers": headers, "body": body, "isBase64Encoded": False}


CASES = [
    Case("proxy, health", "proxy", _request("GET", "/health")),
    Case("proxy, a query", "proxy", _request("POST", "/graphql", cluster.NAMES)),
    Case("proxy, a mutation", "proxy", _request("POST", "/graphql", cluster.CREATE)),
    Case("reader, a query", "reader", {"query": cluster.NAMES}),
    Case("writer, a mutation", "writer", {"query": cluster.CREATE, "variables": {"name": "a"}}),
]


@dataclass(frozen=True)
class Start:
    """In ms from the start of the process; `processor`: what it used of it until the first answer."""

    ready: float
    first: float
    processor: float
    second: float
    """From the invocation."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.coldstart", description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    measured: dict[str, list[Start]] = {case.name: [] for case in CASES}
    bare: list[float] = []
    with (
        _precompiled(),
        tempfile.TemporaryDirectory(prefix="lamdb-cold-") as name,
        _cluster(Path(name)) as running,
    ):
        for function in running.functions:
            function.provision(1)
        for number in range(options.runs):
            bare.append(_bare())
            for case in CASES:
                measured[case.name].append(_start(running, case, Path(name) / f"{number}.log"))
    _print(measured, bare)
    if options.json:
        figures = {name: [asdict(start) for start in starts] for name, starts in measured.items()}
        options.json.write_text(json.dumps(figures, indent=2))


@contextmanager
def _precompiled() -> Iterator[None]:
    """The precompiled modules of the layer, while the block lasts."""
    was_there = COMPILED.exists()
    subprocess.run([sys.executable, "-m", "lamdb.cluster.runtime.precompile", COMPILED], check=True)
    try:
        yield
    finally:
        if not was_there:
            COMPILED.unlink()


def _bare() -> float:
    """Processor time in ms of an interpreter that does nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


@contextmanager
def _cluster(folder: Path) -> Iterator[Any]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        del os.environ[name]
    with cluster.running(folder) as running:
        os.environ.update(running.s3.environment)
        cluster.deploy(running.s3.url)
        running.s3.set(latency=LATENCY)
        yield running


def _start(running: Any, case: Case, log: Path) -> Start:
    function = getattr(running, case.function)
    payload = json.dumps(case.event).encode()
    begun = time.perf_counter()
    started = environment.Environment(cluster.FUNCTIONS / case.function, function.variables, log, 29.0)
    try:
        assert started.ready(), log.read_text()
        ready = time.perf_counter()
        answer = started.invoke(payload)
        first = time.perf_counter()
        assert answer.error is None, answer.payload
        assert b"errors" not in answer.payload, answer.payload
        processor = _processor_seconds(started.pid)
        again = time.perf_counter()
        started.invoke(payload)
        second = time.perf_counter()
    finally:
        started.kill()
    return Start(1000 * (ready - begun), 1000 * (first - begun), 1000 * processor, 1000 * (second - again))


def _processor_seconds(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9


def _print(measured: dict[str, list[Start]], bare: list[float]) -> None:
    table = Table(title=f"ms, best and median; load of the machine {os.getloadavg()[0]:.1f}")
    table.add_column("")
    for name in ("initialised", "first answer", "of it processor", "second answer"):
        table.add_column(name, justify="right")
    for name, starts in measured.items():
        columns = (
            [start.ready for start in starts],
            [start.first for start in starts],
            [start.processor for start in starts],
            [start.second for start in starts],
        )
        table.add_row(name, *(f"{min(column):,.1f}  {median(column):,.1f}" for column in columns))
    table.add_row("a bare interpreter", "", "", f"{min(bare):,.1f}  {median(bare):,.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
