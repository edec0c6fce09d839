"""The clients of SQL over HTTP as their users install them: where they are, and how they are run."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"
DATABASE = CLIENTS / "database"
PACKAGES = CLIENTS / "node_modules"
PYTHON = ROOT / ".venv-clients/bin/python"
ADAPTER = ROOT / "packages/prisma-adapter"

needs_node = pytest.mark.skipif(
    not (PACKAGES / "prisma").is_dir(), reason="run `make e2e` to install the clients of SQL over HTTP"
)
needs_python = pytest.mark.skipif(
    not PYTHON.is_file(), reason="run `make e2e` to install the clients of SQL over HTTP"
)


def workplace(directory: Path) -> Path:
    """A directory in which Node finds the installed packages, and lamDB's adapter as it is published."""
    modules = directory / "node_modules"
    modules.mkdir()
    for package in PACKAGES.iterdir():
        if package.name.startswith("@lamdb") or package.name == ".cache":
            continue
        (modules / package.name).symlink_to(package)
    installed = modules / "@lamdb/prisma-adapter"
    installed.mkdir(parents=True)
    published = json.loads((ADAPTER / "package.json").read_text())["files"]
    for name in ["package.json", *published]:
        source = ADAPTER / name
        if source.is_dir():
            shutil.copytree(source, installed / name)
        else:
            shutil.copy(source, installed / name)
    return directory


def output_of(command: list[str], directory: Path, *, seconds: float = 120, **environment: str) -> str:
    """Returns what a command prints, which must succeed."""
    # Prisma's command line looks for an engine it does not need to generate a client.
    environ = {**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true", "NO_COLOR": "1", **environment}
    if command[0] == "npx":
        command = [str(PACKAGES / ".bin" / command[1]), *command[2:]]
    done = subprocess.run(
        command, cwd=directory, env=environ, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def failures(printed: str) -> dict[str, Any]:
    """Returns the errors by the names of checks, of which there must be some, in what a client printed."""
    found = json.loads(printed.splitlines()[-1])
    assert len(found) >= 3, found
    return {name: error for name, error in found.items() if error is not None}
