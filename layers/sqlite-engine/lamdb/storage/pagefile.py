"""The file that SQLite sees as its database: a pinned snapshot, whose sync is the upload."""

from typing import Final

import apsw

from lamdb.errors import ReadOnly, StorageError
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore
from lamdb.storage.readahead import ReadAhead
from lamdb.storage.written import WrittenPages

_CHANGE_COUNTER: Final = slice(24, 28)
_DATABASE_SIZE: Final = slice(28, 32)
_PAGE_SIZE: Final = slice(16, 18)

_UNLOCKED: Final = apsw.SQLITE_LOCK_NONE
_SHARED: Final = apsw.SQLITE_LOCK_SHARED
_RESERVED: Final = apsw.SQLITE_LOCK_RESERVED

_FIXED_PRAGMAS: Final = {"journal_mode": "memory", "locking_mode": "normal", "synchronous": "2"}
"""Settings on which the commit protocol rests, and the answer to those who ask for others."""


class PageFile:
    """The main database file of one connection.

    The connection reads `view` until SQLite releases its SHARED lock, and `next_view` from the next SHARED
    lock on. Both must be pinned while statements run. Writes are kept in `WrittenPages` until SQLite syncs
    them, which is the commit.

    The methods are those of `apsw.VFSFile`. SQLite's current statement raises their errors.
    """

    def __init__(self, store: PageStore, view: View, *, writable: bool, max_transaction_bytes: int) -> None:
        self.view = view
        self.next_view = view
        self.level = _UNLOCKED
        self.repeatable = not writable
        """Whether every connection to the same view reads the same."""
        self.guarded = False
        """Whether the pragmas on which commits rest are fixed: set once the connection has been set up."""
        self.broken = False
        """A commit failed half-way. SQLite's cache may hold pages that exist nowhere: drop the connection."""
        self.refusal: StorageError | None = None
        """The error by which a page was refused; SQLite also writes pages before the commit."""
        self._store = store
        self._pages = ReadAhead(store.fetcher)
        self._writable = writable
        self._written = WrittenPages(max_transaction_bytes)
        self._size = self.view.commit
        self._page_size = self.view.page_size

    def excepthook(self, *_: object) -> None:
        """Nothing: apsw also raises the exception, from the statement that was running."""

    @property
    def changed_bytes(self) -> int:
        """The size of the pages that SQLite has written since the last commit."""
        return len(self._written) * self._page_size

    # Reading

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        number, start = divmod(offset, self._page_size)
        number += 1
        page = self._written.find(number)
        if page is None:
            if number > self._size or not self.view.commit:
                return b""
            page = self._store.page_one(self.view) if number == 1 else self._pages.read(self.view, number)
        return page if amount == len(page) else page[start : start + amount]

    def xFileSize(self) -> int:  # noqa: N802
        return self._size * self._page_size

    # Locking

    def xLock(self, level: int) -> None:  # noqa: N802
        if level >= _RESERVED and not self._writable:
            raise ReadOnly("this connection only reads")
        if self.level == _UNLOCKED:
            self._show(self.next_view)
        self.level = level

    def xUnlock(self, level: int) -> None:  # noqa: N802
        self.level = level
        if level <= _SHARED and self._written:
            self._written.clear()
            self._size = self.view.commit

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    # Writing

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.broken:
            return
        if not self.view.commit:
            self._page_size = len(data)
        if len(data) != self._page_size or offset % self._page_size:
            raise self._wrong_page_size()
        number = offset // self._page_size + 1
        self._size = max(self._size, number)
        try:
            self._written.add(number, data)
        except StorageError as error:
            self.broken = True
            self.refusal = error
            raise

    def xTruncate(self, size: int) -> None:  # noqa: N802
        pages = size // self._page_size
        self._written.truncate(pages)
        self._size = pages

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Commits, if this is a commit. SQLite also syncs after rolling back, with the old change counter."""
        page_one = self._written.find(1)
        if self.broken or page_one is None or not self._counter_moved(page_one):
            return
        if _page_size_in(page_one) != self._page_size:
            raise self._wrong_page_size()
        commit = int.from_bytes(page_one[_DATABASE_SIZE], "big")
        self.broken = True
        view = self._store.commit(self.view, self._written.content(), commit, self._page_size)
        self.broken = False
        self._written.clear()
        self.next_view = view
        self._show(view)

    def _wrong_page_size(self) -> StorageError:
        """The error of VACUUM after `PRAGMA page_size`: the files of one database share one page size."""
        self.broken = True
        return StorageError(
            f"the pages of this database have {self._page_size} bytes; that cannot be changed any more"
        )

    def _counter_moved(self, page_one: bytes) -> bool:
        if not self.view.commit:
            return True
        return page_one[_CHANGE_COUNTER] != self._store.page_one(self.view)[_CHANGE_COUNTER]

    def _show(self, view: View) -> None:
        self.view = view
        self._size = view.commit
        self._page_size = view.page_size

    # The rest

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        """Answers the pragmas that would break the commit protocol as if they had been refused."""
        if operation != apsw.SQLITE_FCNTL_PRAGMA or not self.guarded:
            return False
        pragma = apsw.VFSFcntlPragma(pointer)
        answer = _FIXED_PRAGMAS.get(pragma.name.lower())
        if answer is None:
            return False
        pragma.result = answer
        return True

    def xClose(self) -> None:  # noqa: N802
        self._written.clear()

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


def _page_size_in(page_one: bytes) -> int:
    """The page size that the database header names; 1 stands for 65536."""
    size = int.from_bytes(page_one[_PAGE_SIZE], "big")
    return 65536 if size == 1 else size
