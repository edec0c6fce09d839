"""Verifies a store: restores a state, checks it, and compares it with a reader's."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from lamdb.errors import StoreRefused, StoreUnsuitable
from lamdb.storage.backup.litestream import Digests, Litestream, faults_of_restore, restorable_txid
from lamdb.storage.backup.restore import Progress, restore_file
from lamdb.storage.budget import NEVER, Deadline
from lamdb.storage.ltx import ltx
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore
from lamdb.storage.readahead import ReadAhead
from lamdb.storage.stores.objectstore import ObjectStore

_MOST_FAULTS: Final = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """The findings of a verification. `faults` is empty if all is well; `size` is that of the restored file
    in bytes."""

    txid: int
    size: int
    faults: tuple[str, ...]
    values: tuple[str, ...] = ()
    """The findings of `inspect` in the restored file. They are not faults of the store."""
    litestream_txid: int | None = None
    """The transaction whose state Litestream restored, too; None without Litestream."""

    @property
    def ok(self) -> bool:
        return not self.faults


def verify(
    pages: PageStore,
    scratch: Path,
    *,
    txid: int | None = None,
    progress: Progress | None = None,
    inspect: Callable[[apsw.Connection], Sequence[str]] | None = None,
    check: Callable[[Path], Sequence[str]] | None = None,
    litestream: Litestream | None = None,
    deadline: Deadline = NEVER,
) -> Verification:
    """Restores the state after `txid` (None: the newest) into `scratch`, a directory with room for it.

    - Each LTX file of the state is read whole, its checksum included.
    - SQLite checks the restored file: `integrity_check`, `foreign_key_check`.
    - Every page is compared with the page that a reader gets by the page indexes.
    - `inspect` is called with a connection to the restored file, if SQLite found no faults.
    - `check` is called with its path, if there are no faults so far, and returns further faults. It may write
      to the file.
    - If `txid` is None: no transaction is missing from the history, and the store's puts are create-only. The
      second check is skipped if this process may not write.
    - `litestream` restores the state too, before `deadline`, and the two files are compared page by page. If
      the state consists of too many files for it, the newest state that does not is restored.

    Raises `NotRestorable`, `CorruptFile`, `StoreUnavailable`, `TargetError`; with `litestream` also
    `SettingsError` and `TimeLimit`.
    """
    if txid is None:
        pages.require_database()
        view = pages.pin()
    else:
        view = pages.view_at(txid)
    path = scratch / f".lamdb-{secrets.token_hex(8)}.tmp"
    digests, by_litestream = Digests(view.page_size), None
    try:
        header = restore_file(pages.replica, view.txid, path, progress=progress)
        faults, values = list(_differences(pages, view, path, digests)), tuple[str, ...]()
        with _restored(path) as connection:
            faults += _faults_of_file(connection)
            if inspect is not None and not faults:
                values = tuple(inspect(connection))
        if check is not None and not faults:
            faults += check(path)
        if txid is None:
            faults += map(str, pages.replica.history()[1])
            faults += _faults_of_store(pages.replica.store)
        if litestream is not None:
            # There is room for one copy at a time.
            path.unlink()
            by_litestream = restorable_txid(pages.replica, view.txid)
            if by_litestream != view.txid:
                restore_file(pages.replica, by_litestream, path)
                digests = Digests.of(path, view.page_size)
                path.unlink()
            url = pages.replica.store.url
            faults += faults_of_restore(litestream, url, by_litestream, digests, scratch, deadline)
    finally:
        path.unlink(missing_ok=True)
        if txid is None:
            pages.unpin(view)
    size = header.commit * header.page_size
    return Verification(view.txid, size, tuple(faults[:_MOST_FAULTS]), values, by_litestream)


def _faults_of_store(store: ObjectStore) -> Iterator[str]:
    try:
        store.require_create_only()
    except StoreUnsuitable as error:
        yield error.message
    except StoreRefused:
        pass  # A process that may not write cannot find out.


def _differences(pages: PageStore, view: View, path: Path, digests: Digests) -> Iterator[str]:
    """Describes the pages that differ between a reader and the restored file. Adds each page's digest to
    `digests`."""
    lock = ltx.lock_page(view.page_size)
    reading = ReadAhead(pages.fetcher)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if size != view.commit * view.page_size:
            yield f"the restored file has {size} bytes in place of {view.commit * view.page_size}"
        for number in range(1, view.commit + 1):
            restored = os.pread(descriptor, view.page_size, (number - 1) * view.page_size)
            digests.add(restored)
            if number != lock and reading.read(view, number) != restored:
                yield f"page {number} is not restored as readers see it"
    finally:
        os.close(descriptor)


@contextmanager
def _restored(path: Path) -> Iterator[apsw.Connection]:
    # Immutable: a file in WAL mode is looked at without making a WAL beside it.
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags)
    try:
        yield connection
    finally:
        connection.close()


def _faults_of_file(connection: apsw.Connection) -> Iterator[str]:
    try:
        for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST_FAULTS})"):
            if text != "ok":
                yield str(text)
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            yield f"row {row} of {table} refers to a row of {parent} that is not there"
    except apsw.Error as error:
        yield f"SQLite cannot read the restored file: {error}"
