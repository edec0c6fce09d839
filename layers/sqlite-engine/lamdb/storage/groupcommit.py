"""Group commit: writes that wait for each other share one transaction of SQLite, one file and one request.

Callers queue. One of them leads: it runs the waiting calls one after another on the writer's connection, each
in a savepoint of its own, and commits them together. Callers that arrive during the commit queue, and the
first of them leads the next group. So a single write does not wait, and under load a commit contains all
writes that arrived during the previous one.

A commit proves that its group saw the newest state, because each TXID can be committed once. A group that
commits nothing (its members failed, or changed nothing) has no such proof, and its results may be out of
date. So it looks at the store before it returns them, and runs once more if there is a newer transaction.
"""

import contextvars
import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Any, Final, Protocol

import apsw

from lamdb.errors import CommitUnknown, LimitError, StorageError, TransactionTooLarge
from lamdb.storage.budget import Unbudgeted
from lamdb.storage.waiting import about_to_wait

log = logging.getLogger("lamdb.storage")

type Work[T] = Callable[[apsw.Connection], T]

_MEASURE_EVERY: Final = 0.002
"""Seconds between counts of a group's changed pages. A count writes them out of SQLite's cache."""


class Lease(AbstractContextManager[apsw.Connection], Protocol):
    """A transaction of the writer: leaving it commits. See `database.WriterLease`."""

    @property
    def txid(self) -> int: ...
    @property
    def intact(self) -> bool: ...
    @property
    def refusal(self) -> StorageError | None: ...
    def changed_bytes(self) -> int: ...


class Writable(Protocol):
    """The part of `database.Database` that group commit works on."""

    def writer(self) -> Lease: ...
    def refresh(self) -> int: ...
    def require_not_writing(self) -> None: ...


class _Member:
    """One call. `turn`, if the caller waits, is set when there is an outcome, or when it must lead."""

    __slots__ = ("context", "done", "error", "finished", "result", "turn", "work")

    def __init__(
        self,
        work: Work[Any],
        context: contextvars.Context | None = None,
        done: Callable[[Callable[[], Any]], None] | None = None,
    ) -> None:
        """Creates a member. `context` is the caller's by default.

        `done` is called with `outcome`, for a call that does not wait.
        """
        self.work = work
        self.context = context or contextvars.copy_context()
        self.done = done
        self.turn: threading.Event | None = None
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None

    def finish(self) -> None:
        self.finished = True
        if self.done is not None:
            self.done(self.outcome)
        else:
            self.wake()

    def wake(self) -> None:
        if self.turn is not None:
            self.turn.set()

    def fail(self, error: BaseException) -> None:
        self.result = None
        self.error = error

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result


class _TransactionLost(Exception):
    """SQLite rolled back the whole transaction before its commit: no member's changes were kept."""


class _NothingToKeep(Exception):
    """Leaves the writer's block so that it rolls back: every member failed."""


class _Group:
    """Members that share a transaction.

    - `closed`: no further member may join.
    - `looked`: the store was checked after the last member had joined. So the next attempt sees a state that
      was the newest one while all members were waiting.
    """

    __slots__ = ("closed", "looked", "members")

    def __init__(self, members: list[_Member], *, closed: bool = False, looked: bool = False) -> None:
        self.members = members
        self.closed = closed
        self.looked = looked

    def fail(self, error: Exception) -> None:
        """Makes `error` the outcome of every member. Each gets its own copy to raise."""
        for member in self.members:
            member.fail(_own_copy(error))

    def depends_on_data(self) -> bool:
        """True if another state could change the outcome, unlike for a failure of the store or a limit."""
        return any(not isinstance(member.error, StorageError | LimitError) for member in self.members)


class GroupCommit:
    """The queue of writes of one database. Thread-safe.

    A group is closed once its members have run for `seconds` or have changed pages of `bytes` in all; with 0
    seconds each write has a commit of its own.
    """

    def __init__(self, database: Writable, *, seconds: float, bytes: int) -> None:
        self._database = database
        self._seconds = seconds
        self._bytes = bytes
        self._lock = threading.Lock()
        self._waiting: deque[_Member] = deque()
        self._led = False
        self._turns: SimpleQueue[bool] = SimpleQueue()
        """True for each group whose first call does not wait; False at the end."""
        self._leader: threading.Thread | None = None

    def run[T](self, work: Work[T]) -> T:
        """Returns the result of `work(connection)` when it is durable. See `Database.write`."""
        about_to_wait()
        self._database.require_not_writing()
        member = _Member(work)
        with self._lock:
            self._waiting.append(member)
            if self._led:
                member.turn = threading.Event()
            self._led = True
        if member.turn is not None:
            self._wait(member, member.turn)
        if not member.finished:
            # No member's budget ends the commit, which belongs to all. It applies during the member's work.
            with Unbudgeted():
                self._lead()
        result: T = member.outcome()
        return result

    def submit[T](
        self, work: Work[T], context: contextvars.Context, done: Callable[[Callable[[], T]], None]
    ) -> None:
        """Like `run`, but returns at once. See `Database.submit`."""
        member = _Member(work, context, done)
        with self._lock:
            if self._leader is None:
                self._leader = threading.Thread(target=self._lead_others, name="lamdb-commit", daemon=True)
                self._leader.start()
            self._waiting.append(member)
            if not self._led:
                self._led = True
                self._turns.put(True)

    def close(self) -> None:
        """Ends the thread that commits for calls that do not wait, after the pending calls."""
        self._turns.put(False)

    def _lead_others(self) -> None:
        """Commits groups whose first member does not wait, in a thread of its own."""
        is_closing = False
        while not is_closing or self._led:
            if not self._turns.get():
                is_closing = True
                continue
            try:
                self._lead()
            except Exception:
                log.exception("internal error while committing")  # every member has it as its outcome

    def _wait(self, member: _Member, turn: threading.Event) -> None:
        try:
            turn.wait()
        except BaseException:
            # The main thread was interrupted, and no longer takes the turn or the result.
            with self._lock:
                if member in self._waiting:
                    leads = member is self._waiting[0] and turn.is_set()
                    self._waiting.remove(member)
                    if leads:
                        self._pass_on()
            raise

    def _lead(self) -> None:
        """Commits one group, of which the caller is the first member."""
        with self._lock:
            group = _Group([self._waiting.popleft()])
        try:
            if not self._attempt(group):
                # One of them ended the transaction of all: now each has its own.
                for member in group.members:
                    alone = _Group([member], closed=True, looked=group.looked)
                    self._attempt(alone)
                    group.looked = alone.looked
        except BaseException as error:
            _fail_unfinished(group.members, error)
            raise
        finally:
            with self._lock:
                self._pass_on()
            for member in group.members:
                member.finish()

    def _pass_on(self) -> None:
        """Lets the first waiting member lead. Called with the lock held."""
        if self._waiting:
            first = self._waiting[0]
            if first.done is not None:
                self._turns.put(True)
            else:
                first.wake()
        else:
            self._led = False

    def _attempt(self, group: _Group) -> bool:
        """Runs and commits `group`, and adds waiting members to it unless it is closed.

        Afterwards every member has its result or its error. Returns False if the commit failed because of one
        of several members: the caller then runs them one by one.
        """
        lease = self._database.writer()
        base = 0
        try:
            with lease as connection:
                base = lease.txid
                connection.set_commit_hook(_refuse, id=_refuse)
                try:
                    kept = [_run(lease, connection, member) for member in self._members(lease, group)]
                finally:
                    connection.set_commit_hook(None, id=_refuse)
                if not any(kept):
                    raise _NothingToKeep
        except _NothingToKeep:
            pass
        except (_TransactionLost, TransactionTooLarge) as error:
            if len(group.members) > 1:
                return False
            if isinstance(error, TransactionTooLarge):
                group.members[0].fail(error)
        except Exception as error:  # noqa: BLE001 - Every caller raises it.
            group.fail(error)
            return True
        if lease.txid == base and not group.looked and group.depends_on_data():
            return self._confirm(group, base)
        return True

    def _confirm(self, group: _Group, base: int) -> bool:
        """Checks that `base`, on which `group` committed nothing, is the newest transaction in the store.

        If it is not, the group runs once more. If the store does not answer, every member fails, because a
        result from an old state would look valid. Returns the result of `_attempt`.
        """
        group.closed = True
        try:
            behind = self._database.refresh() > base
        except StorageError as error:
            group.fail(error)
            return True
        group.looked = True
        return self._attempt(group) if behind else True

    def _members(self, lease: Lease, group: _Group) -> Iterator[_Member]:
        """Yields the members to run: those of `group`, then waiting ones, within the limits."""
        started = measured = time.monotonic()
        yield from tuple(group.members)
        while not group.closed:
            now = time.monotonic()
            if now - started >= self._seconds:
                return
            if now - measured > _MEASURE_EVERY:
                if lease.changed_bytes() >= self._bytes:
                    return
                measured = now
            with self._lock:
                if not self._waiting:
                    return
                member = self._waiting.popleft()
            group.members.append(member)
            yield member


def _run(lease: Lease, connection: apsw.Connection, member: _Member) -> bool:
    """Runs one member in its savepoint. Returns True if its changes are kept.

    Raises `_TransactionLost` if the member ended the transaction of the group.
    """
    connection.execute("SAVEPOINT lamdb_member")
    try:
        member.error = None
        member.result = member.context.run(member.work, connection)
        # Constraints that are checked at COMMIT would otherwise fail the members of the whole group.
        if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise _foreign_key_violation()
        if not lease.intact:
            raise lease.refusal or _ended()
        connection.execute("RELEASE lamdb_member; PRAGMA defer_foreign_keys = OFF")
    except Exception as error:
        refused = getattr(error, "extendedresult", 0) == apsw.SQLITE_CONSTRAINT_COMMITHOOK
        member.fail(_ended() if refused else error)
        if not lease.intact:
            raise _TransactionLost from error
        try:
            connection.execute(
                "ROLLBACK TO lamdb_member; RELEASE lamdb_member; PRAGMA defer_foreign_keys = OFF"
            )
        except apsw.Error as lost:
            raise _TransactionLost from lost
        return False
    return True


def _refuse() -> bool:
    """The commit hook while members run: a COMMIT of theirs becomes a rollback."""
    return True


def _ended() -> StorageError:
    return StorageError(
        "the transaction was ended by what was to be done in it",
        hint="Use savepoints there, not COMMIT or ROLLBACK.",
    )


def _foreign_key_violation() -> Exception:
    error = apsw.exception_for(apsw.SQLITE_CONSTRAINT_FOREIGNKEY)
    error.args = ("FOREIGN KEY constraint failed",)
    return error


def _own_copy(error: Exception) -> Exception:
    """Returns a copy of an error, because each of several threads raises its own."""
    own = copy.copy(error)
    own.__cause__ = error
    return own


def _fail_unfinished(group: list[_Member], error: BaseException) -> None:
    """The leader's thread was interrupted, before or while it committed."""
    for member in group:
        if member.error is None:
            unknown = CommitUnknown("the write was interrupted; it may or may not have been committed")
            unknown.__cause__ = error
            member.fail(unknown)
