"""Connections, each with the file that defines its snapshot, and the pool of read-only ones."""

from collections import deque
from collections.abc import Callable
from typing import Final

import apsw

from lamdb.errors import StorageError
from lamdb.storage import waiting
from lamdb.storage.pagefile import PageFile
from lamdb.storage.pages import View
from lamdb.storage.sqlite_memory import SqliteMemory
from lamdb.storage.temporary import temporary_directory
from lamdb.storage.vfs import PageVfs

_OLDEST_SQLITE: Final = (3, 51, 3)
"""Versions up to 3.51.2 can corrupt a database when a WAL is reset."""


_JOURNAL_IN_MEMORY: Final = 128 * 1024 * 1024
"""Size of a database (bytes) up to which a writer's journal is in memory."""

_PROGRESS_STEPS: Final = 2_000
"""Steps of SQLite's virtual machine between checks of a request's budget: about 0.1 ms, although a single
step that compares a pattern with a text may take as long."""
_QUICK_PROGRESS_STEPS: Final = 1_000

_LIKE_PATTERN_BYTES: Final = 4096
"""SQLite compares a pattern with a text in one step, however long that takes: their lengths' product."""
_QUICK_LIKE_PATTERN_BYTES: Final = 64
_QUICK_VALUE_BYTES: Final = 256 * 1024


def temporary_storage() -> str:
    """Location of sorts and intermediate results that do not fit SQLite's cache: `FILE` if files can be
    written, so that memory stays bounded, else `MEMORY`."""
    return "MEMORY" if temporary_directory() is None else "FILE"


def journal_for(view: View) -> str:
    """Returns the journal mode for a transaction on `view`.

    The journal has the former content of the pages that a transaction overwrites. So its size is limited by
    that of the database. In memory it costs less; that of a large database is a temporary file.
    """
    large = view.commit * view.page_size > _JOURNAL_IN_MEMORY
    return "TRUNCATE" if large and temporary_directory() is not None else "MEMORY"


def require_sqlite() -> None:
    """Raises `StorageError` if the SQLite that apsw brings is too old."""
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageError(f"SQLite {apsw.sqlite_lib_version()} is too old: lamDB needs {oldest}")


class Connection:
    """An apsw connection to a view of the database."""

    __slots__ = ("apsw", "file", "journal", "quick")

    def __init__(
        self,
        vfs: PageVfs,
        view: View,
        *,
        writable: bool,
        statement_cache: int,
        pragmas: list[str],
        journal: str = "MEMORY",
        max_value_bytes: int | None = None,
        kind: type[PageFile] = PageFile,
    ) -> None:
        """`journal`: SQLite's journal mode. `max_value_bytes`: of any text or BLOB that a reader reads or
        makes. `kind`: of its file."""
        self.quick = False
        self.journal = journal
        self.apsw, self.file = vfs.connect(
            view, writable=writable, statement_cache=statement_cache, kind=kind
        )
        for pragma in [*pragmas, f"journal_mode = {journal}"]:
            self.apsw.execute(f"PRAGMA {pragma}")
        self.file.guarded = True
        self.apsw.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _LIKE_PATTERN_BYTES)
        if max_value_bytes is not None and not writable:
            self.apsw.limit(apsw.SQLITE_LIMIT_LENGTH, max_value_bytes)
        self.apsw.set_progress_handler(waiting.progress, _PROGRESS_STEPS)

    def show(self, view: View) -> bool:
        """Begins a read transaction on `view`. Returns False if the connection cannot do so.

        A connection stays in its read transaction between uses, so no work is needed if the database has not
        changed. An unfinished statement of an earlier user would keep the connection at an older state; then
        the result is False.
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

    def be_quick(self) -> None:
        """Makes SQLite refuse here what one step of it could make long. For attempts that must be quick."""
        self.quick = True
        self.apsw.limit(apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _QUICK_LIKE_PATTERN_BYTES)
        length = self.apsw.limit(apsw.SQLITE_LIMIT_LENGTH)
        self.apsw.limit(apsw.SQLITE_LIMIT_LENGTH, min(length, _QUICK_VALUE_BYTES))
        self.apsw.set_progress_handler(waiting.progress, _QUICK_PROGRESS_STEPS)

    def close(self) -> None:
        self.apsw.close(True)


class ReaderPool:
    """Idle read-only connections, the last used first. Thread-safe.

    Attempts that must be quick use separate connections, one at a time.
    """

    def __init__(
        self, connect: Callable[[View], Connection], *, idle_limit: int, memory: SqliteMemory | None = None
    ) -> None:
        """`memory`: the budget that idle connections give memory back to."""
        self._connect = connect
        self._memory = memory
        self._idle: deque[Connection] = deque()
        self._idle_quick: deque[Connection] = deque()
        self._idle_limit = idle_limit

    def take(self, view: View) -> Connection:
        """A connection in a read transaction on `view`."""
        quick = waiting.is_quick()
        idle = self._idle_quick if quick else self._idle
        while True:
            try:
                connection = idle.pop()
            except IndexError:
                connection = self._connect(view)
                if quick:
                    connection.be_quick()
            if connection.show(view):
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        idle = self._idle_quick if connection.quick else self._idle
        if len(idle) >= self._idle_limit:
            connection.close()
            return
        idle.append(connection)
        if self._memory is not None:
            self._memory.trim(self._idle)

    def close(self) -> None:
        """Closes the idle connections and, as they come back, the others."""
        self._idle_limit = 0
        for idle in (self._idle, self._idle_quick):
            while idle:
                idle.pop().close()
