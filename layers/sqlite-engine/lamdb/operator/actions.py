"""The operators' mutations: the fields of the SDL's `Mutation`. Each is done by one call, completely or not
at all."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from lamdb.deployment import apply
from lamdb.deployment.apply import Applied
from lamdb.errors import MigrationError, NotAStore, VariablesInvalid
from lamdb.operator.session import OperatorSession
from lamdb.operator.status import Arguments, Object, applied_migrations, restore_point, uncompacted_files
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate as migrating
from lamdb.prisma.migrate.migrations import Migration, migration_of
from lamdb.prisma.migrate.searches import faults_of_file
from lamdb.prisma.migrate.settling import SettledColumn
from lamdb.storage import open_store
from lamdb.storage.backup.litestream import Litestream
from lamdb.storage.backup.restore import restore_store
from lamdb.storage.backup.verification import verify as verify_store
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import txid_at
from lamdb.storage.maintenance.background import MaintenanceReport

log = logging.getLogger("lamdb.operator")

_SHORTEST: Final = 0.1
_LONGEST: Final = 600.0


def migrate(session: OperatorSession, arguments: Arguments) -> Object:
    """Raises `MigrationError` and `SchemaError`, with nothing changed, and `StorageError`."""
    migrations, schema = _migrations(arguments), _schema(arguments)
    dry_run = bool(arguments.get("dryRun"))
    if schema is None:
        raise VariablesInvalid("The schema is missing: give `schema`, or `files` if there are several.")
    # What the history says against the migrations matters more than what the schema does.
    migrating.pending(session.connection, migrations)
    if not arguments.get("allowUnmigrated"):
        apply.require_migrated(migrations, schema, "DIRECTORY")
    accept_loss = bool(arguments.get("acceptDataLoss"))
    done = apply.deploy(session.database, migrations, schema, dry_run=dry_run, accept_loss=accept_loss)
    return {
        "applied": _applied(done.applied),
        "schemaChanged": done.schema_changed,
        "txid": done.txid,
        "dryRun": dry_run,
        "columns": _columns(done.values),
    }


def repair(session: OperatorSession, arguments: Arguments) -> Object:
    """Raises `StorageError`, with nothing changed."""
    dry_run = bool(arguments.get("dryRun"))
    session.database.refresh()
    values = apply.repair(session.database, dry_run=dry_run)
    return {"columns": _columns(values), "txid": session.database.txid, "dryRun": dry_run}


def resolve(session: OperatorSession, arguments: Arguments) -> Object | None:
    """The migration as it is recorded then. Raises `MigrationError`, with nothing changed, `StorageError`."""
    name = str(arguments["migration"])
    if arguments["as"] == "APPLIED":
        apply.mark_applied(session.database, name, _migrations(arguments))
    else:
        apply.mark_rolled_back(session.database, name)
    log.info("marked migration", extra={"migration": name, "as": arguments["as"]})
    recorded = [each for each in applied_migrations(session.connection) if each["name"] == name]
    return recorded[-1] if recorded else None


def compact(session: OperatorSession, arguments: Arguments) -> Object:
    """Raises `VariablesInvalid`, `CorruptFile`, `StoreUnavailable`."""
    seconds = arguments.get("seconds")
    if seconds is None:
        seconds = session.context.settings.maintenance_seconds
    elif not _SHORTEST <= seconds <= _LONGEST:
        raise VariablesInvalid(f"`seconds` is {seconds:g}: it must be from {_SHORTEST} to {_LONGEST:g}.")
    session.database.refresh()
    prune = arguments.get("prune") is not False
    if arguments.get("dryRun"):
        return _compaction(session, session.context.maintenance.plan(prune=prune))
    return _compaction(session, session.context.maintenance.run(seconds, prune=prune))


def _compaction(session: OperatorSession, done: MaintenanceReport) -> Object:
    return {
        "finished": done.work.finished,
        "merges": done.work.merges,
        "bytesRead": done.work.bytes_read,
        "bytesWritten": done.work.bytes_written,
        "deleted": len(done.pruned),
        "uncompactedFiles": uncompacted_files(session, {}),
    }


def snapshot(session: OperatorSession, _: Arguments) -> Object:
    """Raises `NotAStore`, `CorruptFile`, `StoreUnavailable`."""
    return restore_point(session.context.maintenance.snapshot())


def verify(session: OperatorSession, arguments: Arguments) -> Object:
    """Raises `NotRestorable`, `NotAStore`, `CorruptFile`, `StoreUnavailable`, `TargetError`.

    With `litestream` also `SettingsError` if its command is not installed, and `TimeLimit`.
    """
    litestream = Litestream.find() if arguments.get("litestream") else None
    session.database.refresh()
    with tempfile.TemporaryDirectory(prefix="lamdb-") as scratch:
        found = verify_store(
            session.database.pages,
            Path(scratch),
            txid=arguments.get("txid"),
            inspect=apply.deviations,
            check=faults_of_file,
            litestream=litestream,
            deadline=session.deadline,
        )
    return {
        "ok": found.ok,
        "txid": found.txid,
        "size": found.size,
        "faults": list(found.faults),
        "columns": list(found.values),
        "litestreamTxid": found.litestream_txid,
    }


def restore(session: OperatorSession, arguments: Arguments) -> Object:
    """Raises `NotEmpty`, `NotRestorable`, `VariablesInvalid`, `SettingsError`, `StorageError`."""
    url = str(arguments["to"])
    if urlsplit(url).scheme == "memory":
        raise VariablesInvalid("`to` is in memory: a database restored there would be lost at once.")
    replica = session.database.pages.replica
    txid = _txid(replica, arguments)
    with closing(open_store(url)) as target, tempfile.TemporaryDirectory(prefix="lamdb-") as scratch:
        header = restore_store(replica, txid, target, Path(scratch))
    log.info("restored to a new store", extra={"txid": txid, "store": url})
    return {"store": url, "txid": txid, "size": header.commit * header.page_size}


def reset(session: OperatorSession, arguments: Arguments) -> Object:
    """Raises `VariablesInvalid`, `MigrationError` and `SchemaError`, with nothing changed, `StorageError`."""
    if arguments["confirm"] != session.database.url:
        raise VariablesInvalid(
            f"`confirm` must be the store's URL, {session.database.url}: nothing was changed."
        )
    migrations, schema = _migrations(arguments), _schema(arguments)
    if migrations and schema is None:
        raise VariablesInvalid("The schema of the migrations is missing: give `schema` or `files`.")
    if schema is not None:
        apply.require_migrated(migrations, schema, "DIRECTORY")
    before = session.database.refresh()
    done = apply.reset(session.database, migrations, schema)
    log.warning("reset the database", extra={"before": before, "txid": done.txid})
    return {
        "before": before,
        "txid": done.txid,
        "applied": _applied(done.applied),
        "columns": _columns(done.values),
    }


def _applied(applied: Sequence[Applied]) -> list[Object]:
    return [
        {"name": each.name, "milliseconds": each.milliseconds, "changedRows": each.changed_rows}
        for each in applied
    ]


def _columns(values: Sequence[SettledColumn]) -> list[Object]:
    return [asdict(each) for each in values]


def _migrations(arguments: Arguments) -> list[Migration]:
    """Raises `MigrationError` if two have one name, or if SQLite could not read a script."""
    given: list[Mapping[str, Any]] = arguments.get("migrations") or []
    found = {each["name"]: migration_of(each["name"], each["sql"]) for each in given}
    if len(found) < len(given):
        raise MigrationError("Two migrations have the same name.", hint="Send each folder once.")
    return [found[name] for name in sorted(found)]


def _schema(arguments: Arguments) -> PrismaSchema | None:
    """Raises `SchemaError`, `VariablesInvalid`."""
    text, files = arguments.get("schema"), arguments.get("files")
    if text is not None and files is not None:
        raise VariablesInvalid("Give `schema` or `files`, not both.")
    if files is not None:
        return PrismaSchema.parse({file["name"]: file["text"] for file in files})
    return None if text is None else PrismaSchema.parse(str(text))


def _txid(replica: Replica, arguments: Arguments) -> int:
    """The transaction whose state is asked for. Raises `VariablesInvalid`, `NotRestorable`, `NotAStore`."""
    txid, at = arguments.get("txid"), arguments.get("at")
    if txid is not None and at is not None:
        raise VariablesInvalid("Give `txid` or `at`, not both.")
    if at is not None:
        return txid_at(replica, datetime.fromisoformat(at))
    if txid is None:
        txid = replica.newest_txid()
        if not txid:
            raise NotAStore(f"{replica.store.url} holds no database")
    return int(txid)
