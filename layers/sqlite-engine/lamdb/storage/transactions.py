"""The part of a database that a request needs: reading a state, and writing in a transaction."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

import apsw


class Transactions(Protocol):
    """A database, one pinned state of it, or a transaction that is open on it."""

    @property
    def txid(self) -> int:
        """The newest TXID that was read or written."""

    def reader(self, min_txid: int = 0) -> AbstractContextManager[apsw.Connection]:
        """A connection that sees one state, of at least `min_txid`."""

    def write[T](self, work: Callable[[apsw.Connection], T]) -> T:
        """Calls `work` in a transaction, and commits it. What `work` raises undoes it."""


class OneState:
    """A connection as `Transactions`: everything is read on it and, if it can write, written on it."""

    __slots__ = ("_connection", "txid")

    def __init__(self, connection: apsw.Connection, txid: int) -> None:
        self._connection = connection
        self.txid = txid

    def reader(self, min_txid: int = 0) -> Self:
        return self

    def write[T](self, work: Callable[[apsw.Connection], T]) -> T:
        return work(self._connection)

    def __enter__(self) -> apsw.Connection:
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
