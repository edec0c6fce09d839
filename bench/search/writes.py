"""The cost of an index: bytes of LTX for each inserted row, and the time to index everything."""

import resource
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from bench.search.packages import DEFINITION, Package, build
from lamdb.search import tables
from lamdb.storage import Database
from lamdb.storage.backup.importing import import_file

_INSERTED: Final = 200
_INSERT: Final = (
    "INSERT INTO Package (name, summary, description, section, priority, installed, dependants)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


class Bytes(NamedTuple):
    """Bytes of the LTX file of a commit that inserted one row."""

    what: str
    median: int
    ninety: int
    most: int


class Bulk(NamedTuple):
    """Seconds of CPU for filling the index of all packages, and how much the process then grew, in MiB."""

    documents: int
    seconds: float
    mebibytes: float


def single_rows(packages: Sequence[Package], folder: Path) -> list[Bytes]:
    """Inserts rows one by one into an index of all other packages, and into the table alone."""
    return [_single_rows(packages, folder, indexed=indexed) for indexed in (False, True)]


def _single_rows(packages: Sequence[Package], folder: Path, *, indexed: bool) -> Bytes:
    path = folder / "writes.db"
    connection = build(path, packages[:-_INSERTED])
    if not indexed:
        for statement in tables.drop(DEFINITION):
            connection.execute(statement)
    connection.close()
    shutil.rmtree(folder / "writes", ignore_errors=True)
    store = folder / "writes" / ("writes-indexed" if indexed else "writes-plain")
    sizes = []
    with Database.open(f"file://{store}") as database:
        import_file(database, path, folder)
        for package in packages[-_INSERTED:]:
            with database.writer() as writer:
                writer.execute(_INSERT, package)
            newest = f"{database.txid:016x}-{database.txid:016x}.ltx"
            sizes.append(next(store.rglob(newest)).stat().st_size)
    sizes.sort()
    return Bytes(
        "with the index" if indexed else "without",
        sizes[len(sizes) // 2],
        sizes[len(sizes) * 9 // 10],
        sizes[-1],
    )


def bulk(connection: apsw.Connection) -> Bulk:
    """Fills the index anew, as a migration does."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for statement in tables.fill(DEFINITION):
        connection.execute(statement)
    seconds = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    documents: int = connection.execute("SELECT count(*) FROM Package").get
    return Bulk(documents, seconds, grown / 1024)
