"""The implementation of `lamdb import` and `lamdb schema introspect`."""

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import apsw

from lamdb.cli import after_import
from lamdb.cli.confirm import confirm
from lamdb.cli.output import CommandOutput, size_in_words
from lamdb.counting import counted
from lamdb.deployment.adopt import adopt, migrations_of, staged_migration, staged_project
from lamdb.deployment.own_project import join
from lamdb.deployment.project import Project, located
from lamdb.errors import SchemaError, SettingsError, TargetError
from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.layout import DEFAULT_FILE, MIGRATIONS_DIRECTORY, SchemaLayout
from lamdb.prisma.datamodel.naming import Style
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.introspection import warnings
from lamdb.prisma.introspection.introspect import Introspected, introspect, is_schema_of
from lamdb.prisma.introspection.warnings import Finding
from lamdb.prisma.migrate.migrate import schema_change
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.settling import SettledColumn, settle_times
from lamdb.prisma.migrate.snapshot import BASELINE, snapshot
from lamdb.server.instance import open_database
from lamdb.settings import Settings
from lamdb.storage import Database, collations
from lamdb.storage.backup.dumps import database_of
from lamdb.storage.backup.importing import (
    SourceCopy,
    checked_copy,
    import_copy,
    require_empty,
    require_sqlite_file,
)
from lamdb.storage.backup.sniffing import is_sql_script

_TEXTS_OF_TIMES = re.compile(r"declared as (datetime|timestamp).*: Times as text", re.IGNORECASE)

_SHOWN = 12
"""How many findings are printed."""


@dataclass(frozen=True, slots=True)
class IntrospectionOptions:
    """How a database is read: the style of names, and the number of rows of each table that are examined."""

    style: Style
    rows: int | None
    converts_times: bool = False
    """Times that are texts get the form of the API. For imports."""

    @classmethod
    def parse(cls, names: str, rows: str, *, converts_times: bool = False) -> "IntrospectionOptions":
        """The values of `--names`, `--scan-rows` and `--convert-times`. Raises `SettingsError`."""
        if names not in list(Style):
            raise SettingsError(f"--names is {names!r}: it must be one of {', '.join(Style)}")
        if rows == "all":
            return cls(Style(names), None, converts_times)
        if not rows.isascii() or not rows.isdigit():
            raise SettingsError(f"--scan-rows is {rows!r}: it must be a whole number or `all`")
        return cls(Style(names), int(rows), converts_times)


# Import.


def import_pages(settings: Settings, source: Path, scratch: Path, *, output: CommandOutput) -> None:
    """The file's pages, and nothing else."""
    if not is_sql_script(source):
        require_sqlite_file(source)
    with (
        database_of(source, scratch) as file,
        _open(settings) as database,
        checked_copy(file, scratch) as copy,
    ):
        txid = _load(database, copy.path, output=output)
    replaced = warnings.of_collations(copy.replaced)
    output.result(
        {"txid": txid, "file": str(source), "findings": [asdict(each) for each in replaced]},
        [
            f"Imported {source}: the store is at transaction {txid}.",
            *(f"  {_line(each)}" for each in replaced),
        ],
    )


def import_database(
    settings: Settings,
    source: Path,
    scratch: Path,
    reading: IntrospectionOptions,
    *,
    overwrite: bool,
    output: CommandOutput,
) -> None:
    """The file's pages, a schema that reads them, and the migration that they begin with.

    A directory that has the file's schema already keeps it.
    """
    directory = located(settings.database)
    if not is_sql_script(source):
        require_sqlite_file(source)
    own = None if overwrite else _project_at(directory)
    if own is None:
        _require_room(directory, overwrite=overwrite)
    with (
        database_of(source, scratch) as file,
        _open(settings) as database,
        checked_copy(file, scratch) as copy,
    ):
        require_empty(database)
        size = copy.path.stat().st_size
        if own is not None:
            _import_into(own, settings, source, copy, database, output=output)
            return
        with output.waiting("looking at the tables"):
            found, baseline, history = _look(copy, reading)
            if found.schema is not None:
                # In the copy, so that the store has the tables with their schema or nothing at all.
                adopt(copy.path, found.schema, () if baseline is None else (baseline,))
        with staged_project(directory, found.text, baseline) as path:
            txid = _load(database, copy.path, output=output)
    migrations = directory / MIGRATIONS_DIRECTORY

    def lines() -> Iterator[str]:
        yield f"Imported {source}, {size_in_words(size)}: the store is at transaction {txid}."
        yield f"Wrote {path}: {_counts(found)}"
        yield from _finding_lines(found.findings, where=path)
        if any(_TEXTS_OF_TIMES.match(each.message) for each in found.findings) and not reading.converts_times:
            yield "  Times that are text stay text: --convert-times makes such fields DateTime."
        if baseline is not None:
            yield f"Wrote {migrations / baseline.name}, which is recorded as applied."
        if found.schema is not None:
            yield from after_import.lines(after_import.of_history(history, migrations), settings, directory)

    made = {"schema": str(path), "migration": baseline.name if baseline else None}
    output.result({"txid": txid, "file": str(source), **made, **_as_json(found)}, lines())


def _import_into(
    project: Project,
    settings: Settings,
    source: Path,
    copy: SourceCopy,
    database: Database,
    *,
    output: CommandOutput,
) -> None:
    """The pages of a file whose schema, and perhaps migrations, the project has."""
    size = copy.path.stat().st_size
    with output.waiting("looking at the tables"):
        try:
            own = join(copy.path, project)
        except SchemaError as error:
            hint = "Correct the schema, replace it with --overwrite, or name another directory by --database."
            raise SchemaError(error.message, code=error.code, hint=hint) from None
    migrations = project.layout.migrations
    with staged_migration(migrations, own.baseline):
        txid = _load(database, copy.path, output=output)
    findings = tuple(warnings.of_collations(copy.replaced))
    written = project.layout.sources

    def lines() -> Iterator[str]:
        yield f"Imported {source}, {size_in_words(size)}: the store is at transaction {txid}."
        if own.agrees:
            yield f"Its schema is the one in {project.directory}, which was not changed."
        yield from (f"  {_line(each)}" for each in findings)
        yield from _settled_lines(own.settled)
        if own.baseline is not None:
            yield f"Wrote {migrations / own.baseline.name}, which is recorded as applied."
        if own.recorded:
            names = counted(len(own.recorded), "migration")
            yield f"Recorded {names} as applied: the tables are those that they make."
        elif own.status.applied:
            yield f"Migrations: {len(own.status.applied)} applied, {len(own.status.pending)} pending."
        steps = after_import.of_project(own, settings)
        yield from after_import.lines(steps, settings, project.directory)

    made: dict[str, object] = {
        "schema": str(written[0] if len(written) == 1 else project.directory),
        "migration": own.baseline.name if own.baseline else None,
        "recorded": [each.name for each in own.recorded],
        **_as_json(replace(own.found, findings=(*findings, *warnings.of_times(own.settled)))),
    }
    output.result({"txid": txid, "file": str(source), **made}, lines())


def _open(settings: Settings) -> Database:
    return Database.open(settings.require_store(), stale_after=settings.writer_stale_after)


def _load(database: Database, copy: Path, *, output: CommandOutput) -> int:
    with output.progress_bar("importing") as progress:
        return import_copy(database, copy, progress=progress)


def _look(
    copy: SourceCopy, reading: IntrospectionOptions
) -> tuple[Introspected, Migration | None, tuple[str, ...]]:
    """Returns the introspected file, its first migration unless it brings a history, and the names in that
    history."""
    connection = apsw.Connection(str(copy.path))
    try:
        with schema_change(connection):
            times = settle_times(connection, texts=reading.converts_times)
        known = [*warnings.of_collations(copy.replaced), *warnings.of_times(times)]
        found = _described(connection, reading, known)
        history = migrations_of(connection)
        return found, None if history else snapshot(connection, BASELINE), history
    finally:
        connection.close()


def _described(
    connection: apsw.Connection, reading: IntrospectionOptions, known: Sequence[Finding]
) -> Introspected:
    """The schema of a file. One that lamDB wrote carries it, with enums and searches that no table has."""
    files = stored_schema.read_files(connection)
    carried = None
    if files:
        schema = PrismaSchema.parse(files)
        if is_schema_of(connection, schema):
            return Introspected.known(connection, schema, known)
        carried = PrismaSchema.trusted(schema.text)
    return introspect(connection, carried=carried, style=reading.style, rows=reading.rows, known=known)


def _project_at(directory: Path) -> Project | None:
    """The project in a directory, or of a schema file; None if there is no schema."""
    has_schema = directory.exists() and bool(SchemaLayout.of(directory).sources)
    return Project(directory) if has_schema else None


def _require_room(directory: Path, *, overwrite: bool) -> None:
    """Raises unless a schema can be written: nothing there is replaced unasked."""
    hint = "Name another directory with --database, or bring the tables alone with --no-schema."
    migrations = directory / MIGRATIONS_DIRECTORY
    if migrations.is_dir() and any(path.is_dir() for path in migrations.iterdir()):
        raise TargetError(f"{directory} has migrations, of another database", hint=hint)
    files = sorted(path for path in directory.rglob("*.prisma") if path != directory / DEFAULT_FILE)
    if files:
        raise TargetError(f"{directory} has a schema: {files[0]}", hint=hint)
    if (directory / DEFAULT_FILE).exists() and not overwrite:
        confirm(f"Replace {directory / DEFAULT_FILE}?", "--overwrite, or name another --database")


# Introspection.


def introspect_store(
    settings: Settings,
    reading: IntrospectionOptions,
    target: Path | None,
    *,
    fresh: bool,
    overwrite: bool,
    output: CommandOutput,
) -> None:
    """The schema of a store's tables; names and comments of the schema it carries stay, unless `fresh`."""
    with open_database(settings, create=False) as opened, opened.reader() as connection:
        files = None if fresh else stored_schema.read_files(connection)
        carried = PrismaSchema.trusted(PrismaSchema.parse(files).text) if files else None
        found = introspect(connection, carried=carried, style=reading.style, rows=reading.rows)
    _show(found, target, overwrite=overwrite, output=output)


def introspect_file(
    source: Path,
    reading: IntrospectionOptions,
    target: Path | None,
    *,
    overwrite: bool,
    output: CommandOutput,
) -> None:
    """The schema of a SQLite file, which is not changed, or of that which a dump makes."""
    with tempfile.TemporaryDirectory() as scratch, database_of(source, Path(scratch)) as file:
        require_sqlite_file(file)
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            collations.add_fallbacks(connection)
            found = _described(connection, reading, [])
        finally:
            connection.close()
    _show(found, target, overwrite=overwrite, output=output)


def _show(found: Introspected, target: Path | None, *, overwrite: bool, output: CommandOutput) -> None:
    result = {"schema": found.text, **_as_json(found)}
    if target is not None:
        if target.exists() and not overwrite:
            confirm(f"Replace {target}?", "--overwrite")
        target.write_text(found.text, encoding="utf-8", newline="\n")
        written = f"Wrote {target}: {_counts(found)}"
        output.result(result, [written, *_finding_lines(found.findings, where=target)])
        return
    output.result(result, found.text.removesuffix("\n"))
    if not output.is_json:
        for each in found.findings:
            print(_line(each), file=sys.stderr)


# What is printed.


def _counts(found: Introspected) -> str:
    views = f" and {counted(found.views, 'view')}" if found.views else ""
    return f"{counted(found.models, 'model')}{views} for {counted(found.tables, 'table')}."


def _finding_lines(found: Sequence[Finding], *, where: Path) -> Iterator[str]:
    """The weightiest of them; the others are counted."""
    ordered = sorted(found, key=lambda each: _weight(each.kind))
    for each in ordered[:_SHOWN]:
        yield f"  {_line(each)}"
    rest = Counter(each.kind for each in ordered[_SHOWN:])
    if rest:
        counts = ", ".join(f"{number} × {kind}" for kind, number in rest.items())
        yield f"  … and {rest.total()} more ({counts}): see {where}, or --json."


def _settled_lines(settled: Sequence[SettledColumn]) -> Iterator[str]:
    left = [each for each in settled if each.left]
    yield from (f"  {each}" for each in left[:_SHOWN])
    if len(left) > _SHOWN:
        yield f"  … and {len(left) - _SHOWN} more columns: see `lamdb verify`."
    if converted := sum(each.converted for each in settled):
        yield f"  Converted to the form in which the API stores their type: {counted(converted, 'value')}."


_WEIGHTS = (
    "difference", "search", "collation", "times", "unreadable", "no-identifier", "rowid", "virtual-table",
    "broken-view", "reference", "orphans", "unread-rows", "type", "generated", "view", "bookkeeping",
    "index", "trigger", "kept",
)  # fmt: skip


def _weight(kind: str) -> int:
    return _WEIGHTS.index(kind)


def _line(each: Finding) -> str:
    return f"{each.place}: {each.message}" if each.place else each.message


def _as_json(found: Introspected) -> dict[str, object]:
    counts = {"tables": found.tables, "models": found.models, "views": found.views}
    return {**counts, "findings": [asdict(each) for each in found.findings]}
