"""`python -m tests.hostile`: attacks a server, prints what others saw; exits 1 if a bound did not hold."""

import argparse
import json
import sys
from pathlib import Path

from .attacks import ATTACKS
from .suite import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=list(ATTACKS), action="append", help="this attack; may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    report = run(options.only or list(ATTACKS), rounds=options.rounds)
    print(json.dumps(vars(report), indent=2))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(vars(report), indent=2))
    for problem in report.problems:
        print(problem, file=sys.stderr)
    print(f"{len(report.problems)} problems" if report.problems else "everybody else was served")
    return 1 if report.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
