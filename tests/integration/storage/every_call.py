"""Runs something on copies of one store, once for each call of the store, with that call failing."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.faulty_store import Crash, FaultyStore

from lamdb.errors import StoreUnavailable
from lamdb.storage import Database, ObjectStore
from lamdb.storage.stores.obstores import memory_store

from .states import Dump, state_of

FAULTS = ("before", "after", "crash before", "crash after", "outage before", "outage after")
"""The faults of `FaultyStore.fail` for one call; and an outage: all calls from there on fail."""

CHUNKS = 4
"""The calls are dealt out to so many tests, which may run side by side."""

every_fault = pytest.mark.parametrize("fault", FAULTS)
every_chunk = pytest.mark.parametrize("chunk", range(CHUNKS))

type Contents = Mapping[str, bytes]


def contents(store: ObjectStore) -> dict[str, bytes]:
    return {entry.key: store.get(entry.key) or b"" for entry in store.list()}


def store_of(objects: Contents) -> ObjectStore:
    """A store in memory that holds `objects`."""
    store = memory_store()
    for key, body in objects.items():
        assert store.put_new(key, body, timestamp_ms=0)
    return store


@dataclass
class Run:
    """One run on `store`, whose calls reach `inner`."""

    inner: ObjectStore
    store: FaultyStore
    other: ObjectStore = field(default_factory=memory_store)
    """A place for what comes out of it; its calls do not fail."""
    folder: Path = Path()
    """A place of its own on disk, if it takes one."""
    acknowledged: list[object] = field(default_factory=list)
    """The steps that were acknowledged to the run."""
    attempted: list[object] = field(default_factory=list)
    """The steps that it began; the last may be done without an acknowledgement."""
    finished: bool = False

    def do[T](self, name: object, work: Callable[[], T]) -> T:
        """`work` is a step that is done when it returns."""
        self.attempted.append(name)
        result = work()
        self.acknowledged.append(name)
        return result

    @contextmanager
    def opened(self, *, create: bool = False, **options: Any) -> Iterator[Database]:
        with Database(self.store, create=create, **options) as database:
            yield database

    @contextmanager
    def recovering(self, check: Callable[[], bool]) -> Iterator[None]:
        """If the block fails because of the store, `check` must hold as soon as the store is well again."""
        try:
            yield
        except StoreUnavailable:
            self.store.heal()
            assert check()
            raise

    @contextmanager
    def until_it_fails(self) -> Iterator[None]:
        """The block ends with the failed call, if there is one; `finished` tells."""
        try:
            yield
            self.finished = True
        except (StoreUnavailable, Crash):
            assert self.store.fired


def every_call(
    prepared: Contents, fault: str, act: Callable[[Run], None], *, chunk: int = 0, chunks: int = CHUNKS
) -> Iterator[Run]:
    """Runs `act`, failing another call each time, until a run is over before its turn comes; each run.

    The fault is healed when a run is yielded. With `chunk`, every so-many-th call, from that on.
    """
    healthy = _run(prepared, act, "before", skip=10**9)
    calls = healthy.store.calls
    assert healthy.finished
    assert calls >= chunks, "there is nothing to fail"
    for nth in itertools.count(chunk, chunks):
        run = _run(prepared, act, fault, skip=nth)
        fired = run.store.fired
        run.store.heal()
        yield run
        if not fired:
            assert run.finished
            # As threads happen to run, reading ahead may make a call less.
            if nth >= calls:
                return


def _run(prepared: Contents, act: Callable[[Run], None], fault: str, *, skip: int) -> Run:
    inner = store_of(prepared)
    run = Run(inner, FaultyStore(inner))
    run.store.fail("*", fault.removeprefix("outage "), skip=skip, times=10**6 if "outage" in fault else 1)
    with run.until_it_fails():
        act(run)
    return run


def holds(store: ObjectStore, *states: Dump) -> int:
    """Opens the store, which must hold one of `states`, and go on from there; which one."""
    with Database(store, create=False) as database:
        with database.reader() as connection:
            assert connection.execute("PRAGMA integrity_check").get == "ok"
        found = state_of(database)
        assert found in states
        with database.writer() as connection:
            connection.execute("CREATE TABLE going_on(a)")
        assert state_of(database) != found
    return states.index(found)
