"""The operators' queries: the fields of the SDL's `Query`, as mappings with the SDL's names."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

import apsw

import lamdb
from lamdb.errors import VariablesInvalid
from lamdb.graphql import stored_schema
from lamdb.graphql.execution.prepared import CachedDocument
from lamdb.graphql.slow_operations import SlowOperation, document_hash
from lamdb.operator.session import OperatorSession
from lamdb.prisma.migrate.snapshot import snapshot
from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE
from lamdb.prisma.wasm.artifacts import PRISMA_BUILD
from lamdb.storage.ltx.restorepoints import RestorePoint, find_backups, restore_range
from lamdb.storage.maintenance.compaction import plan_merges

type Object = Mapping[str, Any]
type Arguments = Mapping[str, Any]

MOST: Final = 1000
"""The allowed values of `first`: each restore point costs a request."""

_HISTORY: Final = (
    "SELECT migration_name, checksum, started_at, finished_at, rolled_back_at, applied_steps_count, logs"
    f' FROM "{MIGRATIONS_TABLE}"'
)


def database(session: OperatorSession, _: Arguments) -> Object:
    """Raises `StorageError`."""
    view = session.view
    return {
        "store": session.database.url,
        "txid": view.txid,
        "committedAt": moment(view.timestamp_ms) if view.txid else None,
        "size": view.commit * view.page_size,
        "pageSize": view.page_size,
        "pages": view.commit,
        "lag": session.lag,
        "lastCheck": last_check(session),
        "versions": versions(),
        "readOnly": session.context.read_only,
    }


def last_check(session: OperatorSession) -> Object | None:
    found = session.database.pages.last_check
    if found is None:
        return None
    return {
        "finishedAt": moment(found.finished_at.timestamp() * 1000),
        "files": found.files,
        "size": found.bytes,
        "faults": list(found.faults),
    }


def schema_hash(session: OperatorSession, _: Arguments) -> str | None:
    return stored_schema.read_hash(session.connection)


def levels(session: OperatorSession, _: Arguments) -> list[Object]:
    """Raises `StorageError`."""
    by_level = groupby(sorted(session.files, key=lambda file: file.level), key=lambda file: file.level)
    found: list[Object] = []
    for level, group in by_level:
        files = list(group)
        found.append(
            {
                "level": level,
                "files": len(files),
                "size": sum(file.size for file in files),
                "minTxid": min(file.min_txid for file in files),
                "maxTxid": max(file.max_txid for file in files),
            }
        )
    return found


def uncompacted_files(session: OperatorSession, _: Arguments) -> int:
    """Raises `StorageError`."""
    merges = plan_merges(session.database.pages.replica.files())
    return sum(len(merge.inputs) for merge in merges)


def versions() -> Object:
    return {
        "lamdb": lamdb.__version__,
        "sqlite": apsw.sqlite_lib_version(),
        "prisma": PRISMA_BUILD,
        "python": platform.python_version(),
    }


def schema(session: OperatorSession, _: Arguments) -> str | None:
    return stored_schema.read_text(session.connection)


def schema_files(session: OperatorSession, _: Arguments) -> list[Object]:
    files = stored_schema.read_files(session.connection) or {}
    return [{"name": name, "text": text} for name, text in files.items()]


def migrations(session: OperatorSession, _: Arguments) -> list[Object]:
    return applied_migrations(session.connection)


def applied_migrations(connection: apsw.Connection) -> list[Object]:
    """The whole history, in the order in which it was applied."""
    exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    if not connection.execute(exists, (MIGRATIONS_TABLE,)).get:
        return []
    return [_migration(*row) for row in connection.execute(f"{_HISTORY} ORDER BY started_at, rowid")]


def _migration(
    name: str, checksum: str, started: Any, finished: Any, rolled_back: Any, steps: int, logs: str | None
) -> Object:
    return {
        "name": name,
        "checksum": checksum,
        "startedAt": moment(started),
        "finishedAt": None if finished is None else moment(finished),
        "rolledBackAt": None if rolled_back is None else moment(rolled_back),
        "steps": steps,
        "logs": logs,
    }


def restore_points(session: OperatorSession, arguments: Arguments) -> list[Object]:
    """Raises `VariablesInvalid`, `StorageError`."""
    found = find_backups(session.database.pages.replica, first(arguments))
    found.require_whole(session.database.url)
    return [restore_point(point) for point in found.points]


def restore_point(point: RestorePoint) -> Object:
    return {
        "txid": point.txid,
        "time": moment(point.timestamp_ms),
        "size": point.size,
        "level": point.level,
    }


def restorable(session: OperatorSession, _: Arguments) -> Object:
    """Raises `StorageError`."""
    found = restore_range(session.database.pages.replica)
    if found is None:
        return {"states": 0, "oldest": None, "newest": None}
    oldest, newest = restore_point(found.oldest), restore_point(found.newest)
    return {"states": found.total, "oldest": oldest, "newest": newest}


def tables(session: OperatorSession, _: Arguments) -> str:
    return snapshot(session.connection).sql


def slow_operations(session: OperatorSession, arguments: Arguments) -> list[Object]:
    """Raises `VariablesInvalid`."""
    return [_slow(each) for each in session.context.apis.slow.slowest(first(arguments))]


def _slow(operation: SlowOperation) -> Object:
    return {
        "name": operation.name,
        "kind": operation.kind,
        "hash": operation.hash,
        "count": operation.count,
        "slowestMs": operation.slowest_ms,
        "totalMs": operation.total_ms,
        "lastAt": moment(operation.last_at.timestamp() * 1000),
    }


def documents(session: OperatorSession, arguments: Arguments) -> list[Object]:
    """Raises `VariablesInvalid`."""
    return [_document(each) for each in session.context.apis.documents()[: first(arguments)]]


def _document(document: CachedDocument) -> Object:
    return {
        "hash": document_hash(document.text),
        "name": document.names[0] if len(document.names) == 1 else None,
        "kind": document.kind,
        "size": len(document.text.encode("utf-8", "surrogatepass")),
        "uses": document.uses,
    }


def first(arguments: Arguments) -> int:
    """How many entries of a list are asked for. Raises `VariablesInvalid`."""
    wanted = arguments.get("first")
    if wanted is None:
        return MOST
    if not 1 <= wanted <= MOST:
        raise VariablesInvalid(f"`first` is {wanted}: it must be from 1 to {MOST}.")
    return int(wanted)


def moment(value: float | str) -> str:
    """A time as the API writes it: from milliseconds since 1970, or from text as SQLite and Prisma write."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            return value
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    else:
        time = datetime.fromtimestamp(value / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
