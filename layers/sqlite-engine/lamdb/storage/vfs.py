"""SQLite's view of the page store: a VFS whose files are pinned views, and whose sync is the upload."""

import itertools
from typing import Any, Final

import apsw

from lamdb.errors import ReadOnly, StorageError, TransactionTooLarge
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore

_names = itertools.count(1)

_AHEAD_LIMIT: Final = 256
_CHANGE_COUNTER: Final = slice(24, 28)
_PAGE_SIZE: Final = slice(16, 18)
_DATABASE_SIZE: Final = slice(28, 32)

_UNLOCKED: Final = apsw.SQLITE_LOCK_NONE
_SHARED: Final = apsw.SQLITE_LOCK_SHARED
_RESERVED: Final = apsw.SQLITE_LOCK_RESERVED


class PageVfs(apsw.VFS):
    """One per database. Files it does not know, such as the target of `VACUUM INTO`, are ordinary files."""

    def __init__(self, store: PageStore, *, max_transaction_bytes: int) -> None:
        self.name = f"lamdb-{next(_names)}"
        self._store = store
        self._max_transaction_bytes = max_transaction_bytes
        self._files: dict[str, PageFile] = {}
        super().__init__(self.name, "")

    def connect(self, *, writable: bool, statement_cache: int = 256) -> tuple[apsw.Connection, "PageFile"]:
        """A connection, and the file behind it, which decides what the connection sees."""
        filename = f"{self.name}/{next(_names)}"
        file = self._files[filename] = PageFile(
            self._store, writable=writable, max_transaction_bytes=self._max_transaction_bytes
        )
        try:
            connection = apsw.Connection(filename, vfs=self.name, statementcachesize=statement_cache)
        finally:
            del self._files[filename]
        return connection, file

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:  # noqa: N802
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        file = self._files.get(filename) if filename else None
        if file is not None:
            return file
        if filename and self._is_ours(filename):
            raise StorageError("the journal mode of a lamDB connection cannot be changed")
        return super().xOpen(name, flags)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name if self._is_ours(name) else super().xFullPathname(name)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return False if self._is_ours(pathname) else super().xAccess(pathname, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        if not self._is_ours(filename):
            super().xDelete(filename, syncdir)

    def _is_ours(self, filename: str) -> bool:
        return filename.startswith(self.name + "/")


class PageFile:
    """The main database file of one connection.

    `next_view` is what the connection will see when SQLite next takes a SHARED lock; until the lock is
    released it sees `view`. Writes gather in memory until SQLite syncs them: that commits.
    """

    def __init__(self, store: PageStore, *, writable: bool, max_transaction_bytes: int) -> None:
        self._store = store
        self._writable = writable
        self._max_transaction_bytes = max_transaction_bytes
        self.view: View = store.head
        self.next_view: View = self.view
        self.level = _UNLOCKED
        self.failure: StorageError | None = None
        """Why a write or a commit failed. The connection's cache may then hold pages that exist nowhere: drop
        it."""
        self._dirty: dict[int, bytes] = {}
        self._size = self.view.commit
        self._page_size = self.view.page_size
        self._expected = 0
        self._ahead = 1

    def excepthook(self, *_: object) -> None:
        """apsw raises what a method raised from the statement that caused it; reporting it twice helps
        nobody."""

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        dirty = self._dirty
        if offset < self._page_size and 1 not in dirty:
            if not self.view.commit:
                return b""
            return self._store.page_one(self.view)[offset : offset + amount]
        number = offset // self._page_size + 1
        page = dirty.get(number)
        if page is None:
            if number > self._size:
                return b""
            page = self._read_ahead(number)
        if amount == len(page):
            return page
        start = offset % self._page_size
        return page[start : start + amount]

    def _read_ahead(self, number: int) -> bytes:
        """Doubles the run that one request fetches as long as pages are asked for in order."""
        if number == self._expected:
            self._ahead = min(2 * self._ahead, _AHEAD_LIMIT)
        elif not self._expected <= number < self._expected + self._ahead:
            self._ahead = 1
        self._expected = number + 1
        return self._store.read(self.view, number, self._ahead)

    def xFileSize(self) -> int:  # noqa: N802
        return self._size * self._page_size

    def xLock(self, level: int) -> None:  # noqa: N802
        if level >= _RESERVED and not self._writable:
            raise ReadOnly("this connection reads only")
        if self.level == _UNLOCKED:
            self._show(self.next_view)
        self.level = level

    def xUnlock(self, level: int) -> None:  # noqa: N802
        self.level = level
        if level <= _SHARED and self._dirty:
            self._dirty = {}
            self._size = self.view.commit

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.failure is not None:
            return
        if not self.view.commit:
            self._page_size = len(data)
        if len(data) != self._page_size or offset % self._page_size:
            raise self._fail(
                StorageError("the page size of a database cannot be changed after its first transaction")
            )
        if len(self._dirty) * self._page_size >= self._max_transaction_bytes:
            limit = self._max_transaction_bytes
            raise self._fail(TransactionTooLarge(f"the transaction changes more than {limit} bytes of pages"))
        number = offset // self._page_size + 1
        self._dirty[number] = data
        self._size = max(self._size, number)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        pages = size // self._page_size
        self._dirty = {number: page for number, page in self._dirty.items() if number <= pages}
        self._size = pages

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Commits, if this is a commit: rolling back syncs as well, but leaves the change counter where it
        was."""
        page_one = self._dirty.get(1)
        if self.failure is not None or page_one is None or not self._counter_moved(page_one):
            return
        commit = int.from_bytes(page_one[_DATABASE_SIZE], "big")
        try:
            view = self._store.commit(self.view, self._dirty, commit, self._page_size)
        except StorageError as error:
            raise self._fail(error) from error.__cause__
        self._dirty = {}
        self._show(view)
        self.next_view = view

    def _fail(self, error: StorageError) -> StorageError:
        self.failure = error
        return error

    def _counter_moved(self, page_one: bytes) -> bool:
        if not self.view.commit:
            return True
        return page_one[_CHANGE_COUNTER] != self._store.page_one(self.view)[_CHANGE_COUNTER]

    def _show(self, view: View) -> None:
        self.view = view
        self._size = view.commit
        self._page_size = view.page_size

    def xClose(self) -> None:  # noqa: N802
        self._dirty = {}

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return (
            apsw.SQLITE_IOCAP_ATOMIC
            | apsw.SQLITE_IOCAP_SAFE_APPEND
            | apsw.SQLITE_IOCAP_SEQUENTIAL
            | apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
            | apsw.SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN
        )

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        return False
