"""The budget of one request: its limits, its deadline, and its cancellation.

    with Budget(Costs(query_seconds=5), Deadline.after(2)):
        ...                    # calls of `checkpoint` raise `TimeLimit` after 2 seconds

The current budget of a thread is a context variable. It is checked by SQLite every few thousand steps (see
`connections`), by storage before it waits for the store, and by code that loops over rows. Another thread
may `cancel` it at any time.
"""

import contextvars
import math
import time
from dataclasses import dataclass
from typing import Final, Self

from lamdb.errors import Cancelled, LamdbError, TimeLimit, TooManyRows

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time after which an answer is useless. `at` is a time of `time.monotonic`, infinite for "never"."""

    at: float = math.inf

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds; 0 if it has passed."""
        return max(0.0, self.at - time.monotonic())

    def earlier(self, other: "Deadline") -> "Deadline":
        """The earlier of both."""
        return self if self.at <= other.at else other


NEVER: Final = Deadline()


@dataclass(frozen=True, slots=True)
class Costs:
    """Limits of any request.

    - `query_seconds`, `mutation_seconds`: time of execution; a mutation holds the writer for so long.
    - `max_rows`: rows that one statement may return, and records in the list of one root field.
    - `max_bytes`: of a response's JSON, and of rows that are in memory for it.
    """

    query_seconds: float = math.inf
    mutation_seconds: float = math.inf
    max_rows: int = 2**63
    max_bytes: int = 2**63


class Budget:
    """The costs of one request. The working thread enters it; any other thread may call `cancel`."""

    __slots__ = ("_bytes", "_ends", "_refused", "_seconds", "_token", "costs", "deadline")

    def __init__(self, costs: Costs, deadline: Deadline = NEVER) -> None:
        self.costs = costs
        self.deadline = deadline
        self._seconds = costs.query_seconds
        self._ends = deadline.at
        self._refused: LamdbError | None = None
        self._bytes = 0

    def __enter__(self) -> Self:
        """Begins to count the time of a query. Raises as `checkpoint` does."""
        self._begin(self.costs.query_seconds)
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)

    def begin_mutation(self) -> None:
        """Starts the time limit for mutations, when the wait for the writer is over.

        Raises the errors of `checkpoint`, and an error that it has raised before: a mutation that is repeated
        because of others does not get more time.
        """
        self._bytes = 0
        self._begin(self.costs.mutation_seconds)

    def cancel(self, reason: LamdbError) -> None:
        """Makes the work raise `reason` at its next checkpoint. Any thread may call it."""
        if self._refused is None:
            self._refused = reason

    def check(self) -> None:
        """Raises `TimeLimit`, or the reason given to `cancel`."""
        if self._refused is None and time.monotonic() < self._ends:
            return
        if self._refused is None:
            self._refused = self._late()
        # Each raises its own: the same one may be raised again by a retry.
        raise type(self._refused)(self._refused.message, meta=self._refused.meta) from None

    def hold(self, rows: int, size: int) -> None:
        """Counts the `rows` rows that a statement has returned so far. The last of them take `size` bytes.

        Raises `TooManyRows`, and the errors of `check`.
        """
        self._bytes += size
        if rows > self.costs.max_rows:
            raise too_many_rows(rows, self.costs.max_rows)
        if self._bytes > self.costs.max_bytes:
            raise TooManyRows(
                f"The rows that this needs in memory have more than {self.costs.max_bytes} bytes.",
                meta={"limit": self.costs.max_bytes},
            )
        self.check()

    def _begin(self, seconds: float) -> None:
        self._seconds = seconds
        now = time.monotonic()
        ends = now + seconds
        self._ends = ends if ends < self.deadline.at else self.deadline.at
        if self._refused is not None or now >= self._ends:
            self.check()

    def _late(self) -> TimeLimit:
        if self._ends == self.deadline.at:
            return TimeLimit("There was no answer by the request's deadline; nothing was changed.")
        return TimeLimit(
            f"The operation took longer than {self._seconds:g} s; nothing was changed.",
            meta={"seconds": self._seconds},
        )


_current: contextvars.ContextVar[Budget | None] = contextvars.ContextVar("lamdb_budget", default=None)


def current() -> Budget | None:
    """Returns the budget of this thread's current work; None if it has none."""
    return _current.get()


def checkpoint() -> None:
    """Must be called regularly during long work. Raises `TimeLimit` or `Cancelled`."""
    budget = _current.get()
    if budget is not None:
        budget.check()


def too_many_rows(rows: int, limit: int) -> TooManyRows:
    return TooManyRows(f"There are {rows} rows or more; the limit is {limit}.", meta={"limit": limit})


def client_gone() -> Cancelled:
    return Cancelled("The client closed the connection; nothing was changed.")


def stopping() -> Cancelled:
    return Cancelled("The server stops; nothing was changed.")


class Unbudgeted:
    """`with Unbudgeted():` the block, such as a shared commit, is not part of one request's work."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _current.set(None)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
