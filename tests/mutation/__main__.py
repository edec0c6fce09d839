"""Mutation tests of the storage: `python -m tests.mutation`, or `make mutants`.

Changes the code in small ways, one at a time, and counts the changes that no test notices. The quick tests
meet all mutants, the thorough ones those that are left.
"""

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path

from .targets import MODULES, QUICK, THOROUGH
from .tree import REPOSITORY, Tree

OUTCOMES = ("killed", "survived", "no tests", "timeout", "crashed")


def main() -> int:
    arguments = _arguments()
    build: Path = arguments.folder
    quick = Tree(build / "quick", arguments.modules, QUICK)
    chosen = {name: module for module in arguments.modules for name in _sample(quick, module, arguments)}
    total = {module: len(quick.names(module)) for module in arguments.modules}
    print(f"{len(chosen)} of {sum(total.values())} mutants, with the quick tests", flush=True)
    quick.run(chosen, arguments.children)
    results = {name: status for name, status in quick.results().items() if name in chosen}
    left = [name for name, status in results.items() if status not in ("killed", "timeout")]
    if left and not arguments.quick:
        print(f"{len(left)} are left for the thorough tests", flush=True)
        thorough = Tree(build / "thorough", arguments.modules, THOROUGH)
        thorough.run(left, arguments.children)
        # What the thorough tests do not run has been run by the quick ones.
        again = thorough.results()
        results |= {name: again[name] for name in left if again[name] != "no tests"}
    _report(results, chosen, total)
    differences = {name: quick.difference(name) for name in results if results[name] != "killed"}
    (build / "results.json").write_text(
        json.dumps({"results": results, "differences": differences}, indent=1)
    )
    for name, difference in differences.items():
        print(f"\n{name}: {results[name]}\n{difference}")
    killed = sum(status == "killed" for status in results.values())
    return 0 if killed >= arguments.share * len(results) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", default=[*MODULES], help="modules of lamdb.storage")
    parser.add_argument("--sample", type=int, help="try so many mutants of each module, chosen at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--children", type=int, default=2, help="mutants that are tried at a time")
    parser.add_argument("--quick", action="store_true", help="leave out the thorough tests")
    parser.add_argument("--share", type=float, default=0.85, help="fail if less than this share is killed")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build/mutation")
    return parser.parse_args()


def _sample(tree: Tree, module: str, arguments: argparse.Namespace) -> list[str]:
    names = tree.names(module)
    if arguments.sample is None or arguments.sample >= len(names):
        return names
    return random.Random(f"{arguments.seed} {module}").sample(names, arguments.sample)


def _report(results: dict[str, str], chosen: dict[str, str], total: dict[str, int]) -> None:
    print(f"\n| module | mutants | tried | {' | '.join(OUTCOMES)} | killed, % |")
    print(f"|---|{'---|' * (3 + len(OUTCOMES))}")
    sums: Counter[str] = Counter()
    for module, mutants in total.items():
        counts = Counter(status for name, status in results.items() if chosen[name] == module)
        sums += counts
        _print_row(module, mutants, counts)
    _print_row("all", sum(total.values()), sums)


def _print_row(module: str, mutants: int, counts: Counter[str]) -> None:
    share = 100 * counts["killed"] / max(1, counts.total())
    numbers = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
    print(f"| {module} | {mutants} | {counts.total()} | {numbers} | {share:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
