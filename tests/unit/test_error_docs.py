"""docs/errors.md lists every code that lamDB can answer with, and says of each what the classes say."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from lamdb import errors
from lamdb.errors import LamdbError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sqlite-engine/lamdb"
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (\d{3}) \| (yes|no) \| \S.*\|$", re.MULTILINE)
DOCUMENTED = {
    code: (int(status), retry == "yes")
    for code, status, retry in ROW.findall((ROOT / "docs/errors.md").read_text())
}
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, LamdbError)]
# Codes as they look here: not those of JavaScript that a build step reads, nor an errno.
CODE = re.compile(r"P\d{4}|[A-Z]+(_[A-Z]+)*")


def codes_given_in(module: Path) -> set[str]:
    """The codes that a module gives to an error when it makes one."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                found.add(str(keyword.value.value))
    return found


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_every_class_is_documented(cls: type[LamdbError]) -> None:
    assert DOCUMENTED[cls.code] == (cls.status, cls.retryable)


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda m: str(m.relative_to(PACKAGE)))
def test_every_other_code_is_documented(module: Path) -> None:
    given = {code for code in codes_given_in(module) if CODE.fullmatch(code) and not code.startswith("ERR_")}
    assert given - DOCUMENTED.keys() == set()


def test_nothing_else_is_documented() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert [code for code in DOCUMENTED if f'"{code}"' not in source] == []
