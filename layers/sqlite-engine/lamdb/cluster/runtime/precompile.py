"""`python -m lamdb.cluster.runtime.precompile FILE`: compiles the methods of functions' dataclasses.

`dataclasses` writes these methods as source when a class is made, and compiles them: half a millisecond for
each of a hundred classes. A part of the layer's build; `starting` reads the file. It holds code by source, so
that code of a class that has changed is never used.
"""

import dataclasses
import marshal
import sys
from importlib import import_module
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType
from typing import Any, Final

_MODULES: Final = (
    "lamdb.cluster.reader",
    "lamdb.cluster.writer",
    "lamdb.cluster.proxy",
    "lamdb.cluster.publisher",
)


def recorded() -> dict[str, CodeType]:
    """Loads the functions' modules, unless they are loaded; the code of their dataclasses by its source.

    Modules that need what is not installed here are left out, with a line on stderr.
    """
    codes: dict[str, CodeType] = {}

    def execute(source: Any, *namespaces: Any) -> None:
        codes[source] = compile(source, "<dataclass>", "exec")
        exec(codes[source], *namespaces)

    dataclasses.exec = execute  # type: ignore[attr-defined]
    try:
        for name in _MODULES:
            try:
                import_module(name)
            except ImportError as error:
                print(f"{name} is not precompiled: {error}", file=sys.stderr)
    finally:
        del dataclasses.exec  # type: ignore[attr-defined]
    return codes


def main(arguments: list[str] | None = None) -> None:
    (target,) = sys.argv[1:] if arguments is None else arguments
    # Each on its own, since a function needs some of them only.
    codes = {source: marshal.dumps(code) for source, code in recorded().items()}
    Path(target).write_bytes(MAGIC_NUMBER + marshal.dumps(codes))


if __name__ == "__main__":
    main()
