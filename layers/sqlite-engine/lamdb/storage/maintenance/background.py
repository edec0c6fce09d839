"""Background maintenance: small merges after commits, larger ones in slices, and pruning.

It does not need the writer's lock, because files never change and a merge has the same bytes in every
process. Any number of processes may maintain one store at the same time.
"""

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from lamdb.errors import Fenced, LamdbError, StoreUnavailable
from lamdb.storage.ltx.files import FileInfo, plan
from lamdb.storage.ltx.replica import FileGone
from lamdb.storage.ltx.restorepoints import RestorePoint, newest_snapshot
from lamdb.storage.ltx.retrying import retry_gone
from lamdb.storage.ltx.selfcheck import SelfCheck
from lamdb.storage.maintenance.compaction import (
    FAN_IN,
    FIRST_LEVEL,
    LAST_LEVEL,
    Compactor,
    Merge,
    MergeProgress,
    Work,
    perform,
    plan_merges,
    snapshot_of,
    span,
)
from lamdb.storage.maintenance.retention import RetentionPolicy, prune
from lamdb.storage.pagestore import PageStore

log = logging.getLogger("lamdb.maintenance")

_SMALL_MERGE: Final = 8 * 1024 * 1024
"""Bytes of input up to which a merge is made right after the commit that completed its window."""

_POLL: Final = 1.0
"""Seconds between looks at whether this process has completed a window."""


_FIRST_CHECK: Final = 600.0
"""Seconds after the start within which the first check of the files begins."""

_FIRST_RUN: Final = 10.0
"""Seconds after the start within which the first full run begins."""

_CHORES: Final = 5.0
"""Seconds between calls of chores that have nothing left to do."""

type Chore = Callable[[float], bool]
"""Works on the content of the database for up to this many seconds. Returns True if all is done."""


@dataclass(slots=True)
class MaintenanceReport:
    """The result of one run."""

    work: Work = field(default_factory=Work)
    pruned: list[FileInfo] = field(default_factory=list)


class Maintenance:
    """The upkeep of one store by one process. Thread-safe: runs take turns."""

    def __init__(self, pages: PageStore, policy: RetentionPolicy | None = None) -> None:
        """Raises `SettingsError` if `policy` is not safe for the writers of `pages`."""
        self.policy = policy or RetentionPolicy()
        self.policy.require_safe(pages.stale_after)
        self._pages = pages
        self._replica = pages.replica
        self._compactor = Compactor(pages.replica)
        self._merged_up_to = pages.head.txid // span(FIRST_LEVEL)
        self._turn = threading.Lock()
        self._check = SelfCheck(pages.replica)

    def merge_own_commits(self, budget: float = 2.0) -> int:
        """Merges the windows that this process's commits completed since the last call.

        Returns the number of merges. A merge takes one listing, parallel reads and one put. After 15 of 16
        commits there is none, and no request is made. No merge begins after `budget` seconds. Windows of
        large transactions, and merges that failed, are left to `run`. Raises `CorruptFile`,
        `StoreUnavailable`.
        """
        newest = self._pages.committed // span(FIRST_LEVEL)
        if newest <= self._merged_up_to:
            return 0
        deadline = time.monotonic() + budget
        merges = 0
        # Another process has replaced a file. A full run handles that.
        with self._turn, contextlib.suppress(FileGone):
            windows = range(max(self._merged_up_to, newest - span(FIRST_LEVEL)) + 1, newest + 1)
            self._merged_up_to = newest
            for window in windows:
                for merge in self._completed(window * span(FIRST_LEVEL)):
                    if time.monotonic() >= deadline:
                        return merges
                    for _ in perform(self._replica, merge):
                        pass
                    merges += 1
        return merges

    def run(
        self, budget: float | None = None, *, progress: MergeProgress | None = None, prune: bool = True
    ) -> MaintenanceReport:
        """Merges, and with `prune` deletes, until nothing is left to do, or for `budget` seconds.

        `progress` is called with the bytes that each step of a merge has written. Unfinished work
        (`work.finished` is false) continues with the next call. Raises `CorruptFile`, `StoreUnavailable`.
        """
        with self._turn:
            deadline = None if budget is None else time.monotonic() + budget
            report = MaintenanceReport(self._compactor.run(deadline, progress=progress))
            if report.work.finished and prune:
                report.pruned = self.prune(deadline=deadline)
                # Unfinished work continues with the next call.
                report.work.finished = deadline is None or time.monotonic() < deadline
            return report

    def snapshot(self) -> RestorePoint:
        """Makes the newest state in the store one file, in bounded memory; that state.

        Many small files are merged first, as `run` does. Raises `NotAStore` if there is no state,
        `CorruptFile`, `StoreUnavailable`.
        """

        def make() -> RestorePoint:
            merge = snapshot_of(self._replica.files())
            if merge is not None and len(merge.inputs) > FAN_IN:
                self._compactor.run()
                merge = snapshot_of(self._replica.files())
            if merge is not None:
                for _ in perform(self._replica, merge):
                    pass
            return newest_snapshot(self._replica)

        with self._turn:
            return retry_gone(make, lambda _: StoreUnavailable("the files of the newest state keep moving"))

    def plan(self, *, prune: bool = True) -> MaintenanceReport:
        """Returns what a run would begin with: the merges that are possible now, and the files to delete.

        Further merges may be possible after these. Raises `StoreUnavailable`.
        """
        merges = len(plan_merges(self._replica.files()))
        pruned = self.prune(dry_run=True) if prune else []
        return MaintenanceReport(Work(merges=merges, finished=not merges), pruned)

    def prune(self, *, deadline: float | None = None, dry_run: bool = False) -> list[FileInfo]:
        """Deletes what the policy does not keep, until `time.monotonic()` has reached `deadline`; what went.

        Raises `StoreUnavailable`.
        """
        now_ms = int(self._pages.clock.now().wall * 1000)
        stale_after = self._pages.stale_after
        return prune(
            self._replica, self.policy, now_ms, stale_after=stale_after, deadline=deadline, dry_run=dry_run
        )

    def check(self, budget: int) -> bool:
        """Reads some `budget` bytes of the store's files and checks them; whether that ends a pass over them.

        What it finds is logged, and is `PageStore.last_check`. Raises `StoreUnavailable`.
        """
        report = self._check.work(budget)
        if report is None:
            return False
        self._pages.last_check = report
        counts = {"files": report.files, "bytes": report.bytes}
        if report.faults:
            log.error("the store is damaged", extra={**counts, "faults": list(report.faults)})
        else:
            log.info("checked the store", extra=counts)
        return True

    def _completed(self, end: int) -> Iterator[Merge]:
        """The merges of all windows that end with transaction `end`, from the lowest level up."""
        for level in range(FIRST_LEVEL, LAST_LEVEL + 1):
            if end % span(level):
                return
            start = end - span(level) + 1
            below = 0 if level == FIRST_LEVEL else level - 1
            inputs = plan(self._replica.level_from(below, start, end), end, after=start - 1)
            merge = Merge(level, tuple(inputs))
            # A gap means that another process pruned or did not finish. A full run handles that.
            if len(inputs) < 2 or merge.max_txid != end or merge.size > _SMALL_MERGE:
                return
            yield merge


class BackgroundMaintenance:
    """A thread that maintains a store for as long as the block is open: `with BackgroundMaintenance(…):`."""

    def __init__(
        self,
        maintenance: Maintenance,
        *,
        interval: float,
        slice_seconds: float = 2.0,
        check_interval: float = 0.0,
        check_rate: int = 4 * 1024 * 1024,
        chores: Sequence[Chore] = (),
    ) -> None:
        """`interval`: seconds between full runs. `slice_seconds`: longest work without a pause.

        `check_interval`: seconds between passes of `SelfCheck`, at `check_rate` bytes per second; 0: none.
        `chores` are called repeatedly with `slice_seconds`, with a pause of some seconds when all are done.
        """
        self._maintenance = maintenance
        self._chores = chores
        self._check_interval = check_interval
        self._check_rate = check_rate
        self._interval = interval
        self._slice = slice_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lamdb-maintenance", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        # Servers that were started together take turns.
        due = time.monotonic() + random.uniform(0, min(_FIRST_RUN, self._interval))
        check_due = time.monotonic() + random.uniform(0, min(_FIRST_CHECK, self._check_interval))
        chores_due = time.monotonic() + random.uniform(0, _CHORES)
        while not self._stop.wait(_POLL):
            try:
                if (
                    self._check_interval
                    and time.monotonic() >= check_due
                    and self._maintenance.check(int(self._check_rate * _POLL))
                ):
                    check_due = time.monotonic() + self._check_interval * random.uniform(0.8, 1.2)
                merged = self._maintenance.merge_own_commits(self._slice)
                if merged:
                    log.debug("merged transactions", extra={"merges": merged})
                if time.monotonic() >= chores_due and self._do_chores():
                    chores_due = time.monotonic() + _CHORES
                if time.monotonic() >= due and self._run_in_slices():
                    due = time.monotonic() + self._interval * random.uniform(0.8, 1.2)
            except LamdbError as error:
                # The next round tries again. Nothing depends on the time of this work.
                log.warning("maintenance failed", extra={"reason": str(error)})
                due = time.monotonic() + min(60.0, self._interval)
                chores_due = due
                check_due = max(check_due, time.monotonic() + min(60.0, self._check_interval))

    def _do_chores(self) -> bool:
        """Gives each chore a slice; False if there is more to do."""
        try:
            left = [chore for chore in self._chores if not chore(self._slice)]
        except Fenced:
            # Another server committed first, perhaps the same work. The next round does what remains.
            return False
        return not left

    def _run_in_slices(self) -> bool:
        """A full run; False if it was stopped."""
        while not self._stop.is_set():
            report = self._maintenance.run(self._slice)
            work = report.work
            if work.merges or report.pruned:
                log.info(
                    "maintained the store",
                    extra={
                        "merges": work.merges,
                        "bytes_written": work.bytes_written,
                        "deleted": len(report.pruned),
                    },
                )
            if work.finished:
                return True
        return False
