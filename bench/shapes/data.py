"""The rows that the shapes are measured on: those of `bench.data`, with one more index."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from bench import data
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.storage import Database
from lamdb.storage.backup.importing import import_file

SCHEMA = data.SCHEMA.replace("@@index([authorId])", "@@index([authorId])\n  @@index([views])")

_POSTS_PER_AUTHOR = 100
_CACHE_KIB = 512 * 1024


def plain_file(folder: Path, posts: int) -> Path:
    """A SQLite file with so many posts, made unless `folder` has it."""
    path = folder / f"shapes-{posts}.db"
    if path.exists():
        return path
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    connection = apsw.Connection(str(unfinished))
    connection.execute("PRAGMA page_size = 8192; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")
    push(connection, PrismaSchema.parse(SCHEMA))
    with connection:
        data.fill(connection, size_of(posts))
    connection.close()
    return unfinished.rename(path)


def size_of(posts: int) -> data.Size:
    return data.Size(posts=posts, authors=max(10, posts // _POSTS_PER_AUTHOR), links_per_post=1)


def plain(path: Path) -> apsw.Connection:
    """The file as an application opens it by hand, with a cache that holds all of it."""
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


@contextmanager
def imported(path: Path, scratch: Path) -> Iterator[Database]:
    """The same rows in a store in memory."""
    with Database.open("memory:", cache_bytes=_CACHE_KIB * 1024) as database:
        import_file(database, path, scratch)
        yield database
