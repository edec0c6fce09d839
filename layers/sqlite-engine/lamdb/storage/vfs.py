"""The VFS through which SQLite finds the page store."""

import itertools
from typing import Any, Final

import apsw

from lamdb.errors import StorageError
from lamdb.storage.btrees import register
from lamdb.storage.pagefile import PageFile
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore
from lamdb.storage.pinned import clock

_numbers = itertools.count(1)

_TEMPORARY: Final = (
    apsw.SQLITE_OPEN_READWRITE
    | apsw.SQLITE_OPEN_CREATE
    | apsw.SQLITE_OPEN_EXCLUSIVE
    | apsw.SQLITE_OPEN_DELETEONCLOSE
    | apsw.SQLITE_OPEN_TEMP_JOURNAL
)


class _Journal(apsw.VFSFile):
    """The rollback journal of a transaction: a temporary file, as after a crash nothing is rolled back."""

    def __init__(self) -> None:
        super().__init__("", None, [_TEMPORARY, 0])

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Nothing: the file ends with the process."""


class PageVfs(apsw.VFS):
    """One per database. Files that are not its own, such as the target of `VACUUM INTO`, are ordinary
    files."""

    def __init__(self, store: PageStore, *, max_transaction_bytes: int) -> None:
        self.name = f"lamdb-{next(_numbers)}"
        self._store = store
        self._max_transaction_bytes = max_transaction_bytes
        self._opening: dict[str, PageFile] = {}
        super().__init__(self.name, "")

    def connect(
        self, view: View, *, writable: bool, statement_cache: int, kind: type[PageFile] = PageFile
    ) -> tuple[apsw.Connection, PageFile]:
        """A connection to `view`, and the file behind it, which decides what the connection sees later."""
        filename = f"{self.name}/{next(_numbers)}"
        limit = self._max_transaction_bytes
        file = kind(self._store, view, writable=writable, max_transaction_bytes=limit)
        self._opening[filename] = file
        try:
            connection = apsw.Connection(filename, vfs=self.name, statementcachesize=statement_cache)
        finally:
            del self._opening[filename]
        register(connection, self._store.fetcher, file)
        return connection, file

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:  # noqa: N802
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        if filename is None or not self._is_ours(filename):
            return super().xOpen(name, flags)
        if flags[0] & apsw.SQLITE_OPEN_MAIN_JOURNAL:
            return _Journal()
        file = self._opening.get(filename)
        if file is None:
            raise StorageError(f"SQLite asked for {filename}: a lamDB database has no WAL file")
        return file

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name if self._is_ours(name) else super().xFullPathname(name)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return False if self._is_ours(pathname) else super().xAccess(pathname, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        if not self._is_ours(filename):
            super().xDelete(filename, syncdir)

    def xCurrentTimeInt64(self) -> int:  # noqa: N802
        pinned = clock()
        return super().xCurrentTimeInt64() if pinned is None else pinned

    def _is_ours(self, filename: str) -> bool:
        return filename.startswith(self.name + "/")
