"""Selects the files that may be deleted, and deletes them.

What is promised is a set of states: the newest, every state of the last days, and further back the last state
of each day. A file stays if one of them is made of it, or if it is so young that a reader may be about to
read it. So the promise holds by construction, whatever was compacted when, and in whatever order files go.
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
    """How long what can be restored.

    - `transactions`: every single transaction of the last so many days.
    - `days`: before that, the last state of each day (UTC) on which something was written.
    - `grace`: what a newer file replaces stays for this long, for those who are reading it.
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
        """Raises `SettingsError` if a frozen writer could outsleep the files that fence it.

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
            raise SettingsError(f"the time of grace is negative ({self.grace})")


def expendable(
    files: Sequence[FileInfo], policy: RetentionPolicy, now_ms: int, ages: StoreAges | None = None
) -> list[FileInfo]:
    """The files that no promised state is made of, in the order in which to delete them.

    `files` need not hold the transactions above the first that is within the time of `policy.transactions`.
    `ages` says how old they are; without it, their times do.
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
    """Deletes what is expendable; the files that went (with `dry_run`: that would go).

    It may be interrupted anywhere, and run anywhere else at the same time; it begins no more deletions once
    `time.monotonic()` has reached `deadline`. Time passes with what is written: an idle store keeps what it
    has, and a process whose clock is ahead does no harm. Raises `SettingsError` if the policy is not safe for
    writers with `stale_after`; `CorruptFile` if a transaction is missing, since what follows it may yet be of
    use; `StoreUnavailable`.
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
    """TXIDs of promised states: the one before the window of transactions, which the others there need no
    more than, and of the days."""
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
    """When each state came to be. A file that was compacted later is younger than its state; no state is
    younger than the next."""
    for position in range(len(times) - 2, -1, -1):
        times[position] = min(times[position], times[position + 1])
    return times


def _is_young(file: FileInfo, first: int | None, clock: _Clock) -> bool:
    if file.level == 0:
        return first is not None and file.min_txid >= first
    return file.level >= _KEPT_LEVEL and clock.is_recent(file)


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
