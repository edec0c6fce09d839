"""Imports a SQLite file into an empty store.

The pages are written by several transactions of bounded size. All but the last contain the first page of an
empty database, so a reader sees a database without tables until the import is complete, or if it was
interrupted. The last transaction contains the real first page and makes all tables visible at once.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import apsw

from lamdb.errors import NotEmpty, SourceError
from lamdb.storage import collations
from lamdb.storage.backup.restore import Progress
from lamdb.storage.backup.sniffing import describe_directory, describe_other
from lamdb.storage.database import Database
from lamdb.storage.ltx import ltx
from lamdb.storage.pages import View
from lamdb.storage.rollforward import PageChanges

_SLICE_BYTES: Final = 16 * 1024 * 1024
_BACKUP_BYTES: Final = 16 * 1024 * 1024
_VERSIONS: Final = slice(18, 20)
_UNKNOWN_FUNCTION: Final = re.compile(r"(?:unknown|no such) function: (?P<name>\w+)")
_ROLLBACK_JOURNAL: Final = b"\x01\x01"


def import_file(database: Database, source: Path, scratch: Path, *, progress: Progress | None = None) -> int:
    """Imports the SQLite file `source` into `database`, which must have no tables. Returns its new TXID.

    The content of the file's WAL is included. The file is checked first and is not changed. `scratch` is a
    directory with room for a copy. `progress` is a callback (bytes done, bytes in all). After an interruption
    the database still has no tables, and the import can be started again. Raises `SourceError`, `NotEmpty`,
    `Fenced` if another process writes at the same time, and all errors of commits.
    """
    require_empty(database)
    with checked_copy(source, scratch) as copy:
        return import_copy(database, copy.path, progress=progress)


def import_copy(database: Database, copy: Path, *, progress: Progress | None = None) -> int:
    """Imports the result of `checked_copy`, which no other program writes to."""
    require_empty(database)
    descriptor = os.open(copy, os.O_RDONLY)
    try:
        header = os.pread(descriptor, 100, 0)
        page_size = int.from_bytes(header[16:18], "big")
        page_size = 65536 if page_size == 1 else page_size
        pages = os.fstat(descriptor).st_size // page_size
        return _load(database, descriptor, pages, page_size, progress)
    finally:
        os.close(descriptor)


def require_empty(database: Database) -> None:
    """Raises `NotEmpty` if the database has tables."""
    database.refresh()
    with database.reader() as connection:
        if connection.execute("SELECT count(*) FROM sqlite_schema").get:
            raise NotEmpty(
                f"{database.url} holds a database with tables",
                hint="Import into an empty store, and switch over to it.",
            )


@dataclass(frozen=True, slots=True)
class SourceCopy:
    """A checked copy of a file, and the collations that were replaced in it."""

    path: Path
    replaced: tuple[collations.Replaced, ...]


@contextmanager
def checked_copy(source: Path, scratch: Path) -> Iterator[SourceCopy]:
    """Yields a checked, consistent copy of the file and its WAL, which is deleted after the block.

    Collations that SQLite does not have are replaced in the copy, see `collations`. Raises `SourceError`.
    """
    copy = scratch / f".lamdb-{secrets.token_hex(8)}.tmp"
    try:
        yield SourceCopy(copy, _back_up(source, copy))
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _back_up(source: Path, copy: Path) -> tuple[collations.Replaced, ...]:
    require_sqlite_file(source)
    try:
        with _reading(source) as reading:
            reading.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
            is_foreign = collations.has_unknown(reading)
            if not is_foreign:
                _check(source, reading)
            _copy_pages(reading, copy)
        return _replace_collations(source, copy) if is_foreign else ()
    except apsw.BusyError as error:
        raise SourceError(f"{source}: {error}", hint="Close the program that has it open.") from error
    except (apsw.Error, OSError) as error:
        found = _UNKNOWN_FUNCTION.search(str(error))
        if found is not None:
            name = f"{found['name']}()"
            raise SourceError(
                f"{source}: an index, a generated column or a CHECK calls {name}, which SQLite does not have",
                hint="The program that wrote the file defined it. Drop what calls it, in a copy of the file.",
            ) from error
        raise SourceError(f"{source}: {error}") from error


def require_sqlite_file(source: Path) -> None:
    """Raises `SourceError` with the format that the file seems to have."""
    if source.is_dir():
        what, hint = describe_directory(source)
        raise SourceError(f"{source} is {what}, not a file", hint=hint)
    if not source.exists():
        raise SourceError(f"there is no file {source}", hint="Name a SQLite database file.")
    if not source.is_file():
        raise SourceError(f"{source} is not a file", hint="Name a SQLite database file.")
    if not source.stat().st_size:
        raise SourceError(
            f"{source} is empty: it has no tables to import",
            hint="An empty store needs no import: see `lamdb migrate dev`.",
        )
    try:
        other = describe_other(source)
    except OSError as error:
        raise SourceError(f"{source}: {error.strerror or error}") from error
    if other is not None:
        raise SourceError(f"{source} seems to be {other[0]}: not a SQLite database", hint=other[1])


@contextmanager
def _reading(source: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        yield connection
    finally:
        connection.close(True)


def _check(source: Path, connection: apsw.Connection) -> None:
    faults = [text for (text,) in connection.execute("PRAGMA integrity_check(5)")]
    if faults != ["ok"]:
        raise SourceError(f"{source} is damaged: {'; '.join(faults)}", meta={"faults": faults})


def _replace_collations(source: Path, copy: Path) -> tuple[collations.Replaced, ...]:
    """Replaces collations in the copy, which cannot be checked before."""
    connection = apsw.Connection(str(copy))
    try:
        connection.execute("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").fetchall()
        replaced = collations.replace(connection)
        _check(source, connection)
        return replaced
    finally:
        connection.close(True)


def _copy_pages(reading: apsw.Connection, copy: Path) -> None:
    writing = apsw.Connection(str(copy))
    try:
        writing.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        step = max(1, _BACKUP_BYTES // int(reading.execute("PRAGMA page_size").get))
        with writing.backup("main", reading, "main") as backup:
            while not backup.done:
                backup.step(step)
    finally:
        writing.close(True)


def _load(database: Database, descriptor: int, pages: int, page_size: int, progress: Progress | None) -> int:
    empty = _empty_page_one(page_size)
    lock = ltx.lock_page(page_size)
    per_slice = max(1, _SLICE_BYTES // page_size)

    def read(number: int) -> bytes:
        return os.pread(descriptor, page_size, (number - 1) * page_size)

    base: int | None = None
    for start in range(2, max(pages, 2) + 1, per_slice):
        end = min(start + per_slice - 1, pages)
        numbers = [number for number in range(start, end + 1) if number != lock]
        one = _page_one(read(1)) if end == pages else empty
        change = PageChanges({1: one, **{number: read(number) for number in numbers}}, max(end, 1), page_size)
        base = database.change_pages(partial(_following, base=base, change=change))
        if progress is not None:
            progress(end * page_size, pages * page_size)
    return database.txid


def _following(head: View, *, base: int | None, change: PageChanges) -> PageChanges:
    """Returns `change`. Raises `NotEmpty` if another process has written since `base`."""
    if base is not None and head.txid != base:
        raise NotEmpty(
            f"something else wrote transaction {head.txid} during the import",
            hint="Stop other writers of the store, and import again.",
        )
    if head.txid and head.page_size != change.page_size:
        raise NotEmpty(
            f"the store has pages of {head.page_size} bytes, the file of {change.page_size}",
            hint="Import into a store that was never written to.",
        )
    return change


def _page_one(page: bytes) -> bytes:
    return page[: _VERSIONS.start] + _ROLLBACK_JOURNAL + page[_VERSIONS.stop :]


def _empty_page_one(page_size: int) -> bytes:
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(f"PRAGMA page_size = {page_size}; PRAGMA user_version = 0; VACUUM")
        connection.execute("CREATE TABLE t(a); DROP TABLE t; VACUUM")
        return connection.serialize("main")[:page_size]
    finally:
        connection.close()
