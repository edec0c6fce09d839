"""Faster loading of the modules of functions and commands. It imports nothing slow: all else comes after it.

Builds leave files beside this module, each of which may be missing:

- `dataclasses.bin` in the layer, `commands.bin` in the wheel, the image and a checkout: the compiled methods
  of dataclasses (`precompile`), which Python compiles at each start;
- `architecture` in the layer: the processor that it is built for.
"""

import dataclasses
import gc
import marshal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any, Final

COMPILED: Final = Path(__file__).with_name("dataclasses.bin")
COMMANDS: Final = Path(__file__).with_name("commands.bin")
ARCHITECTURE: Final = Path(__file__).with_name("architecture")

_USUAL: Final = gc.get_threshold()
_RARELY: Final = 300_000
"""New objects before the garbage collector looks for cycles. Loading all of lamDB makes fewer."""
_MACHINES: Final = {"aarch64": "arm64", "amd64": "x86_64"}
"""Lambda's names for processors, where those of the system are others."""


@contextmanager
def quickly(compiled: Path = COMPILED, architecture: Path = ARCHITECTURE) -> Iterator[None]:
    """Loads modules without the garbage collector, and dataclasses without the compiler.

    Modules stay for as long as the process: to look for garbage among them takes an eighth of a start.
    Raises `ImportError` with both processors if the layer is built for another one.
    """
    gc.disable()
    codes = _load(compiled)
    if codes:
        _serve(codes)
    try:
        yield
    except ImportError as error:
        if (built := _built_for(architecture)) and built != (here := _machine()):
            raise ImportError(
                f"The layer is built for {built}, and this function runs on {here}: deploy with "
                f"Architecture={built}, or build the layer on {here}."
            ) from error
        raise
    finally:
        if codes:
            del dataclasses.exec  # type: ignore[attr-defined]
        gc.freeze()
        gc.enable()


def begin_command(compiled: Path = COMMANDS) -> None:
    """Lets a command load modules with hardly any garbage collection, and dataclasses without the compiler.

    It applies until the process ends, or until `end_start`.
    """
    gc.set_threshold(_RARELY, *_USUAL[1:])
    codes = _load(compiled)
    if codes:
        _serve(codes)


def end_start() -> None:
    """Returns to usual after `begin_command`: a server is ready, and goes on."""
    vars(dataclasses).pop("exec", None)
    gc.freeze()
    gc.set_threshold(*_USUAL)


def _load(path: Path) -> dict[str, bytes]:
    """Marshalled code by its source; nothing where it is missing, or of another version of Python."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    if not content.startswith(MAGIC_NUMBER):
        return {}
    codes: dict[str, bytes] = marshal.loads(content[len(MAGIC_NUMBER) :])
    return codes


def _serve(codes: dict[str, bytes]) -> None:
    """Lets `dataclasses` execute what is compiled already. Its other sources are compiled as always."""

    def execute(source: Any, *namespaces: Any) -> None:
        code = codes.get(source)
        exec(source if code is None else marshal.loads(code), *namespaces)

    dataclasses.exec = execute  # type: ignore[attr-defined]


def _built_for(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _machine() -> str:
    import platform

    machine = platform.machine().lower()
    return _MACHINES.get(machine, machine)
