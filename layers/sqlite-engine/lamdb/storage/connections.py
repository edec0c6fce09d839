"""Connections, each with the file that decides what it sees, and the pool of those that read."""

from collections import deque
from collections.abc import Callable
from typing import Final

import apsw

from lamdb.errors import StorageError
from lamdb.storage.pages import View
from lamdb.storage.vfs import PageVfs

_OLDEST_SQLITE: Final = (3, 51, 3)
"""Versions up to 3.51.2 can corrupt a database when a WAL is reset."""


def require_sqlite() -> None:
    """Raises `StorageError` if the SQLite that apsw brings is too old."""
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageError(f"SQLite {apsw.sqlite_lib_version()} is too old: lamDB needs {oldest}")


class Connection:
    """An apsw connection to a view of the database."""

    __slots__ = ("apsw", "file")

    def __init__(
        self, vfs: PageVfs, view: View, *, writable: bool, statement_cache: int, pragmas: list[str]
    ) -> None:
        self.apsw, self.file = vfs.connect(view, writable=writable, statement_cache=statement_cache)
        for pragma in pragmas:
            self.apsw.execute(f"PRAGMA {pragma}")
        self.file.guarded = True

    def show(self, view: View) -> bool:
        """Begins a read transaction on `view`; False if the connection is in no state to do so.

        It may still be in such a transaction: a connection stays in it between uses, so that there is nothing
        to do as long as the database has not changed. An unfinished statement of an earlier user would keep
        the connection at an older state.
        """
        connection = self.apsw
        try:
            if connection.in_transaction:
                if self.file.next_view is view:
                    return True
                connection.execute("COMMIT")
            if self.file.level != apsw.SQLITE_LOCK_NONE:
                return False
            self.file.next_view = view
            connection.execute("BEGIN")
        except apsw.ConnectionClosedError:
            return False
        return True

    def close(self) -> None:
        self.apsw.close(True)


class ReaderPool:
    """Idle read-only connections, the last used first. Thread-safe."""

    def __init__(self, connect: Callable[[View], Connection], *, idle_limit: int) -> None:
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._idle_limit = idle_limit

    def take(self, view: View) -> Connection:
        """A connection in a read transaction on `view`."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect(view)
            if connection.show(view):
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        if len(self._idle) >= self._idle_limit:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Closes the idle connections and, as they come back, the others."""
        self._idle_limit = 0
        while self._idle:
            self._idle.pop().close()
