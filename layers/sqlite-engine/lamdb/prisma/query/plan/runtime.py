"""The state of one run of a plan."""

from collections.abc import Mapping
from typing import Any

import apsw

from lamdb.prisma.query import generators
from lamdb.prisma.query.sql_errors import database_error

NOW = "@now"
"""Among the values of a run: the time that it shares with others, as `generators.now` writes it."""


class Run:
    """One evaluation: the connection, the request's values, and a slot for every binding of the plan.

    No other thread may use the connection meanwhile. Plans themselves have no state of a run.
    """

    __slots__ = ("_now", "connection", "execute", "slots", "values")

    def __init__(self, connection: apsw.Connection, values: Mapping[str, Any], slots: int) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.values = values
        self.slots: list[Any] = [None] * slots
        self._now: str | None = None

    def now(self) -> str:
        """The time of this run: read once, so that all rows of a request agree."""
        if self._now is None:
            self._now = self.values.get(NOW) or generators.now()
        return self._now


class Transaction:
    """Makes a block atomic. Does nothing inside a transaction of the caller, which an error aborts as a
    whole.

    This is Prisma's own rule for interactive transactions. The caller must roll back when a run raises.
    """

    __slots__ = ("_connection", "_own")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._own = not connection.in_transaction

    def __enter__(self) -> None:
        if not self._own:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise database_error(error) from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._own:
            return
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # After an error, be it that of COMMIT; some (disk full) have already rolled back.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
