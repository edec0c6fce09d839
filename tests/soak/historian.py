"""A process that looks at past states: `python -m tests.soak.historian URL NAME LOG KEEP SCRATCH FIRST`.

It reads them as of a TXID and as of a moment, restores them to files and to new stores, lists the restore
points and verifies, all from transaction FIRST on. What is younger than half of KEEP seconds must be there,
however much is compacted and pruned meanwhile.
"""

import shutil
import sys
import time
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import apsw

from lamdb.errors import NotRestorable, StorageError
from lamdb.storage import Database
from lamdb.storage.backup.restore import restore_file, restore_store
from lamdb.storage.backup.verification import verify
from lamdb.storage.ltx.restorepoints import find_backups
from lamdb.storage.stores.localstore import LocalStore

from . import model
from .history import Log
from .process import Stop, opened, repeating, run_all

_FURTHEST = 400
"""How many transactions back it looks."""


class Historian:
    def __init__(self, url: str, name: str, log: Log, keep: float, scratch: Path, first: int) -> None:
        self._client = f"{name}.p0"
        self._log = log
        self._kept = keep / 2
        self._scratch = scratch
        self._first = first
        now = time.monotonic()
        self._database = opened(url, stale_after=1.0)
        self._heads = [(self._database.txid, now)]
        """The newest transaction, and a time at which nothing newer was there."""

    def run(self) -> None:
        run_all([repeating(Stop(), self._client, self._step)])

    def _step(self, source: Random) -> None:
        looks = (
            [self._as_of] * 8 + [self._at] * 4 + [self._file] * 2 + [self._store, self._points, self._verify]
        )
        try:
            now = time.monotonic()
            self._heads.append((self._database.refresh(), now))
            source.choice(looks)(source)
        except StorageError as error:
            if not error.retryable:
                raise
        time.sleep(source.uniform(0, 0.05))

    def _as_of(self, source: Random) -> None:
        txid, invoked = self._some_txid(source), time.monotonic()
        try:
            with self._database.as_of(txid=txid) as connection:
                seen, wrong = model.look(connection, txid, thoroughly=source.random() < 0.1)
        except NotRestorable as error:
            self._missing("as_of", txid, invoked, error)
        else:
            self._log.past(self._client, invoked, "as_of", seen, txid, wrong=wrong)

    def _at(self, source: Random) -> None:
        """A moment for which every transaction is kept."""
        age = source.uniform(0, min(self._kept, time.monotonic() - self._heads[0][1]))
        now, invoked = datetime.now(UTC), time.monotonic()
        lease = self._database.as_of(time=now - timedelta(seconds=age))
        with lease as connection:
            seen, wrong = model.look(connection, lease.txid)
        moment = invoked - age
        self._log.past(self._client, invoked, "time", seen, lease.txid, moment=moment, wrong=wrong)

    def _file(self, source: Random) -> None:
        txid, invoked = self._some_txid(source), time.monotonic()
        target = self._scratch / f"{self._client}.db"
        try:
            restore_file(self._database.pages.replica, txid, target, overwrite=True)
        except NotRestorable as error:
            self._missing("file", txid, invoked, error)
            return
        connection = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
        seen, wrong = model.look(connection, txid, thoroughly=True)
        connection.close()
        self._log.past(self._client, invoked, "file", seen, txid, wrong=wrong)

    def _store(self, source: Random) -> None:
        txid, invoked = self._some_txid(source), time.monotonic()
        folder = self._scratch / f"{self._client}.store"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            restore_store(self._database.pages.replica, txid, LocalStore(folder), self._scratch)
        except NotRestorable as error:
            self._missing("store", txid, invoked, error)
            return
        with Database(LocalStore(folder), create=False) as database, database.reader() as connection:
            seen, wrong = model.look(connection, txid, thoroughly=True)
            found = database.txid
        self._log.past(self._client, invoked, "store", seen, found, wrong=wrong)

    def _points(self, source: Random) -> None:
        """Restore points in order, without a gap among the youngest; one of them is read."""
        invoked, head = time.monotonic(), self._database.txid
        first = max(self._first, self._youngest_that_may_be_gone(invoked) + 1)
        points = find_backups(self._database.pages.replica, limit=100).points
        listed = [point.txid for point in points]
        wrong = []
        if listed[0] < head:
            wrong.append(f"the newest is {listed[0]}, and there is {head}")
        if missing := set(range(max(first, listed[-1]), head + 1)) - set(listed):
            wrong.append(f"missing: {sorted(missing)}")
        if any(a.txid <= b.txid or a.timestamp_ms < b.timestamp_ms for a, b in pairwise(points)):
            wrong.append("they are not in order")
        if wrong:
            self._log.past(self._client, invoked, "points", 0, head, wrong="; ".join(wrong))
            return
        txid = source.choice([txid for txid in listed if txid >= first] or listed[:1])
        with self._database.as_of(txid=txid) as connection:
            seen, damage = model.look(connection, txid)
        self._log.past(self._client, invoked, "points", seen, txid, wrong=damage)

    def _verify(self, source: Random) -> None:
        invoked = time.monotonic()
        found = verify(self._database.pages, self._scratch)
        if not found.ok:
            self._log.past(self._client, invoked, "verify", 0, found.txid, wrong="; ".join(found.faults))

    def _some_txid(self, source: Random) -> int:
        head = self._database.txid
        return source.randint(max(self._first, head - _FURTHEST), head)

    def _missing(self, how: str, txid: int, invoked: float, error: NotRestorable) -> None:
        if txid > self._youngest_that_may_be_gone(invoked):
            self._log.past(self._client, invoked, how, 0, txid, wrong=f"it must still be kept: {error}")

    def _youngest_that_may_be_gone(self, now: float) -> int:
        """The newest transaction that may be older than half of what is kept."""
        position = bisect_left(self._heads, now - self._kept, key=lambda pair: pair[1])
        return self._heads[min(position, len(self._heads) - 1)][0]


if __name__ == "__main__":
    url, name, log, keep, scratch, first = sys.argv[1:]
    Historian(url, name, Log(Path(log)), float(keep), Path(scratch), int(first)).run()
