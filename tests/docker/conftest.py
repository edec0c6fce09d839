"""A Docker engine and base images, for as long as the tests run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.support.sam_build import ROOT

from . import standin
from .engine import Engine, NoEngine
from .engine import engine as started


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(started())
        except NoEngine as reason:
            message = f"NOT TESTED: what runs in containers. {reason}"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        yield found
        if not found.private:
            found.remove_images("lamdb-tests/*")


@pytest.fixture(scope="session")
def lambda_image(engine: Engine) -> str:
    return standin.lambda_image(engine)


@pytest.fixture(scope="session")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image that the Dockerfile builds, on base images of this machine."""
    wheels = tmp_path_factory.mktemp("wheels")
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run(
        [*fetch, "--only-binary=:all:", "--requirement", ROOT / "requirements-server.txt", "--dest", wheels],
        check=True,
    )
    bases = {
        "NODE_IMAGE": standin.node_image(engine),
        "PYTHON_BUILD_IMAGE": standin.python_build_image(engine, wheels),
        "PYTHON_IMAGE": standin.python_image(engine),
        "OPERATOR": "no",
    }
    arguments = [part for name, text in bases.items() for part in ("--build-arg", f"{name}={text}")]
    tag = "lamdb-tests/lamdb:local"
    engine.run("build", "--quiet", "--network", "host", "--tag", tag, *arguments, ".", cwd=ROOT)
    return tag
