"""A Docker engine and base images, for as long as the tests run."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

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
