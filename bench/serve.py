"""Requests over HTTP, under wrk: `lamdb serve` and the floor behind granian, taking turns.

Measured are requests per second and the processor time of each. Other load on the machine disturbs the
processor time less. Each server has one processor core to itself, or shares all with wrk (`cores="all"`).
"""

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
_ROUNDS = 2
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
class Load:
    """Requests per second, and microseconds of processor time per request."""

    rate: float
    processor: float


@dataclass(frozen=True)
class Rate:
    """The best of all rounds of each."""

    workload: Workload
    floor: Load
    lamdb: Load


@dataclass(frozen=True)
class Running:
    """A server, and its process."""

    url: str
    process: int

    def processor_seconds(self) -> float:
        """Processor time so far, of its child processes too."""
        return sum(_processor_seconds(process) for process in self._processes())

    def keep_to(self, core: int) -> None:
        """Binds all threads of the server, and those that they start, to a processor core."""
        for process in self._processes():
            for thread in Path(f"/proc/{process}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {core})

    def _processes(self) -> list[str]:
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        return [str(self.process), *children]


def _processor_seconds(process: str) -> float:
    """User and system time (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_rates(
    workloads: list[Workload], size: Size, seconds: float, folder: Path, *, cores: str = "one"
) -> list[Rate]:
    """Both servers take turns under load. Raises CannotMeasure."""
    if shutil.which("wrk") is None:
        raise CannotMeasure("wrk is not installed (apt-get install wrk)")
    with ExitStack() as stack:
        lamdb, floor = (
            stack.enter_context(lamdb_server(size, folder)),
            stack.enter_context(floor_server(size, folder)),
        )
        mine = sorted(os.sched_getaffinity(0))
        if cores == "one" and len(mine) > 1:
            for server in (lamdb, floor):
                server.keep_to(mine[0])
            os.sched_setaffinity(0, mine[1:])
            stack.callback(os.sched_setaffinity, 0, mine)
        return [_rate(work, lamdb, floor, size, seconds, folder) for work in workloads]


def _rate(
    work: Workload, lamdb: "Running", floor: "Running", size: Size, seconds: float, folder: Path
) -> Rate:
    bodies = work.bodies(size, _BODIES)
    if work != WORKLOADS[-1]:
        one, other = (_post(server.url, bodies[0]) for server in (floor, lamdb))
        if orjson.loads(one)["data"] != orjson.loads(other)["data"]:
            raise CannotMeasure(f"{work.name}: the servers answer differently")
    script = load_script(folder, "requests", bodies)
    loads: dict[Running, list[Load]] = {lamdb: [], floor: []}
    for server in (floor, lamdb) * _ROUNDS:
        before = server.processor_seconds()
        rate, count = wrk(server.url, script, seconds / _ROUNDS)
        loads[server].append(Load(rate, (server.processor_seconds() - before) / count * 1e6))
    return Rate(work, _best(loads[floor]), _best(loads[lamdb]))


def _best(loads: list[Load]) -> Load:
    return Load(max(load.rate for load in loads), min(load.processor for load in loads))


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
    return wrk(url, script, seconds)[0]


def wrk(url: str, script: Path, seconds: float) -> tuple[float, int]:
    """Returns the rate under wrk and the number of requests. Raises CannotMeasure."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise CannotMeasure(f"{url} fails under load:\n{output}")
    found = re.search(r"Requests/sec: +([\d.]+)", output)
    count = re.search(r"(\d+) requests in", output)
    if found is None or count is None:
        raise CannotMeasure(f"wrk says nothing of requests:\n{output}")
    return float(found[1]), int(count[1])


def lamdb_server(size: Size, folder: Path) -> AbstractContextManager[Running]:
    """`lamdb serve` on a file store of its own; the GraphQL endpoint."""
    return serving_lamdb(SCHEMA, lambda connection: fill(connection, size), folder)


@contextmanager
def serving_lamdb(
    schema: str, fill: Callable[[apsw.Connection], object], folder: Path, **environment: str
) -> Iterator[Running]:
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
    command += ["--port", str(port), "--log-level", "warning"]
    with _running(command, port, **environment) as process:
        yield Running(f"http://127.0.0.1:{port}/graphql", process)


@contextmanager
def floor_server(size: Size, folder: Path) -> Iterator[Running]:
    """The floor of these benchmarks."""
    file = folder / "floor.db"
    plain_database(str(file), PrismaSchema.parse(SCHEMA), size).close()
    with serving_app("bench.floor_app:app", file) as running:
        yield running


@contextmanager
def serving_app(app: str, file: Path) -> Iterator[Running]:
    """An application on a database, behind granian with its RSGI interface; any path answers."""
    port = _free_port()
    command = [sys.executable, "-m", "granian", app, "--interface", "rsgi", "--loop", "uvloop"]
    command += ["--http", "1", "--no-ws", "--no-log", "--port", str(port)]
    with _running(command, port, BENCH_FLOOR=str(file)) as process:
        yield Running(f"http://127.0.0.1:{port}/", process)


@contextmanager
def _running(command: list[str], port: int, **environment: str) -> Iterator[int]:
    """Starts a server; the number of its process."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                raise CannotMeasure(f"{' '.join(command)} does not start")
            time.sleep(0.05)
        yield process.pid
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
