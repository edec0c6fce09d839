"""Requests per second over HTTP: `lamdb serve` and the floor behind uvicorn, one process each, under wrk."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import httpx
import orjson

from bench.contenders import plain_database
from bench.data import SCHEMA, Size, fill
from bench.workloads import WORKLOADS, Workload
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.storage import Database

CONNECTIONS = 16
_BODIES = 200
_START_SECONDS = 30
_SCRIPT = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local next = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  next = next %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next])
end
"""


class CannotMeasure(Exception):
    """A part is missing or fails; the message says which."""


@dataclass(frozen=True)
class Rate:
    """Requests per second."""

    workload: Workload
    floor: float
    lamdb: float


def measure_rates(workloads: list[Workload], size: Size, seconds: float, folder: Path) -> list[Rate]:
    """Both servers take turns under load. Raises CannotMeasure."""
    if shutil.which("wrk") is None:
        raise CannotMeasure("wrk is not installed (apt-get install wrk)")
    with ExitStack() as stack:
        lamdb, floor = (
            stack.enter_context(lamdb_server(size, folder)),
            stack.enter_context(floor_server(size, folder)),
        )
        return [_rate(work, lamdb, floor, size, seconds, folder) for work in workloads]


def _rate(work: Workload, lamdb: str, floor: str, size: Size, seconds: float, folder: Path) -> Rate:
    bodies = work.bodies(size, _BODIES)
    if work != WORKLOADS[-1]:
        one, other = (_post(url, bodies[0]) for url in (floor, lamdb))
        if orjson.loads(one)["data"] != orjson.loads(other)["data"]:
            raise CannotMeasure(f"{work.name}: the servers answer differently")
    script = load_script(folder, "requests", bodies)
    rates: dict[str, list[float]] = {lamdb: [], floor: []}
    for url in (floor, lamdb) * 2:
        rates[url].append(requests_per_second(url, script, seconds / 2))
    return Rate(work, max(rates[floor]), max(rates[lamdb]))


def load_script(folder: Path, name: str, bodies: list[bytes]) -> Path:
    """Returns a script of wrk's that posts these bodies one after another."""
    script, lines = folder / f"{name}.lua", folder / f"{name}.txt"
    lines.write_bytes(b"\n".join(bodies))
    script.write_text(_SCRIPT % lines)
    return script


def _post(url: str, body: bytes) -> bytes:
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"})
    return answer.raise_for_status().content


def requests_per_second(url: str, script: Path, seconds: float) -> float:
    """Returns the rate under wrk. Raises CannotMeasure."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise CannotMeasure(f"{url} fails under load:\n{output}")
    found = re.search(r"Requests/sec: +([\d.]+)", output)
    if found is None:
        raise CannotMeasure(f"wrk says nothing of requests:\n{output}")
    return float(found[1])


def lamdb_server(size: Size, folder: Path) -> AbstractContextManager[str]:
    """`lamdb serve` on a file store of its own; the GraphQL endpoint."""
    return serving_lamdb(SCHEMA, lambda connection: fill(connection, size), folder)


@contextmanager
def serving_lamdb(schema: str, fill: Callable[[apsw.Connection], object], folder: Path) -> Iterator[str]:
    """`lamdb serve` on a file store with the tables of a schema, which `fill` has filled; the endpoint."""
    database, store, port = folder / "database", f"file://{folder}/store", _free_port()
    database.mkdir()
    (database / "schema.prisma").write_text(schema)
    with Database.open(store) as opened:
        with opened.writer() as connection:
            push(connection, PrismaSchema.parse(schema))
        with opened.writer() as connection:
            fill(connection)
    program = Path(sys.executable).with_name("lamdb")
    command = [str(program), "serve", "--push", "--store", store, "--database", str(database)]
    with _running([*command, "--port", str(port), "--log-level", "warning"], port):
        yield f"http://127.0.0.1:{port}/graphql"


@contextmanager
def floor_server(size: Size, folder: Path) -> Iterator[str]:
    """The floor behind uvicorn with uvloop and httptools; any path answers."""
    file = folder / "floor.db"
    plain_database(str(file), PrismaSchema.parse(SCHEMA), size).close()
    with serving_app("bench.floor_app:app", file) as url:
        yield url


@contextmanager
def serving_app(app: str, file: Path) -> Iterator[str]:
    """An ASGI application behind uvicorn, which reads the database `file`; any path answers."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port)]
    command += ["--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
    with _running(command, port, BENCH_FLOOR=str(file)):
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def _running(command: list[str], port: int, **environment: str) -> Iterator[None]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                raise CannotMeasure(f"{' '.join(command)} does not start")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
