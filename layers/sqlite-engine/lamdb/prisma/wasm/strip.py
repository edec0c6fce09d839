"""`python -m lamdb.prisma.wasm.strip [DIR]`: takes out of compiled engines what only debuggers read.

That is a sixth of them: symbols, and the map from machine code to WebAssembly, which gives the frames of a
trap's backtrace their addresses. Their names stay. A part of the image's build; it needs objcopy of binutils.
"""

import argparse
import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lamdb.errors import EngineError
from lamdb.prisma.wasm.artifacts import ENGINES_DIR, MANIFEST, Artifact, read_manifest
from lamdb.prisma.wasm.build import write_atomically

_OBJCOPY: Final = ("objcopy", "--strip-all", "--remove-section=.wasmtime.addrmap")


def strip(directory: Path = ENGINES_DIR) -> None:
    """Strips every engine of a directory. Raises EngineError if objcopy is missing or fails."""
    manifest = read_manifest(directory)
    stripped = {name: _stripped(name, each, directory) for name, each in manifest.artifacts.items()}
    made = dataclasses.replace(manifest, artifacts=stripped)
    write_atomically(directory / MANIFEST, made.to_json().encode())
    for name, artifact in manifest.artifacts.items():
        if stripped[name].file != artifact.file:
            (directory / artifact.file).unlink()


def _stripped(name: str, artifact: Artifact, directory: Path) -> Artifact:
    path = directory / f"{name}.stripped"
    try:
        command = [*_OBJCOPY, str(directory / artifact.file), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"objcopy failed: {done.stderr.strip()}", hint="Use unstripped engines.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise EngineError("objcopy is not installed", hint="Install binutils.") from None
    finally:
        path.unlink(missing_ok=True)
    digest = hashlib.sha256(content).hexdigest()
    file = f"{name}-{digest[:12]}.cwasm"
    write_atomically(directory / file, content)
    return dataclasses.replace(artifact, file=file, size=len(content), sha256=digest)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lamdb.prisma.wasm.strip", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=ENGINES_DIR)
    options = parser.parse_args(arguments)
    try:
        strip(options.directory)
    except EngineError as error:
        print(f"error: {error.message}\n{error.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
