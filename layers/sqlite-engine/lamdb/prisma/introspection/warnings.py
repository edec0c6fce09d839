"""Warnings about an imported database: what its schema leaves out, and where values do not fit the
declarations of their columns."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apsw

from lamdb.counting import counted
from lamdb.prisma.introspection import foreign_keys
from lamdb.prisma.migrate.settling import SettledColumn
from lamdb.prisma.sqlite.catalog import Catalog, ForeignKey, Table, quote
from lamdb.prisma.sqlite.column_statistics import Facts, Survey, sample
from lamdb.prisma.sqlite.type_inference import Fit, meant_type
from lamdb.storage.collations import Replaced


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them. `kind` is stable; `column` is None where it is about the whole table."""

    kind: str
    table: str
    column: str | None
    message: str

    @property
    def place(self) -> str:
        return self.table if self.column is None else f"{self.table}.{self.column}"


def of_collations(replaced: Iterable[Replaced]) -> list[Finding]:
    """A collation that an import replaced, and its place."""
    found = []
    for each in replaced:
        columns = ", ".join(each.columns)
        where = f" for {columns}" if columns else " in an index, a view or a trigger"
        message = f"SQLite has no collation {each.collation}: {each.by} takes its place{where}"
        found.append(Finding("collation", each.table, None, message))
    return found


def of_searches(tables: Iterable[str]) -> list[Finding]:
    """Returns the searches whose annotations do not fit the schema that was found."""
    message = "is searched by fields that have other names here: declare the search again (@lamdb.search)"
    return [Finding("search", table, None, message) for table in tables]


def of_tables(catalog: Catalog) -> Iterator[Finding]:
    """Features that Prisma cannot express. All of it stays in the database as it is."""
    for virtual in catalog.virtual:
        yield Finding(
            "virtual-table", virtual.name, None, f"a virtual table ({virtual.module}): not in the schema"
        )
    for name, reason in catalog.broken.items():
        yield Finding("broken-view", name, None, f"a view that cannot be read ({reason}): not in the schema")
    for table in catalog.tables:
        yield from _of_table(table)
        triggers = [name for name, on in catalog.triggers if on.lower() == table.name.lower()]
        if triggers:
            yield Finding(
                "trigger", table.name, None, f"has triggers, which go on running: {', '.join(triggers)}"
            )


def _of_table(table: Table) -> Iterator[Finding]:
    if table.rowid_column is not None:
        yield Finding(
            "rowid", table.name, None, "nothing identifies a row but its rowid, which is the id here"
        )
    kept = []
    if table.checks:
        kept.append("CHECK constraints")
    if table.without_rowid:
        kept.append("WITHOUT ROWID")
    if table.strict:
        kept.append("STRICT")
    if kept:
        yield Finding(
            "kept", table.name, None, f"keeps {', '.join(kept)}, also when a migration rebuilds the table"
        )
    for index in table.indexes:
        if index.has_expressions:
            yield Finding(
                "index", table.name, None, f"keeps the index {index.name}, which is over expressions"
            )
    for column in table.columns:
        if column.generated:
            yield Finding("generated", table.name, column.name, "is computed by SQLite: it cannot be written")


def of_times(settled: Iterable[SettledColumn]) -> Iterator[Finding]:
    """Times that were brought into the form in which the API stores them."""
    for each in settled:
        message = f"{counted(each.converted, 'time')} converted, such as {each.example}"
        yield Finding("times", each.table, each.column, message)


def of_columns(
    connection: apsw.Connection, table: Table, survey: Survey, fits: Mapping[str, Fit]
) -> Iterator[Finding]:
    """Where values and declarations disagree, and with what the fields read them."""
    if survey.too_slow:
        yield Finding("unread-rows", table.name, None, "takes too long to be looked at")
    if not survey.complete and survey.facts and any(facts.values for facts in survey.facts.values()):
        yield Finding("unread-rows", table.name, None, "has more rows than were looked at")
    for column in table.columns:
        fit = fits[column.name]
        if fit.note is None and fit.type is not None:
            continue
        message = describe(connection, table.name, column.name, survey.facts[column.name], fit)
        if fit.type is None:
            yield Finding("unreadable", table.name, column.name, f"{message}: no field can read them")
        elif fit.type != meant_type(column.declared):
            declared = column.declared or "no type"
            yield Finding(
                "type", table.name, column.name, f"declared as {declared}, read as {fit.type}: {message}"
            )


def describe(connection: apsw.Connection, table: str, column: str, facts: Facts, fit: Fit) -> str:
    """The fit's note, with an example where the values are texts."""
    note = fit.note or ""
    if not facts.texts or facts.not_utf8:
        return note
    example = sample(connection, table, column, "text")
    return note if example is None else f"{note}, such as {example}"


def of_references(
    connection: apsw.Connection, catalog: Catalog, rows: int | None
) -> Iterator[tuple[Finding, Table, ForeignKey, bool]]:
    """Foreign keys that do not hold: (kind, table, key, whether it could hold at all)."""
    for table in catalog.tables:
        for key in table.foreign_keys:
            columns = ", ".join(key.columns)
            if not catalog.is_sound(key):
                message = f"refers to {key.table}, where nothing unique is to refer to: no relation"
                yield Finding("reference", table.name, columns, message), table, key, False
            elif rows != 0 and (missing := _missing(connection, table, key, rows)):
                message = f"{missing:,} rows refer to rows of {key.table} that are not there"
                yield Finding("orphans", table.name, columns, message), table, key, True


def of_unlike(
    catalog: Catalog, types: foreign_keys.Types, keys: Iterable[tuple[Table, ForeignKey]]
) -> Iterator[Finding]:
    """Foreign keys between columns that cannot be read as one type."""
    for table, key in keys:
        own, others = foreign_keys.types_of(catalog, types, table, key)
        references = ", ".join(key.references)
        message = f"read as {own}, refers to {references} of {key.table}, read as {others}: no relation"
        yield Finding("reference", table.name, ", ".join(key.columns), message)


def _missing(connection: apsw.Connection, table: Table, key: ForeignKey, rows: int | None) -> int:
    """How many rows refer to nothing."""
    given = " AND ".join(f"c.c{number} IS NOT NULL" for number in range(len(key.columns)))
    same = " AND ".join(f"p.{quote(parent)} = c.c{number}" for number, parent in enumerate(key.references))
    limit = "" if rows is None else f" LIMIT {rows}"
    columns = ", ".join(f"{quote(column)} AS c{number}" for number, column in enumerate(key.columns))
    found: Any = connection.execute(
        f"SELECT count(*) FROM (SELECT {columns} FROM {quote(table.name)}{limit}) AS c"
        f" WHERE {given} AND NOT EXISTS (SELECT 1 FROM {quote(key.table)} AS p WHERE {same})"
    ).get
    return int(found)
