"""`python -m bench.storage`: print tables, and write the figures as JSON if asked to."""

import argparse
import itertools
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import apsw
import orjson
from rich.console import Console
from rich.table import Table

from bench.storage import catchup, commits, diskcaches, histories, opening, pagesizes, scans, sessions
from bench.storage.figures import Figure
from bench.storage.laboratory import TOY, Laboratory, Scale, WrongAnswer
from bench.storage.litestream import vfs_extension
from bench.storage.s3 import serving
from bench.storage.targets import judge

SCENARIOS = (opening, sessions, commits, catchup, scans, diskcaches, histories, pagesizes)
DATA = Path(__file__).parents[2] / "build" / "bench-storage"

_TEN_GIBIBYTES = 10 * 1024
_TABLE_WIDTH = 118


def main() -> int:
    options = _options()
    scale = _scale(options)
    started = time.monotonic()
    load_before = os.getloadavg()
    figures: list[Figure] = []
    console = Console(width=max(Console().width, _TABLE_WIDTH))
    with serving(options.data.resolve()) as server:
        laboratory = Laboratory(server, scale, vfs_extension())
        for scenario in SCENARIOS:
            if options.only is None or options.only in scenario.__name__:
                measured = [*_progress(scenario.run(laboratory))]
                console.print(_table(scenario.SCENARIO, measured))
                figures += measured
    targets = judge(figures)
    for target in targets:
        console.print(target.line())
    if options.json:
        report = {
            **_machine(),
            "load_average": {"before": load_before, "after": os.getloadavg()},
            "seconds": round(time.monotonic() - started, 1),
            "scale": asdict(scale),
            "figures": [asdict(figure) for figure in figures],
            "targets": [asdict(target) for target in targets],
        }
        options.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.storage",
        description="Storage over an S3 protocol on the loopback, beside Litestream: requests and time.",
    )
    parser.add_argument("--only", help="scenarios whose module's name contains this")
    parser.add_argument("--latencies", help="milliseconds per request, as in 0,20")
    parser.add_argument("--ten-gigabytes", action="store_true", help="a database of 10 GiB, too (needs 20)")
    parser.add_argument("--toy", action="store_true", help="see in seconds whether everything runs")
    parser.add_argument("--data", type=Path, default=DATA, help="where databases are kept between runs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def _scale(options: argparse.Namespace) -> Scale:
    scale = TOY if options.toy else Scale()
    if options.ten_gigabytes:
        scale = replace(scale, sizes=(*scale.sizes, _TEN_GIBIBYTES))
    if options.latencies:
        scale = replace(scale, latencies=tuple(float(text) for text in options.latencies.split(",")))
    return scale


def _progress(figures: Iterable[Figure]) -> Iterator[Figure]:
    """The figures, each told on standard error as it comes: some take a while."""
    for figure in figures:
        text = "–" if figure.ms is None else f"{figure.ms:,.1f} ms"
        print(
            f"{figure.scenario}: {figure.case}, {figure.store}, {figure.contender}: {text}", file=sys.stderr
        )
        yield figure


def _table(title: str, figures: list[Figure]) -> Table:
    table = Table(title=title)
    for column in ("case", "store", ""):
        table.add_column(column)
    for column in ("ms", "p99 ms", "requests", "KiB read"):
        table.add_column(column, justify="right")
    table.add_column("", overflow="fold")
    for _, group in itertools.groupby(figures, lambda figure: (figure.case, figure.store)):
        for figure in group:
            table.add_row(*_cells(figure))
        table.add_section()
    return table


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.case,
        figure.store,
        figure.contender,
        _number(figure.ms, 3 if figure.ms is not None and figure.ms < 1 else 1),
        _number(figure.p99_ms, 3 if figure.p99_ms is not None and figure.p99_ms < 1 else 1),
        _number(figure.requests, 2 if figure.requests is not None and figure.requests % 1 else 0),
        _number(None if figure.bytes_read is None else figure.bytes_read / 1024, 0),
        figure.note,
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WrongAnswer as error:
        sys.exit(f"An answer is wrong, nothing more was measured:\n{error}")
