"""`python -m lamdb.cluster.runtime.precompile FILE [--commands]`: compiles the methods of dataclasses.

`dataclasses` writes these methods as source when a class is made, and compiles them: half a millisecond for
each of a hundred classes. Builds make the file, for functions or for commands; `starting` reads it. It holds
code by source, so that code of a class that has changed is never used.
"""

import argparse
import dataclasses
import marshal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType
from typing import Any, Final

_FUNCTIONS: Final = (
    "lamdb.cluster.reader",
    "lamdb.cluster.writer",
    "lamdb.cluster.proxy",
    "lamdb.cluster.publisher",
)
_COMMANDS: Final = (
    "lamdb.cli.main",
    "lamdb.cli.serve",
    "lamdb.cli.query",
    "lamdb.cli.status",
    "lamdb.cli.sql",
    "lamdb.cli.backup",
    "lamdb.cli.importing",
    "lamdb.cli.migrate",
    "lamdb.cli.records",
)


def recorded(modules: Sequence[str] = _FUNCTIONS) -> dict[str, CodeType]:
    """Loads modules, unless they are loaded; the code of their dataclasses by its source.

    Modules that need what is not installed here are left out, with a line on stderr.
    """
    codes: dict[str, CodeType] = {}

    def execute(source: Any, *namespaces: Any) -> None:
        codes[source] = compile(source, "<dataclass>", "exec")
        exec(codes[source], *namespaces)

    dataclasses.exec = execute  # type: ignore[attr-defined]
    try:
        for name in modules:
            try:
                import_module(name)
            except ImportError as error:
                print(f"{name} is not precompiled: {error}", file=sys.stderr)
    finally:
        del dataclasses.exec  # type: ignore[attr-defined]
    return codes


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lamdb.cluster.runtime.precompile", description=__doc__)
    parser.add_argument("file", help="the file to write")
    parser.add_argument("--commands", action="store_true", help="those of commands, not of functions")
    options = parser.parse_args(arguments)
    # Each on its own, since a process needs some of them only.
    made = recorded(_COMMANDS if options.commands else _FUNCTIONS)
    codes = {source: marshal.dumps(code) for source, code in made.items()}
    Path(options.file).write_bytes(MAGIC_NUMBER + marshal.dumps(codes))


if __name__ == "__main__":
    main()
