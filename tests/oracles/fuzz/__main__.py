"""The fuzzer's long form: `python -m tests.oracles.fuzz --operations 200000 --json build/fuzz.json`."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.oracles.fuzz.campaign import ROUNDS, Report, run
from tests.oracles.fuzz.shrink import described, shrink


def main() -> int:
    """Runs, writes what was found, and returns 1 if something is unexplained."""
    parser = argparse.ArgumentParser(description="Compare lamDB with Prisma's engine on Node.")
    parser.add_argument("--operations", type=int, default=200_000, help="how many (default 200000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same operations")
    parser.add_argument("--first-round", type=int, default=1, help="go on after the rounds of an earlier run")
    parser.add_argument("--replay", type=int, help="one round again: the seed that a difference names")
    parser.add_argument("--seconds", type=float, help="end after this time")
    parser.add_argument("--per-schema", type=int, default=1200, help="operations on a schema (default 1200)")
    parser.add_argument("--stop-at", type=int, default=25, help="unexplained differences to end at")
    parser.add_argument(
        "--shrink", type=int, default=200, help="attempts at making a difference small (0: none)"
    )
    parser.add_argument("--json", type=Path, help="write a report to this file")
    options = parser.parse_args()
    if options.replay is not None:
        options.seed, options.first_round = divmod(options.replay, ROUNDS)
        options.operations = options.per_schema
    started = time.monotonic()

    def summary(report: Report) -> dict[str, Any]:
        return report.summary() | {"seconds": round(time.monotonic() - started)}

    def write(report: Report, found: list[dict[str, Any]]) -> None:
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(summary(report) | {"differences": found}, indent=2, ensure_ascii=False)
            options.json.write_text(text)

    def progress(report: Report) -> None:
        write(report, list(map(described, report.unexplained)))
        rate = report.operations / (time.monotonic() - started)
        print(
            f"{report.operations} operations, {report.schemas} schemas, {rate:.0f} a second, "
            f"{sum(report.known.values())} known differences, {len(report.unexplained)} unexplained",
            file=sys.stderr, flush=True,
        )  # fmt: skip

    report = run(
        options.seed, options.operations, seconds=options.seconds, per_schema=options.per_schema,
        stop_at=options.stop_at, first_round=options.first_round, progress=progress,
    )  # fmt: skip
    found = [described(shrink(each, attempts=options.shrink) if options.shrink else each)
             for each in report.unexplained]  # fmt: skip
    print(json.dumps(summary(report), indent=2))
    for each in found:
        print(json.dumps(each, indent=2, ensure_ascii=False))
    write(report, found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
