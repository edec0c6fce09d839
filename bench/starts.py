"""`python -m bench.starts`: the processor time of starts, of all threads, beside a bare interpreter's.

Commands run to their end; a server and a function to their first answer. Stores are directories, so that
requests over a network play no part (`bench.coldstart` measures those). The cases take turns, and the best
of all rounds counts: processor time on a shared machine is only ever too long.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from lamdb.cluster.runtime.starting import COMMANDS, COMPILED

_ROOT = Path(__file__).parents[1]
_PACKAGE = _ROOT / "layers" / "sqlite-engine"
_BYTECODE = Path(tempfile.gettempdir()) / "lamdb-starts-bytecode"
"""Modules are compiled once, as in the layer and the image, whatever the caller's environment says."""
_DEMO = _ROOT / "database"
_QUERY = '{"query": "{ findManyTag { name } }"}'
_MUTATION = '{"query": "mutation { createOneTag(data: {name: \\"a\\"}) { name } }"}'
_HEALTH = '{"httpMethod": "GET", "path": "/healthz"}'
_ANSWER = """
import json, sys, time
if sys.argv[1]:
    import app
    answer = app.handler(json.loads(sys.argv[1]), None)
    used = time.process_time()
    assert '"errors"' not in str(answer), answer
else:
    used = time.process_time()
print("used", used)
"""
_FIRST_ANSWER_SECONDS = 300


def models(count: int) -> str:
    """A schema of `count` models: each has scalars of several kinds, an index, and a relation to two others.

    Every eighth model is one that many refer to, as users and accounts are in applications.
    """
    hubs = max(1, count // 8)
    fields: list[list[str]] = [[] for _ in range(count)]
    for number in range(1, count):
        for hub in sorted({0, number % hubs} - {number}):
            relation = f'@relation("r{number}x{hub}"'
            fields[number].append(f"hub{hub}Id Int?")
            fields[number].append(f"hub{hub} Model{hub}? {relation}, fields: [hub{hub}Id], references: [id])")
            fields[hub].append(f"model{number}s Model{number}[] {relation})")
    scalars = [
        "id Int @id @default(autoincrement())",
        "name String",
        "email String? @unique",
        "price Decimal @default(0)",
        "active Boolean @default(true)",
        "meta Json?",
        "createdAt DateTime @default(now())",
    ]
    blocks = ['datasource db {\n  provider = "sqlite"\n}\n']
    for number, relations in enumerate(fields):
        lines = "".join(f"  {line}\n" for line in [*scalars, *relations, "@@index([name, createdAt])"])
        blocks.append(f"model Model{number} {{\n{lines}}}\n")
    return "\n".join(blocks)


@dataclass(frozen=True)
class Case:
    name: str
    target: float | None
    """Milliseconds; for functions, beyond a bare interpreter's."""
    run: Callable[[], float]
    """Returns milliseconds of processor time."""
    rounds: int | None = None
    """Fewer than asked for, where one takes long."""
    over_bare: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.starts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="cases whose name contains this")
    parser.add_argument("--models", type=int, default=51, help="of the larger schema")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with _precompiled(), tempfile.TemporaryDirectory(prefix="lamdb-starts-") as name:
        chosen = [
            case
            for case in _cases(Path(name), options.models)
            if options.only is None or options.only in case.name or case.name == _BARE
        ]
        measured: dict[str, list[float]] = {case.name: [] for case in chosen}
        for case in chosen:
            if case.rounds is None:
                case.run()
        for number in range(options.rounds):
            for case in chosen:
                if case.rounds is None or number < case.rounds:
                    measured[case.name].append(case.run())
    _print(chosen, measured)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2))


_BARE = "bare interpreter"


def _cases(folder: Path, count: int) -> list[Case]:
    demo = f"file://{folder}/demo"
    _lamdb("migrate", "deploy", "--store", demo, "--database", str(_DEMO))
    large = _project(folder / "large", models(count))
    pushed = f"file://{folder}/pushed"
    _lamdb("migrate", "push", "--store", pushed, "--database", large)
    small = _project(folder / "small", models(8))
    return [
        Case(_BARE, None, lambda: _command([sys.executable, "-c", _ANSWER, ""])),
        Case("lamdb --help", 150, lambda: _lamdb("--help")),
        Case("lamdb query", 500, lambda: _lamdb("query", "{ findManyTag { name } }", "--store", demo)),
        Case("lamdb status", 500, lambda: _lamdb("status", "--store", demo)),
        Case("lamdb serve", 350, lambda: _serve(demo, str(_DEMO))),
        Case(
            f"lamdb query, {count} models",
            None,
            lambda: _lamdb("query", "{ findManyModel1 { name } }", "--store", pushed),
        ),
        Case(
            f"lamdb serve --push, {count} models, nothing new",
            2000,
            lambda: _serve(pushed, large, "--push", query="{ findManyModel1 { name } }"),
        ),
        Case(
            "lamdb serve --push, 8 models, empty store",
            None,
            lambda: _serve("memory:", small, "--push", query="{ findManyModel1 { name } }"),
            2,
        ),
        Case(
            f"lamdb serve --push, {count} models, empty store",
            None,
            lambda: _serve("memory:", large, "--push", query="{ findManyModel1 { name } }"),
            2,
        ),
        Case("reader, a query", 170, lambda: _function("reader", _QUERY, demo), over_bare=True),
        Case(
            "writer, a mutation",
            None,
            lambda: _function(
                "writer", _MUTATION, f"file://{folder}/written-{os.urandom(4).hex()}", like=folder / "demo"
            ),
            over_bare=True,
        ),
        Case("proxy, health", 130, lambda: _function("proxy", _HEALTH, demo), over_bare=True),
    ]


def _project(folder: Path, schema: str) -> str:
    folder.mkdir()
    (folder / "schema.prisma").write_text(schema)
    return str(folder)


@contextmanager
def _precompiled() -> Iterator[None]:
    """Make what the builds of the layer and the wheel precompile, while the block lasts."""
    made = [path for path in (COMPILED, COMMANDS) if not path.exists()]
    compiler = [sys.executable, "-m", "lamdb.cluster.runtime.precompile"]
    subprocess.run([*compiler, COMPILED], check=True)
    subprocess.run([*compiler, COMMANDS, "--commands"], check=True)
    try:
        yield
    finally:
        for path in made:
            path.unlink()


def _environment(**more: str) -> dict[str, str]:
    """The caller's, with nothing of AWS or lamDB, and with a place for compiled modules."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAMDB_", "PYTHON"))
    }
    return kept | {"PYTHONPYCACHEPREFIX": str(_BYTECODE)} | more


def _command(arguments: list[str], environment: dict[str, str] | None = None) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(arguments, env=environment or _environment(), capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{run.stdout}{run.stderr}")
    if run.stdout.rpartition("\n")[0].rpartition("\n")[2].startswith("used "):
        return 1000 * float(run.stdout.split()[-1])
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


_SCRIPT = "import sys; from lamdb.__main__ import main; main()"


def _lamdb(*arguments: str) -> float:
    return _command([sys.executable, "-c", _SCRIPT, *arguments], _environment(PYTHONPATH=str(_PACKAGE)))


def _serve(store: str, project: str, *options: str, query: str = "{ findManyTag { name } }") -> float:
    """To the first answer."""
    started = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _SCRIPT,
            "serve",
            "--store",
            store,
            "--database",
            project,
            "--port",
            "0",
            "--json",
            *options,
        ],
        env=_environment(LAMDB_MAINTENANCE="false", PYTHONPATH=str(_PACKAGE)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        assert started.stderr is not None
        line = started.stdout.readline()
        if not line:
            raise SystemExit(f"lamdb serve failed:\n{started.stderr.read()}")
        request = urllib.request.Request(
            json.loads(line)["graphql"],
            json.dumps({"query": query}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_FIRST_ANSWER_SECONDS) as response:
            answer = response.read()
        assert b'"errors"' not in answer, answer
        return 1000 * _processor_seconds(started.pid)
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait()


def _processor_seconds(pid: int) -> float:
    """Seconds used by all threads that the process has or had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    threads = Path(f"/proc/{pid}/task").iterdir()
    exact = sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
    return max(exact, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


def _function(name: str, event: str, store: str, like: Path | None = None) -> float:
    if like is not None:
        subprocess.run(["cp", "-r", like, store.removeprefix("file://")], check=True)
    environment = _environment(
        PYTHONPATH=f"{_ROOT / 'functions' / name}:{_PACKAGE}",
        AWS_REGION="eu-central-1",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        LAMDB_STORE=store,
        LAMDB_READER_FUNCTION="reader",
        LAMDB_WRITER_FUNCTION="writer",
    )
    return _command([sys.executable, "-c", _ANSWER, event], environment)


def _print(cases: list[Case], measured: dict[str, list[float]]) -> None:
    bare = min(measured[_BARE])
    table = Table(
        title=f"Starts: ms of processor time, best and median; load of the machine {os.getloadavg()[0]:.1f}"
    )
    table.add_column("")
    for name in ("best", "median", "above a bare interpreter", "target", "times a bare interpreter"):
        table.add_column(name, justify="right")
    for case in cases:
        best = min(measured[case.name])
        target = "" if case.target is None else f"{'+' if case.over_bare else ''}{case.target:,.0f}"
        table.add_row(
            case.name,
            f"{best:,.0f}",
            f"{median(measured[case.name]):,.0f}",
            f"{best - bare:,.0f}",
            target,
            f"{best / bare:.1f}",
        )
    Console(width=118).print(table)


if __name__ == "__main__":
    main()
