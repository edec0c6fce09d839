"""A database whose transactions are bound by rules."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

import apsw

from lamdb.rules.caller import Caller
from lamdb.rules.definition import Rules
from lamdb.rules.enforcement import ruled
from lamdb.storage.transactions import Transactions


class Ruled:
    """`Transactions` of a database that see and change what `caller` may."""

    __slots__ = ("_caller", "_database", "_rules")

    def __init__(self, database: Transactions, rules: Rules, caller: Caller) -> None:
        self._database = database
        self._rules = rules
        self._caller = caller

    @property
    def txid(self) -> int:
        """The newest TXID that was read or written."""
        return self._database.txid

    def reader(self, min_txid: int = 0) -> AbstractContextManager[apsw.Connection]:
        """A connection that sees what the caller may read."""
        return self._reader(min_txid)

    @contextmanager
    def _reader(self, min_txid: int) -> Iterator[apsw.Connection]:
        with (
            self._database.reader(min_txid) as connection,
            ruled(connection, self._rules, self._caller) as bound,
        ):
            yield cast("apsw.Connection", bound)

    def write[T](self, work: Callable[[apsw.Connection], T]) -> T:
        """Calls `work` with a connection that changes what the caller may."""

        def bound_work(connection: apsw.Connection) -> T:
            with ruled(connection, self._rules, self._caller) as bound:
                return work(cast("apsw.Connection", bound))

        return self._database.write(bound_work)
