"""Compiles Prisma's engines: `python -m lamdb.prisma.wasm.build NODE_MODULES_DIR [--target TRIPLE]`.

Reads three npm packages (pinned to one build) and the recorder's two text modules, writes `engines/*.cwasm`
and the manifest that the loaders check. Does nothing if that is all in place. No Node is needed, here or at
run time.
"""

import argparse
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import wasmtime

from lamdb.errors import EngineError
from lamdb.prisma.wasm import artifacts, glue
from lamdb.prisma.wasm.artifacts import (
    ENGINES_DIR,
    MANIFEST,
    MANIFEST_FORMAT,
    PRISMA_BUILD,
    Artifact,
    Manifest,
)

INSTALL_HINT = "Run `npm ci` in layers/sqlite-engine, then `make build`."
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Package:
    """An engine in an npm package: its WebAssembly and its JavaScript glue, relative to the package."""

    name: str
    package: str
    wasm: str
    javascript: str


PACKAGES = (
    Package(
        "query_compiler",
        "@prisma/query-compiler-wasm",
        "sqlite/query_compiler_fast_bg.wasm",
        "sqlite/query_compiler_fast_bg.js",
    ),
    Package(
        "schema_tools",
        "@prisma/prisma-schema-wasm",
        "src/prisma_schema_build_bg.wasm",
        "src/prisma_schema_build.js",
    ),
    Package(
        "schema_engine",
        "@prisma/schema-engine-wasm",
        "schema_engine_bg.wasm",
        "schema_engine_bg.js",
    ),
)
TEXT_MODULES = ("recorder", "recorder_bridge")


def default_target() -> str:
    """This architecture and system with the baseline instruction set: any such machine can load it."""
    arch = artifacts.machine_arch()
    return f"{arch}-apple-darwin" if sys.platform == "darwin" else f"{arch}-unknown-linux-gnu"


def check_target(target: str) -> None:
    """wasmtime aborts the process if it does not know the architecture to compile for: refuse first."""
    if target.split("-")[0] != artifacts.machine_arch():
        raise EngineError(
            f"cannot compile for {target} on {artifacts.machine_arch()}",
            hint="Run the build on a machine, or in a container, of that architecture.",
        )


def check_versions(node_modules: Path) -> None:
    """Raises EngineError unless every package is installed in the pinned build."""
    for package in PACKAGES:
        path = node_modules / package.package / "package.json"
        try:
            version = json.loads(path.read_text())["version"]
        except FileNotFoundError:
            raise EngineError(f"{package.package} is not in {node_modules}", hint=INSTALL_HINT) from None
        if version != PRISMA_BUILD:
            raise EngineError(
                f"{package.package} is of build {version}, lamDB needs {PRISMA_BUILD}", hint=INSTALL_HINT
            )


def tool_digest() -> str:
    """A digest of the code that decides what is built: a change of it makes what was built stale."""
    digest = hashlib.sha256()
    for name in ("artifacts.py", "build.py", "glue.py"):
        digest.update((_HERE / name).read_bytes())
    return digest.hexdigest()


def sources(node_modules: Path) -> dict[str, tuple[Path, ...]]:
    """The files each compiled module is made from."""
    packaged = {
        package.name: (
            node_modules / package.package / package.wasm,
            node_modules / package.package / package.javascript,
        )
        for package in PACKAGES
    }
    return packaged | {name: (_HERE / f"{name}.wat",) for name in TEXT_MODULES}


def digest_of(paths: Sequence[Path]) -> str:
    return hashlib.sha256("".join(artifacts.sha256_of(path) for path in paths).encode()).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, and a crash leaves one of them."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def is_up_to_date(directory: Path, wanted: dict[str, str], target: str) -> bool:
    """True if `directory` was made by this tool from these sources (name to digest) for `target`."""
    try:
        manifest = artifacts.read_manifest(directory)
    except EngineError:
        return False
    made = {name: artifact.source_sha256 for name, artifact in manifest.artifacts.items()}
    if artifacts.stale_reason(manifest) or manifest.target != target or manifest.tool != tool_digest():
        return False
    return made == wanted and all(
        (directory / artifact.file).is_file()
        and artifacts.sha256_of(directory / artifact.file) == artifact.sha256
        for artifact in manifest.artifacts.values()
    )


def compile_one(engine: wasmtime.Engine, name: str, paths: Sequence[Path], directory: Path) -> Artifact:
    """Compile one module and write it. Raises EngineError if it imports what no host function serves."""
    source = (
        paths[0].read_bytes()
        if paths[0].suffix == ".wasm"
        else bytes(wasmtime.wat2wasm(paths[0].read_text()))
    )
    module = wasmtime.Module(engine, source)
    imports = glue.bind_imports(module, paths[1].read_text()) if len(paths) > 1 else {}
    compiled = bytes(module.serialize())
    digest = hashlib.sha256(compiled).hexdigest()
    # The name changes with the content: a process that has read the old manifest still finds the old file.
    path = directory / f"{name}-{digest[:12]}.cwasm"
    write_atomically(path, compiled)
    return Artifact(
        file=path.name,
        size=len(compiled),
        sha256=digest,
        source_sha256=digest_of(paths),
        imports=imports,
        aliases=glue.alias_exports(module),
    )


def build(node_modules: Path, *, target: str | None = None, directory: Path = ENGINES_DIR) -> bool:
    """Bring `directory` up to date; whether anything had to be compiled. Raises EngineError."""
    target = target or default_target()
    check_target(target)
    check_versions(node_modules)
    inputs = sources(node_modules)
    if is_up_to_date(directory, {name: digest_of(paths) for name, paths in inputs.items()}, target):
        return False
    directory.mkdir(parents=True, exist_ok=True)
    engine = wasmtime.Engine(artifacts.engine_config(target))
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        wasmtime=artifacts.wasmtime_version(),
        target=target,
        prisma=PRISMA_BUILD,
        tool=tool_digest(),
        artifacts={name: compile_one(engine, name, paths, directory) for name, paths in inputs.items()},
    )
    # It vouches for the others, so it is the last to come; what it no longer names may then go.
    write_atomically(directory / MANIFEST, manifest.to_json().encode())
    named = {artifact.file for artifact in manifest.artifacts.values()}
    for path in directory.glob("*.cwasm"):
        if path.name not in named:
            path.unlink()
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lamdb.prisma.wasm.build", description=__doc__)
    parser.add_argument("node_modules", type=Path, help="where `npm ci` put the packages")
    parser.add_argument("--target", help=f"the target triple (default: {default_target()})")
    parser.add_argument("--output", type=Path, default=ENGINES_DIR, help="where the compiled engines go")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        compiled = build(options.node_modules, target=options.target, directory=options.output)
    except EngineError as error:
        print(f"error: {error.message}\n{error.hint}", file=sys.stderr)
        return 1
    if compiled:
        print(f"Compiled Prisma's engines in {time.perf_counter() - started:.1f} s.")
    else:
        print("Prisma's engines are up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
