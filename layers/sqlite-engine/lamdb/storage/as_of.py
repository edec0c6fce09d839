"""Connections to past states of the database."""

from collections.abc import Callable
from typing import Literal

import apsw

from lamdb.storage.connections import Connection
from lamdb.storage.pages import View


class PastLease:
    """The result of `Database.as_of`: a context with a read-only connection to a past state."""

    __slots__ = ("_connect", "_connection", "_view")

    def __init__(self, view: View, connect: Callable[[View], Connection]) -> None:
        self._view = view
        self._connect = connect
        self._connection: Connection | None = None

    @property
    def txid(self) -> int:
        """The last transaction that the connection sees."""
        return self._view.txid

    def __enter__(self) -> apsw.Connection:
        self._connection = self._connect(self._view)
        self._connection.show(self._view)
        return self._connection.apsw

    def __exit__(self, *_: object) -> Literal[False]:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return False
