"""The implementation of `lamdb status`: the state of a database and its store."""

from collections.abc import Iterator, Mapping
from typing import Any

from lamdb.cli.options import Located
from lamdb.cli.output import CommandOutput, moment_in_words, size_in_words
from lamdb.cli.remote import Operator
from lamdb.cli.targets import open_target
from lamdb.counting import counted
from lamdb.graphql.from_settings import open_database, serving
from lamdb.operator import status as reading
from lamdb.operator.session import OperatorContext, OperatorSession
from lamdb.settings import Settings


def status(located: Located, *, output: CommandOutput) -> None:
    found = _of_store(located.settings) if located.is_store else _elsewhere(located)
    database, migrations, restorable = found["database"], found["migrations"], found["restorable"]
    applied = [each for each in migrations if each["finishedAt"] and not each["rolledBackAt"]]
    failed = [each for each in migrations if not each["finishedAt"] and not each["rolledBackAt"]]
    rows = [
        *_database(database),
        *_migrations(applied, failed),
        *_restorable(restorable),
        *_made_of(database),
    ]
    width = max(len(label) for label, _ in rows)
    history = {"applied": len(applied), "failed": len(failed), "last": applied[-1] if applied else None}
    output.result(
        {**database, "migrations": history, "restorable": restorable},
        (f"{label:{width}}  {text}" for label, text in rows),
    )


def _of_store(settings: Settings) -> dict[str, Any]:
    """The same data as the operator API gives, read without tartiflette."""
    with (
        open_database(settings, create=False) as opened,
        OperatorSession(OperatorContext(opened, serving(settings), settings)) as session,
    ):
        database = {
            **reading.database(session, {}),
            "levels": reading.levels(session, {}),
            "uncompactedFiles": reading.uncompacted_files(session, {}),
            "schemaHash": reading.schema_hash(session, {}),
        }
        return {
            "database": database,
            "migrations": reading.migrations(session, {}),
            "restorable": reading.restorable(session, {}),
        }


def _elsewhere(located: Located) -> dict[str, Any]:
    with open_target(located) as target:
        return Operator(target).status()


def _database(database: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    committed = database["committedAt"]
    lag = database["lag"]
    yield "Store", database["store"]
    yield "Transaction", str(database["txid"]) + (f", {moment_in_words(committed)}" if committed else "")
    pages = f"{counted(database['pages'], 'page')} of {database['pageSize']} bytes"
    yield "Size", f"{size_in_words(database['size'])}: {pages}"
    for number, level in enumerate(database["levels"]):
        files = f"{counted(level['files'], 'file')}, {size_in_words(level['size'])}"
        span = f"transactions {level['minTxid']} to {level['maxTxid']}"
        yield "" if number else "Files", f"level {level['level']}: {files}, {span}"
    yield "Uncompacted", counted(database["uncompactedFiles"], "file")
    check = database.get("lastCheck")
    if check:
        files = f"{counted(check['files'], 'file')}, {moment_in_words(check['finishedAt'])}"
        yield "Checked", f"{files}: {'; '.join(check['faults']) or 'no faults'}"
    if lag:
        yield "Lag", f"{counted(lag, 'transaction')} behind the store"


def _migrations(applied: list[dict[str, Any]], failed: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    last = f", the last {applied[-1]['name']}" if applied else ""
    yield "Migrations", f"{len(applied)} applied{last}"
    if failed:
        yield "", f"{len(failed)} failed: {', '.join(each['name'] for each in failed)}"


def _restorable(restorable: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    oldest, newest = restorable["oldest"], restorable["newest"]
    if oldest is None:
        yield "Restorable", "nothing yet"
        return
    yield (
        "Restorable",
        f"{counted(restorable['states'], 'state')}, from transaction {oldest['txid']}"
        f" ({moment_in_words(oldest['time'])}) to {newest['txid']}",
    )


def _made_of(database: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    schema, versions = database["schemaHash"], database["versions"]
    yield "Schema", schema[:12] if schema else "none"
    names = (("lamDB", "lamdb"), ("SQLite", "sqlite"), ("Prisma", "prisma"), ("Python", "python"))
    # What follows Prisma's version is the commit of its engines.
    yield "Versions", ", ".join(f"{name} {versions[key].partition('-')[0]}" for name, key in names)
