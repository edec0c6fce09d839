"""Stores of every kind, empty, and reopened at will."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lamdb.storage import ObjectStore, connections, open_store, written
from lamdb.storage.stores.obstores import memory_store

type StoreMaker = Callable[[], ObjectStore]


@pytest.fixture(params=["memory", "directory", "s3"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> StoreMaker:
    """Makes a client of one and the same place each time it is called."""
    if request.param == "memory":
        store = memory_store()
        return lambda: store
    if request.param == "directory":
        return lambda: open_store((tmp_path / "a store").as_uri())
    url = request.getfixturevalue("s3").url
    return lambda: open_store(url)


@pytest.fixture
def store(make_store: StoreMaker) -> ObjectStore:
    return make_store()


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps all but the smallest transactions, and every journal, in temporary files."""
    monkeypatch.setattr(written, "IN_MEMORY", 4096)
    monkeypatch.setattr(connections, "_JOURNAL_IN_MEMORY", -1)
