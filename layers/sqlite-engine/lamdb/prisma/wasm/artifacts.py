"""The compiled engines on disk: their files, the manifest, and its verification.

`python -m lamdb.prisma.wasm.build` writes `engines/*.cwasm` and `engines/manifest.json`. The loaders read
them through this module, which refuses what another wasmtime, processor or Prisma build made.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import wasmtime

from lamdb.errors import EngineError

PRISMA_BUILD = "7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3"
"""The one build of all three npm packages (the same string is in `package.json`)."""

ENGINES_DIR = Path(__file__).parents[1] / "engines"
MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled module.

    `imports` maps each import of the module to the host function that serves it, `aliases` a stable name to
    an export.
    """

    file: str
    size: int
    sha256: str
    source_sha256: str
    imports: Mapping[str, str]
    aliases: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of `engines/manifest.json`; `tool` is a digest of the code that makes the engines."""

    format: int
    wasmtime: str
    target: str
    prisma: str
    tool: str
    artifacts: Mapping[str, Artifact]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Raises KeyError, TypeError or ValueError if the text is not a manifest."""
        raw: dict[str, Any] = json.loads(text)
        artifacts = {name: Artifact(**fields) for name, fields in raw.pop("artifacts").items()}
        return cls(artifacts=artifacts, **raw)


def engine_config(target: str | None = None) -> wasmtime.Config:
    """One configuration for compiling and for loading: wasmtime refuses what was compiled with another."""
    config = wasmtime.Config()
    if target is not None:
        config.target = target
    return config


def wasmtime_version() -> str:
    beside = list(Path(wasmtime.__file__).parents[1].glob("wasmtime-*.dist-info"))
    if len(beside) == 1:
        return beside[0].name.removeprefix("wasmtime-").removesuffix(".dist-info")
    # Loading it takes longer than all else here.
    from importlib.metadata import version

    return version("wasmtime")


def machine_arch() -> str:
    """This machine's architecture as target triples spell it: `x86_64` or `aarch64`."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stale_reason(manifest: Manifest) -> str | None:
    """Why this process cannot use what the manifest describes; None if it can."""
    if manifest.format != MANIFEST_FORMAT:
        return f"the manifest has format {manifest.format}, this lamDB reads {MANIFEST_FORMAT}"
    if manifest.prisma != PRISMA_BUILD:
        return f"they are of Prisma {manifest.prisma}, this lamDB needs {PRISMA_BUILD}"
    if manifest.wasmtime != wasmtime_version():
        return f"wasmtime {manifest.wasmtime} compiled them, wasmtime {wasmtime_version()} is installed"
    if manifest.target.split("-")[0] != machine_arch():
        return f"they are compiled for {manifest.target}, this machine is {machine_arch()}"
    return None


def read_manifest(directory: Path) -> Manifest:
    """Raises EngineError if the manifest is missing or malformed."""
    path = directory / MANIFEST
    try:
        return Manifest.from_json(path.read_text())
    except FileNotFoundError:
        raise EngineError(
            f"Prisma's engines are not built: there is no {path.name} in {path.parent}"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"{path} is not a manifest of Prisma's engines: {error}") from error


@cache
def trusted_manifest(directory: Path = ENGINES_DIR) -> Manifest:
    """The manifest, once it is known to fit this process. Raises EngineError."""
    manifest = read_manifest(directory)
    if reason := stale_reason(manifest):
        raise EngineError(f"Prisma's compiled engines are stale: {reason}")
    return manifest


def trusted_artifact(name: str, directory: Path = ENGINES_DIR) -> tuple[Path, Artifact]:
    """The path of a compiled module whose content is what the build wrote. Raises EngineError."""
    artifact = trusted_manifest(directory).artifacts.get(name)
    if artifact is None:
        raise EngineError(f"Prisma's compiled engines are stale: the manifest does not list {name}")
    path = directory / artifact.file
    if not path.is_file():
        raise EngineError(f"Prisma's compiled engines are incomplete: {path.name} is missing")
    if sha256_of(path) != artifact.sha256:
        raise EngineError(f"Prisma's compiled engines are damaged: {path.name} is not what the build wrote")
    return path, artifact
