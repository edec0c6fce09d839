"""`python -m bench`: print a table, and write the figures as JSON if asked to."""

import argparse
import cProfile
import platform
import pstats
import sys
import tempfile
from pathlib import Path
from typing import Any

import apsw
import orjson
from rich.console import Console
from rich.table import Table

from bench.contenders import Contenders, contenders
from bench.data import Size
from bench.measure import Measurement, WrongAnswer, measure
from bench.serve import CONNECTIONS, CannotMeasure, Rate, measure_rates
from bench.shapes.__main__ import main as measure_shapes
from bench.workloads import WORKLOADS, Workload

_PROFILED_REQUESTS = 2000
_TABLE_WIDTH = 118


def main() -> int:
    if sys.argv[1:2] == ["shapes"]:
        return measure_shapes(sys.argv[2:])
    options = _options()
    size = Size(posts=options.posts, authors=max(1, min(1_000, options.posts // 10)))
    chosen = [work for work in WORKLOADS if options.only is None or options.only in work.name]
    with tempfile.TemporaryDirectory(prefix="lamdb-bench-") as folder:
        if options.serve:
            _print_rates(measure_rates(chosen, size, options.seconds, Path(folder), cores=options.cores))
            return 0
        store = options.store or f"file://{folder}/store"
        with contenders(store, size, Path(folder)) as answering:
            if options.profile:
                _profile(chosen, answering, size)
                return 0
            measured = [measure(work, answering, size, options.seconds) for work in chosen]
            _print(measured, store, size, answering)
    if options.json:
        options.json.write_bytes(orjson.dumps(_report(measured, store, size), option=orjson.OPT_INDENT_2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Request bytes to response bytes in process, beside the floor.",
        epilog="`python -m bench shapes` measures query shapes beside hand-written SQL and Prisma Client.",
    )
    parser.add_argument("--posts", type=int, default=Size().posts, help="rows in the largest table")
    parser.add_argument(
        "--store", help="memory:, file:///directory or s3://…; by default a temporary file store"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="per workload")
    parser.add_argument("--only", help="workloads whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--serve", action="store_true", help="measure requests per second over HTTP instead")
    parser.add_argument("--cores", choices=["one", "all"], default="one", help="of a server, with --serve")
    parser.add_argument("--profile", action="store_true", help="show where the API's time goes instead")
    return parser.parse_args()


def _print(measured: list[Measurement], store: str, size: Size, answering: Contenders) -> None:
    table = Table(
        title=f"{size.posts:,} posts, {size.authors:,} authors, {size.tags} tags, {size.links:,} links"
        f" ({answering.file_bytes / 2**20:.0f} MiB) in {store.partition(':')[0]} store",
        caption="Median microseconds from request body to response body, in one thread."
        " The floor: the same SQL by hand with apsw and orjson on a plain SQLite database.",
    )
    table.add_column("request")
    for column in ("response bytes", "floor", "API", "API p95", "with HTTP", "API / floor", "aim"):
        table.add_column(column, justify="right")
    for one in measured:
        aim = one.workload.aim
        ratio = f"{one.ratio:.2f}"
        table.add_row(
            one.workload.name,
            f"{one.response_bytes:,}",
            f"{one.floor.median:,.1f}",
            f"{one.api.median:,.1f}",
            f"{one.api.p95:,.1f}",
            f"{one.http.median:,.1f}",
            ratio if aim is None or one.ratio <= aim else f"[yellow]{ratio}[/]",
            "–" if aim is None else f"≤ {aim:g}",
        )
    console = Console()
    console.width = max(console.width, _TABLE_WIDTH)
    console.print(table)


def _print_rates(rates: list[Rate]) -> None:
    table = Table(
        title="Requests over HTTP",
        caption=f"wrk, one thread, {CONNECTIONS} connections; one server process at a time under load."
        " The floor: granian (RSGI), apsw and orjson. µs: processor time per request.",
    )
    table.add_column("request")
    for column in ("floor/s", "lamdb/s", "share", "floor µs", "lamdb µs", "floor / lamdb"):
        table.add_column(column, justify="right")
    for rate in rates:
        floor, lamdb = rate.floor, rate.lamdb
        table.add_row(
            rate.workload.name,
            f"{floor.rate:,.0f}",
            f"{lamdb.rate:,.0f}",
            f"{lamdb.rate / floor.rate:.2f}",
            f"{floor.processor:,.1f}",
            f"{lamdb.processor:,.1f}",
            f"{floor.processor / lamdb.processor:.2f}",
        )
    Console().print(table)


def _report(measured: list[Measurement], store: str, size: Size) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "store": store.partition(":")[0],
        "rows": {"posts": size.posts, "authors": size.authors, "tags": size.tags, "links": size.links},
        "microseconds": [
            {
                "request": one.workload.name,
                "bytes": one.response_bytes,
                "floor": one.floor.median,
                "api": one.api.median,
                "api_p95": one.api.p95,
                "http": one.http.median,
                "ratio": one.ratio,
                "aim": one.workload.aim,
                "requests": one.api.count,
            }
            for one in measured
        ],
    }


def _profile(chosen: list[Workload], answering: Contenders, size: Size) -> None:
    for work in chosen:
        bodies = work.bodies(size, 100)
        for body in bodies:
            answering.api(body)
        profiler = cProfile.Profile()
        profiler.enable()
        for number in range(_PROFILED_REQUESTS):
            answering.api(bodies[number % len(bodies)])
        profiler.disable()
        print(f"--- {work.name}")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WrongAnswer as error:
        sys.exit(f"An answer is wrong, nothing was measured:\n{error}")
    except CannotMeasure as error:
        sys.exit(f"Not measured: {error}")
