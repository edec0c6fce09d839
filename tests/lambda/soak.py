"""`python -m tests.lambda.soak`: many clients of one writer by HTTP, first calm, then in chaos.

Prints figures, and exits 1 if anything is wrong.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .chaos import Chaos
from .cluster import Cluster, deploy, running
from .load import Report, load, provision

RUNS = ["calm", "chaos"]


def main() -> int:
    options = _options()
    reports = {name: _run(options, name == "chaos") for name in options.only or RUNS}
    _print(reports)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({name: vars(each) for name, each in reports.items()}, indent=2))
    problems = [f"{name}: {problem}" for name, report in reports.items() for problem in report.problems]
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    print(
        f"{len(problems)} problems"
        if problems
        else "nothing was lost or doubled, every client saw its writes"
    )
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lambda.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each run")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--think", type=float, default=3.0, help="mean seconds between a client's requests")
    parser.add_argument("--proxies", type=int, help="started beforehand; by default one for each client")
    parser.add_argument("--readers", type=int, default=4, help="their reserved concurrency")
    parser.add_argument("--writers", type=int, default=1, help="their reserved concurrency")
    parser.add_argument(
        "--writer-rate", type=float, help="invocations of the writer that may begin in a second; AWS says 10"
    )
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two acts of chaos")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--only", choices=RUNS, action="append", help="instead of both runs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def _run(options: argparse.Namespace, rough: bool) -> Report:
    # Clients that hang up leave their request behind at a proxy: there are more of these than of clients.
    concurrency = options.clients * 3 // 2
    proxies = options.clients if options.proxies is None else options.proxies
    with tempfile.TemporaryDirectory(prefix="lamdb-soak-") as name, clean_environment():
        folder = Path(name)
        with running(
            folder,
            readers=options.readers,
            writers=options.writers,
            writer_rate=options.writer_rate,
            concurrency=concurrency,
        ) as cluster:
            os.environ.update(cluster.s3.environment)
            deploy(cluster.s3.url)
            started = provision(cluster, proxies=proxies, readers=options.readers)
            print(f"{proxies} proxies are ready after {started:.0f} s", file=sys.stderr)
            chaos = Chaos(cluster, pause=options.pause, seed=options.seed) if rough else None
            report = load(
                cluster,
                folder,
                number=options.clients,
                seconds=options.seconds,
                think=options.think,
                chaos=chaos,
            )
            report.figures["memory of a proxy, MB"] = _memory(cluster)
            return report


def _memory(cluster: Cluster) -> float:
    """The state of one proxy."""
    rollup = Path(f"/proc/{cluster.proxy.environments()[0].pid}/smaps_rollup").read_text().splitlines()
    own = [int(line.split()[1]) for line in rollup if line.startswith("Private_")]
    return sum(own) / 1024


@contextmanager
def clean_environment() -> Iterator[None]:
    """No variables of AWS or lamDB but those that are set inside."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _print(reports: dict[str, Report]) -> None:
    table = Table()
    table.add_column("")
    for name in reports:
        table.add_column(name, justify="right")
    for row in dict.fromkeys(row for report in reports.values() for row in report.figures):
        figures = (report.figures.get(row) for report in reports.values())
        table.add_row(row, *("" if each is None else f"{each:,.1f}".removesuffix(".0") for each in figures))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
