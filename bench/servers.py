"""`python -m bench.servers`: which server underneath, and where to execute. Needs wrk on the PATH.

Every contender answers the same requests with the same handler: a lookup by primary key with apsw, the
answer with orjson. "loop" executes it on the event loop, "threads" in a pool of 16 threads. There are two
loads of 16 connections: all requests quick; or every twentieth waiting 20 ms, as for a page from S3.
docs/decisions.md has the figures and what was concluded from them.
"""

import argparse
import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import orjson

THREADS = 16
CONNECTIONS = 16
ROWS = 1000
CONTENDERS = ("uvicorn-loop", "uvicorn-threads", "granian-loop", "granian-threads", "granian-wsgi")

LOAD = """
request = function()
  local wait = %s and math.random(20) == 1
  local body = '{"id":' .. math.random(%d) .. ',"wait":' .. tostring(wait) .. '}'
  return wrk.format("POST", "/", {["content-type"] = "application/json"}, body)
end
"""

type Execute = Callable[[bytes], Awaitable[bytes]]

_local = threading.local()


def answer(body: bytes) -> bytes:
    """The floor: one lookup, by a connection of this thread."""
    request = orjson.loads(body)
    if request["wait"]:
        time.sleep(0.02)
    connection = getattr(_local, "connection", None)
    if connection is None:
        path = os.environ["BENCH_DATABASE"]
        connection = _local.connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    row = connection.execute("SELECT id, title, body FROM post WHERE id = ?", (request["id"],)).fetchone()
    return orjson.dumps({"data": dict(zip(("id", "title", "body"), row, strict=True))})


# Serving, in a process of its own


def serve(contender: str, port: int) -> None:
    server, _, where = contender.partition("-")
    if contender == "granian-wsgi":
        _serve_wsgi(port)
    elif server == "uvicorn":
        _serve_uvicorn(port, where)
    else:
        _serve_granian(port, where)


def _executor(where: str) -> Execute:
    if where == "loop":

        async def on_loop(body: bytes) -> bytes:
            return answer(body)

        return on_loop
    from lamdb.server.pool import ThreadPool

    pool = ThreadPool(THREADS, max_pending=10_000)
    return lambda body: pool.run(answer, body)


def _serve_uvicorn(port: int, where: str) -> None:
    import uvicorn

    execute: Execute | None = None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal execute
        execute = execute or _executor(where)
        message = await receive()
        body = await execute(message["body"])
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(
        app, port=port, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )


def _serve_granian(port: int, where: str) -> None:
    import uvloop
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    async def main() -> None:
        execute = _executor(where)

        async def app(_scope: Any, wire: Any) -> None:
            wire.response_bytes(200, [("content-type", "application/json")], await execute(await wire()))

        server = Server(
            app,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
        await server.serve()

    uvloop.run(main())


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    body = answer(environ["wsgi.input"].read())
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(body)))])
    return [body]


def _serve_wsgi(port: int) -> None:
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces

    Granian(
        "bench.servers:wsgi",
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=THREADS,
        log_enabled=False,
    ).serve()


# Measuring


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="per contender, load and round")
    parser.add_argument("--rounds", type=int, default=3, help="the best round of each is reported")
    parser.add_argument("--serve", nargs=2, metavar=("CONTENDER", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return
    if shutil.which("wrk") is None:
        sys.exit("bench.servers needs wrk: install the package of that name.")
    print("| server | quick: requests/s | p50 | p99 | mixed: requests/s | p50 | p99 |")
    print("|---" * 7 + "|")
    with tempfile.TemporaryDirectory(prefix="lamdb-bench-") as folder:
        _fill(Path(folder) / "bench.db")
        rounds: dict[tuple[str, str], list[Load]] = {
            (contender, waits): [] for contender in CONTENDERS for waits in ("false", "true")
        }
        for _ in range(options.rounds):
            for (contender, waits), results in rounds.items():
                results.append(_measure(contender, Path(folder), waits, options.seconds))
        for contender in CONTENDERS:
            quick, mixed = max(rounds[contender, "false"]), max(rounds[contender, "true"])
            print(f"| {contender} | {quick.row()} | {mixed.row()} |")


def _fill(path: Path) -> None:
    os.environ["BENCH_DATABASE"] = str(path)
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    rows = ((number, f"title {number}", "body " * 20) for number in range(1, ROWS + 1))
    connection.executemany("INSERT INTO post VALUES (?, ?, ?)", rows)
    connection.close()


class Load(NamedTuple):
    """The result of wrk: requests per second, and latencies as it prints them."""

    rate: float
    median: str
    p99: str

    def row(self) -> str:
        return f"{self.rate:,.0f} | {self.median} | {self.p99}"


def _measure(contender: str, folder: Path, waits: str, seconds: int) -> Load:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = folder / "load.lua"
    script.write_text(LOAD % (waits, ROWS))
    process = subprocess.Popen([sys.executable, "-m", "bench.servers", "--serve", contender, str(port)])
    try:
        _wait_for(port)
        load = ["wrk", "-t1", f"-c{CONNECTIONS}", "--latency", "-s", str(script), f"http://127.0.0.1:{port}/"]
        subprocess.run([*load, "-d1s"], capture_output=True, check=True)
        output = subprocess.run([*load, f"-d{seconds}s"], capture_output=True, text=True, check=True).stdout
    finally:
        process.terminate()
        process.wait(10)
    found = {line.split()[0]: line.split()[1] for line in output.splitlines() if len(line.split()) == 2}
    return Load(float(found["Requests/sec:"]), found["50%"], found["99%"])


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
