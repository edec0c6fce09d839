"""Lists the test files that use a module: `python -m tests.which storage/maintenance/compaction.py`.

Files that import the module come first, then those that import it through a helper of the tests. With
`--distance 2` also those that import a module which imports it, and so on for larger numbers.
"""

import argparse
import ast
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PACKAGE = ROOT / "layers/sqlite-engine/lamdb"


def module_name(text: str) -> str:
    """`lamdb.storage.ltx.files` of a path or a dotted name, with or without `lamdb`."""
    parts = text.removesuffix(".py").replace("/", ".").split(".")
    if "lamdb" in parts:
        parts = parts[len(parts) - parts[::-1].index("lamdb") :]
    return ".".join(["lamdb", *parts]).removesuffix(".__init__")


@cache
def imports_of(path: Path) -> set[str]:
    """The modules and names that a test file imports, relative imports resolved."""
    package = list(path.relative_to(ROOT).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            found |= {stem, *(f"{stem}.{alias.name}" for alias in node.names)}
    return found


def users_of(module: str) -> tuple[list[str], list[str]]:
    """The test files that import the module, and those that import it through a helper."""
    files = _files()
    imports = {path: imports_of(path) for path in files}
    direct = {path for path in files if module in imports[path]}
    reached = set(direct)
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files}
    while True:
        helpers = {name for name, path in names.items() if path in reached}
        more = {path for path in files if imports[path] & helpers} - reached
        if not more:
            break
        reached |= more

    return _tests(direct), _tests(reached - direct)


def _tests(paths: Iterable[Path]) -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for p in paths if p.name.startswith("test_"))


@cache
def _files() -> tuple[Path, ...]:
    return tuple(p for p in sorted(TESTS.rglob("*.py")) if "node_modules" not in p.parts)


@cache
def _modules() -> dict[str, Path]:
    """The modules of lamdb by name."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def importers_of(module: str) -> set[str]:
    """The modules of lamdb that import the module, also inside functions."""
    return {name for name, path in _modules().items() if module in imports_of(path) and name != module}


def distant_users_of(module: str, distance: int) -> dict[int, list[str]]:
    """The test files by the number of imports from them to the module, from 2 to `distance`."""
    known, layer = {module}, {module}
    seen = {name for names in users_of(module) for name in names}
    found: dict[int, list[str]] = {}
    for step in range(2, distance + 1):
        layer = {name for each in layer for name in importers_of(each)} - known
        known |= layer
        tests = set(_tests(path for path in _files() if imports_of(path) & layer)) - seen
        seen |= tests
        found[step] = sorted(tests)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.which", description=__doc__)
    parser.add_argument("module", help="a path or a dotted name")
    parser.add_argument("--distance", type=int, default=1, help="imports from a test to the module, at most")
    options = parser.parse_args()
    module = module_name(options.module)
    path = PACKAGE.joinpath(*module.split(".")[1:])
    if not path.is_dir() and not path.with_suffix(".py").is_file():
        print(f"there is no module {module}", file=sys.stderr)
        return 1
    direct, through = users_of(module)
    print("\n".join([f"{module} is imported by:", *(f"  {name}" for name in direct or ["no test"])]))
    if through:
        print("\n".join(["and through helpers by:", *(f"  {name}" for name in through)]))
    for step, names in distant_users_of(module, options.distance).items():
        print(
            "\n".join([f"and {step} imports away by:", *(f"  {name}" for name in names or ["no other test"])])
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
