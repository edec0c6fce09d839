"""The result of `sam build` in a clean checkout, once per process: for all tests that look at it or run
it."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam/bin/sam"

NEEDS_SAM = pytest.mark.skipif(not SAM.exists(), reason="SAM is not installed: `make sam` does it")
NEEDS_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what is built can only be tried on Linux")


_built: list[Path] = []


def sam_build(factory: pytest.TempPathFactory) -> Path:
    """The directory that `sam build` fills, in a checkout with nothing that was built before."""
    if not _built:
        _built.append(_build(factory.mktemp("checkout")))
    return _built[0]


def _build(checkout: Path) -> Path:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
    python = Path(sys.executable).parent
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "PATH": f"{python}:{os.environ['PATH']}"}
    architecture = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    done = subprocess.run(
        [SAM, "build", "--no-cached", "--parameter-overrides", f"Architecture={architecture}"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / ".aws-sam/build"
