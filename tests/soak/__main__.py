"""`python -m tests.soak`: rages for a while on each kind of store, and prints figures; exits 1 if anything is
wrong."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .scenario import Report, run

STORES = ["S3", "directory"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="in all")
    parser.add_argument("--keep", type=float, default=30, help="seconds for which transactions are kept")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only", choices=STORES, help="one kind of store instead of both")
    options = parser.parse_args()
    stores = [options.only] if options.only else STORES
    reports: dict[str, Report] = {}
    with tempfile.TemporaryDirectory(prefix="lamdb-soak-") as folder:
        for store in stores:
            place = Path(folder) / store
            place.mkdir()
            reports[store] = run(
                place,
                on_s3=store == "S3",
                seconds=options.seconds / len(stores),
                keep=options.keep,
                seed=options.seed,
            )
    _print(reports)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps({name: vars(report) for name, report in reports.items()}, indent=2)
        )
    problems = [f"{name}: {problem}" for name, report in reports.items() for problem in report.problems]
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problems" if problems else "nothing was lost, torn, doubled or seen out of order")
    return 1 if problems else 0


def _print(reports: dict[str, Report]) -> None:
    table = Table()
    table.add_column("")
    for name in reports:
        table.add_column(name, justify="right")
    rows = dict.fromkeys(row for report in reports.values() for row in report.figures)
    for row in rows:
        figures = (report.figures.get(row) for report in reports.values())
        table.add_row(
            row, *("" if figure is None else f"{figure:,.1f}".removesuffix(".0") for figure in figures)
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
