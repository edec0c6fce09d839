"""Selects the files that may be deleted, and deletes them.

The policy promises a set of states: the newest, every state of the last days, and before that the last state
of each day. A file is kept if a promised state needs it, or if it is so young that a reader may be about to
read it. So the promise holds in whatever order files are compacted and deleted.
"""

import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from itertools import batched
from typing import Final, Self

from lamdb.errors import CorruptFile, SettingsError
from lamdb.settings import Settings
from lamdb.storage.ltx.files import FileInfo, plan, restorable
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.ages import StoreAges, WitnessedAges

_DAY_MS: Final = 24 * 60 * 60 * 1000
_KEPT_LEVEL: Final = 4
"""From this level on, files stay for as long as transactions do, for restoring among many transactions."""

_STALE_FACTOR: Final = 100
"""Transactions outlive a writer's view by at least this factor."""

_SHORTEST: Final = timedelta(hours=1)
_DELETES_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """The time for which states can be restored.

    - `transactions`: the time for which every transaction is kept.
    - `days`: before that, the last state of each day (UTC) with a transaction is kept for this time.
    - `grace`: a file that a newer one replaces is kept for this time, for processes that still read it.
    """

    transactions: timedelta = timedelta(days=7)
    days: timedelta = timedelta(days=30)
    grace: timedelta = timedelta(hours=1)

    @classmethod
    def of_days(cls, transactions: float, days: float) -> Self:
        """The policy with these times, in days."""
        return cls(timedelta(days=transactions), timedelta(days=days))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The policy that `keep_transactions` and `keep_days` set."""
        return cls.of_days(settings.keep_transactions, settings.keep_days)

    def require_safe(self, stale_after: float) -> None:
        """Raises `SettingsError` if a frozen writer could be frozen for longer than the files that fence it
        are kept.

        A writer trusts its view for `stale_after` seconds and then looks at the store; until then, the next
        transaction of another writer must still be there.
        """
        shortest = max(_SHORTEST, timedelta(seconds=_STALE_FACTOR * stale_after))
        if self.transactions < shortest:
            raise SettingsError(
                f"transactions are kept for {self.transactions}, but a writer looks at the store only every "
                f"{stale_after:g} s: keep them for at least {shortest}"
            )
        if self.days < self.transactions:
            raise SettingsError(
                f"days are kept for {self.days}: that must not be less than the {self.transactions} "
                "for which single transactions are"
            )
        if self.grace < timedelta(0):
            raise SettingsError(f"the grace period is negative ({self.grace})")


def expendable(
    files: Sequence[FileInfo], policy: RetentionPolicy, now_ms: int, ages: StoreAges | None = None
) -> list[FileInfo]:
    """Returns the files that no promised state needs, in the order in which to delete them.

    `files` need not contain the transactions after the first one within the time of `policy.transactions`.
    `ages` gives the ages of files; without it, their times do.
    """
    clock = _Clock(ages or StoreAges(), policy, now_ms)
    points = [*restorable(files)]
    first = _first_in_window(files, clock)
    settled = [file for file in files if file.modified_ms <= now_ms - _milliseconds(policy.grace)]
    kept = {file.key for listing in (settled, files) for file in plan(listing)}
    for txid in _promised(points, first, clock):
        chain = plan(settled, txid)
        if not chain or chain[-1].max_txid != txid:
            chain = plan(files, txid)
        kept.update(file.key for file in chain)
    doomed = [file for file in settled if file.key not in kept and not _is_young(file, first, clock)]
    # The newest first: what an interruption leaves has no gap.
    return sorted(doomed, key=lambda file: (-file.max_txid, file.level))


class _Clock:
    """From when on what is promised."""

    def __init__(self, ages: StoreAges, policy: RetentionPolicy, now_ms: int) -> None:
        self.ages = ages
        self.transactions_since = now_ms - _milliseconds(policy.transactions) - ages.slack_ms
        self.days_since = now_ms - _milliseconds(policy.days) - ages.slack_ms

    def is_recent(self, file: FileInfo) -> bool:
        """True if `file` is within the time for which single transactions are kept."""
        return self.ages.when(file) > self.transactions_since


def prune(
    replica: Replica,
    policy: RetentionPolicy,
    now_ms: int,
    *,
    stale_after: float,
    deadline: float | None = None,
    dry_run: bool = False,
) -> list[FileInfo]:
    """Deletes the files that no promised state needs. Returns them (with `dry_run`, without deleting).

    It may be interrupted at any point, and run in several processes at the same time. It begins no deletion
    after `time.monotonic()` has reached `deadline`. The newest object determines the present time, so an idle
    store keeps its files, and a process whose clock is ahead does no harm. Raises `SettingsError` if the
    policy is not safe for writers with `stale_after`; `CorruptFile` if a transaction is missing, because the
    files after it may still be of use; `StoreUnavailable`.
    """
    policy.require_safe(stale_after)
    try:
        recent, _ = replica.chain()
    except CorruptFile as error:
        raise CorruptFile(f"{error.message}; nothing is deleted", hint=error.hint) from error
    if not recent:
        return []
    now_ms = min(now_ms, max(file.modified_ms for file in recent))
    if replica.store.own_clock:
        old = replica.old_transactions(now_ms - _milliseconds(policy.transactions))
        files, ages = [*{file.key: file for file in recent + old}.values()], StoreAges()
    else:
        files = replica.every_file()
        ages = WitnessedAges(files)
    doomed = expendable(files, policy, now_ms, ages)
    if dry_run:
        return doomed
    gone: list[FileInfo] = []
    for batch in batched(doomed, _DELETES_AT_ONCE, strict=False):
        if deadline is not None and time.monotonic() >= deadline:
            break
        deletions: list[Future[None]] = [
            replica.pool.submit(replica.store.delete, file.key) for file in batch
        ]
        for deletion in deletions:
            deletion.result()
        gone += batch
    return gone


def _first_in_window(files: Iterable[FileInfo], clock: _Clock) -> int | None:
    """The first transaction that is within the time for which all are kept; None if all are older."""
    return min((file.min_txid for file in files if not file.level and clock.is_recent(file)), default=None)


def _promised(points: list[FileInfo], first: int | None, clock: _Clock) -> Iterator[int]:
    """Yields TXIDs of promised states: the last one before the window of transactions, and those of days.
    States within the window need no further files."""
    ends = [file.max_txid for file in points]
    days = _monotonic([file.modified_ms for file in points])
    ages = _monotonic([clock.ages.when(file) for file in points])
    before_window = 0 if first is None else bisect_right(ends, first - 1)
    if before_window:
        yield ends[before_window - 1]
    before_days = bisect_right(ages, clock.days_since)
    if before_days:
        yield ends[before_days - 1]
    for position in range(before_days, len(points) - 1):
        this, following = points[position], points[position + 1]
        # A clock that was wrong for a while does not make one day of several.
        other_day = days[position] // _DAY_MS != days[position + 1] // _DAY_MS
        if other_day or clock.ages.days(this) != clock.ages.days(following):
            yield ends[position]


def _monotonic(times: list[int]) -> list[int]:
    """Returns the time of each state. A file that was compacted later is younger than its state; no state is
    younger than the next one."""
    for position in range(len(times) - 2, -1, -1):
        times[position] = min(times[position], times[position + 1])
    return times


def _is_young(file: FileInfo, first: int | None, clock: _Clock) -> bool:
    if file.level == 0:
        return first is not None and file.min_txid >= first
    return file.level >= _KEPT_LEVEL and clock.is_recent(file)


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
