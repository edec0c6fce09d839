"""Any input is answered with a code that names the fault: `tests.input_fuzz`, in short."""

import logging
from collections.abc import Iterator

import pytest

from ...input_fuzz import KINDS, faults

COUNT = {"api": 400, "http": 400, "event": 600}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("kind", KINDS)
def test_no_input_is_an_internal_error(kind: str) -> None:
    assert faults(kind, COUNT[kind], seed=2026) == []
