"""Makes a Prisma schema for any SQLite database, for `lamdb import` and `schema introspect`.

    found = introspect(connection)
    found.text                 # formatted, valid, in step with the tables
    found.findings             # what it leaves out, and where values are not what their columns say

Prisma's schema engine does the describing, of a `shadow`: an empty copy of the tables with the names that the
schema is to have, and with the types that fit the values found (`survey`, `fitting`). What it answers is then
given its `@map`s, names for relations, comments and notes (`schema_text`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import apsw

from lamdb.errors import MigrationError, SchemaError, SourceError
from lamdb.prisma.datamodel.clashes import clashes, generated_names
from lamdb.prisma.datamodel.defaults import field_defaults
from lamdb.prisma.datamodel.naming import Names, Style, name_all
from lamdb.prisma.datamodel.reserved import unquotable
from lamdb.prisma.datamodel.schema import PrismaSchema, format_schema
from lamdb.prisma.datamodel.schema_text import Block, Claims, Field, parse_blocks, spaced
from lamdb.prisma.introspection import foreign_keys, warnings
from lamdb.prisma.introspection.carried_defaults import restore_defaults
from lamdb.prisma.introspection.schema_writer import Finishing
from lamdb.prisma.introspection.views import identifier_of
from lamdb.prisma.introspection.warnings import Finding
from lamdb.prisma.migrate.proxy_schema import Shadow, make_shadow
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.migrate.searches import NO_DIFFERENCE
from lamdb.prisma.migrate.snapshot import snapshot
from lamdb.prisma.sqlite.catalog import Catalog, Column, Table, quote, read_catalog
from lamdb.prisma.sqlite.column_statistics import Facts, Survey, survey_table
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES, Fit, describe, engine_type, fit
from lamdb.search import PREFIX as SEARCH

DEFAULT_ROWS = 1_000_000
"""The number of rows of each table that are examined."""

type ByColumn[T] = dict[str, dict[str, T]]


@dataclass(frozen=True, slots=True)
class Introspected:
    """A schema for a database; `tables`, `models` and `views` count what it has and what the API serves."""

    text: str
    """Formatted."""
    schema: PrismaSchema | None
    """Valid; None if it has nothing that an API could serve."""
    findings: tuple[Finding, ...]
    tables: int
    models: int
    views: int

    @classmethod
    def known(
        cls, connection: apsw.Connection, schema: PrismaSchema, findings: Iterable[Finding]
    ) -> "Introspected":
        """The schema that a database has already, counted as `introspect` counts."""
        blocks = [block.kind for block in parse_blocks(schema.text) if not block.is_ignored]
        return cls(
            schema.text,
            schema,
            tuple(findings),
            tables=len(read_catalog(connection).tables),
            models=blocks.count("model"),
            views=blocks.count("view"),
        )


def introspect(
    connection: apsw.Connection,
    *,
    carried: PrismaSchema | None = None,
    style: Style = Style.PRISMA,
    rows: int | None = DEFAULT_ROWS,
    known: Iterable[Finding] = (),
) -> Introspected:
    """Describe the main database of `connection`, reading up to `rows` rows of each table (None: all).

    What was found before is `known`. With `carried`, names, types and comments of that schema are kept.
    Nothing is changed. Raises `MigrationError` (P4001 if there is nothing to describe), `SourceError` for
    names that cannot be used.
    """
    catalog, surveys = _survey(connection, read_catalog(connection), rows)
    if not catalog.tables and not catalog.views:
        raise MigrationError("The introspected database was empty.", code="P4001")
    catalog = _with_rowids(connection, catalog, surveys, carried)
    fits = _fit(catalog, surveys, _carried_fields(carried))
    _require_quotable(catalog)
    types = {table: {column: each.type for column, each in found.items()} for table, found in fits.items()}
    unlike = list(foreign_keys.unlike(catalog, types))
    related = catalog.without(unlike)
    references = list(warnings.of_references(connection, related, rows))
    notes = _notes(connection, catalog, surveys, fits)
    identifiers = {
        view.name: column
        for view in catalog.views
        if (column := identifier_of(connection, catalog, view)) is not None
    }
    seen = [
        *known,
        *warnings.of_tables(catalog),
        *(each for table in catalog.tables + catalog.views
          for each in warnings.of_columns(connection, table, surveys[table.name], fits[table.name])),
        *warnings.of_unlike(catalog, types, unlike),
        *(each for each, *_ in references),
    ]  # fmt: skip

    def describe(names: Names) -> Introspected:
        with SchemaEngine(make_shadow(Shadow(related, names, types))) as engine:
            answer = engine.introspect(carried)
            engine.connection.close()
        finishing = Finishing(
            catalog=catalog,
            names=names,
            fits=fits,
            notes=notes,
            identifiers=identifiers,
            broken=[(table.name, key) for _, table, key, is_sound in references if is_sound],
            unreadable=[(table.name, key) for table, key in foreign_keys.unreadable(related, types)],
            shown=_shown(carried),
            rename_relations=carried is None and style is Style.PRISMA,
            keep_head=carried is not None,
        )
        blocks = parse_blocks(answer.text)
        found = [*seen, *finishing.apply(blocks)]
        if carried is not None:
            restore_defaults(blocks, carried.text, _meant_defaults(catalog, carried))
        text = format_schema(finishing.text(blocks, found))
        schema = None
        if finishing.models or finishing.views:
            try:
                schema = PrismaSchema.parse(text)
            except SchemaError:
                dropped = [block.table for block in blocks if _drop_searches(block)]
                if not dropped:
                    raise
                found += warnings.of_searches(dropped)
                text = format_schema(finishing.text(blocks, found))
                schema = PrismaSchema.parse(text)
        return Introspected(
            text,
            schema,
            tuple(found),
            tables=len(catalog.tables),
            models=finishing.models,
            views=finishing.views,
        )

    described = describe(_own_names(catalog)) if carried else _without_clashes(catalog, style, describe)
    if described.schema is None:
        return described
    differences = _differences(connection, described.schema)
    return replace(described, findings=(*described.findings, *differences))


def _shown(carried: PrismaSchema | None) -> set[str]:
    """The tables of the models that a schema has, in lower case."""
    blocks = parse_blocks(carried.text) if carried is not None else ()
    return {block.table.lower() for block in blocks if block.kind == "model" and not block.is_ignored}


def _without_clashes(
    catalog: Catalog, style: Style, describe: Callable[[Names], Introspected]
) -> Introspected:
    """The description under names that the GraphQL API can have: models are renamed until none clash."""
    avoid: set[str] = set()
    while True:
        described = describe(name_all(catalog, style, avoid))
        if described.schema is None:
            return described
        generated = generated_names(described.schema.dmmf)
        unfit = {clash.models[-1] for clash in clashes(described.schema.dmmf) if clash.models}
        unfit |= {name for name in described.schema.models if name in generated}
        if unfit <= avoid:
            return described
        avoid |= unfit


def _require_quotable(catalog: Catalog) -> None:
    """Raises `SourceError` for names that the engines cannot write into SQL."""
    faults = [
        f"the {what} {name!r} contains {bad}"
        for table in (*catalog.tables, *catalog.views)
        for what, name in (
            ("view" if table.is_view else "table", table.name),
            *((f"column of {table.name}", column.name) for column in table.columns),
            *(("index", index.name) for index in table.indexes if "`" not in index.name),
        )
        if (bad := unquotable(name)) is not None
    ]
    if faults:
        raise SourceError(
            f"Names that cannot be used: {'; '.join(faults)}.",
            hint="Rename them in a copy of the file: ALTER TABLE … RENAME COLUMN … TO ….",
        )


def _survey(
    connection: apsw.Connection, catalog: Catalog, rows: int | None
) -> tuple[Catalog, dict[str, Survey]]:
    """The catalog of all tables; views that cannot be evaluated go to the broken ones."""
    surveys = {table.name: survey_table(connection, table, rows) for table in catalog.tables}
    broken = dict(catalog.broken)
    views = []
    for view in catalog.views:
        try:
            surveys[view.name] = survey_table(connection, view, rows)
        except apsw.Error as error:
            broken[view.name] = str(error)
        else:
            views.append(view)
    return replace(catalog, views=tuple(views), broken=broken), surveys


def _with_rowids(
    connection: apsw.Connection, catalog: Catalog, surveys: dict[str, Survey], carried: PrismaSchema | None
) -> Catalog:
    """With the rowid as the id of tables that have no other; what it holds goes into `surveys`."""
    claims = Claims.of(carried.files if carried else ())
    names: dict[str, str | None] = dict(claims.rowids)
    for table in catalog.tables:
        if table.name.lower() not in claims.tables and not _is_identified(table, surveys[table.name]):
            names[table.name.lower()] = None
    catalog = catalog.with_rowids(names)
    for table in catalog.tables:
        if table.rowid_column is not None:
            sql = f"SELECT min({table.rowid_column}), max({table.rowid_column}) FROM {quote(table.name)}"
            bounds: Any = connection.execute(sql).fetchone()
            low, high = bounds
            facts = Facts() if low is None else Facts(integers=2, low=low, high=high)
            found = surveys[table.name]
            surveys[table.name] = replace(found, facts={table.rowid_column: facts, **found.facts})
    return catalog


def _is_identified(table: Table, survey: Survey) -> bool:
    """True if the primary key, or else a unique index, tells every row from all others."""

    def is_readable(name: str) -> bool:
        return not survey.facts[name].not_utf8

    if table.key:
        # SQLite allows nulls in a primary key.
        return all(is_readable(each.name) and not survey.facts[each.name].nulls for each in table.key)
    columns = table.by_name
    return any(
        index.unique
        and index.where is None
        and not index.has_expressions
        and all(
            columns[name.lower()].not_null and is_readable(columns[name.lower()].name) for name in index.names
        )
        for index in table.indexes
    )


def is_schema_of(connection: apsw.Connection, schema: PrismaSchema, *, searches: bool = True) -> bool:
    """Returns True if the tables of a database are what a schema says, views aside.

    Without `searches`, the tables of searches need not be there.
    """
    with SchemaEngine() as engine:
        summary = engine.diff([snapshot(connection)], schema, script=False, searches=searches)
    return summary.strip().startswith(NO_DIFFERENCE)


def _drop_searches(block: Block) -> bool:
    """Takes the annotations of a search away: whether there were any."""
    kept = [line for line in block.comments if SEARCH not in line]
    dropped = len(kept) < len(block.comments)
    block.comments = kept
    return dropped


def _carried_fields(carried: PrismaSchema | None) -> dict[tuple[str, str], Field]:
    """The fields of a schema by table and column, in lower case."""
    return {
        (block.table.lower(), each.column.lower()): each
        for block in (parse_blocks(carried.text) if carried else ())
        for each in block.fields
    }


def _meant_defaults(catalog: Catalog, carried: PrismaSchema) -> set[tuple[str, str]]:
    """Tables and columns, in lower case, that have the default of their field in the carried schema."""
    found = set()
    for each in field_defaults(carried.files):
        place = each.table.lower(), each.column.lower()
        table = catalog.by_name.get(place[0])
        column = None if table is None else table.by_name.get(place[1])
        if column is not None and each.is_meant_by(column.default):
            found.add(place)
    return found


def _kept_type(carried: Field, column: Column) -> str | None:
    """The type that a schema has for a column, if the column is still what it was."""
    if carried.declared is not None:
        return carried.type if carried.declared.lower() == spaced(column.declared).lower() else None
    usual = engine_type(column.declared)
    return usual if carried.type == usual or carried.type not in COLUMN_TYPES else None


def _fit(
    catalog: Catalog, surveys: Mapping[str, Survey], carried: Mapping[tuple[str, str], Field]
) -> ByColumn[Fit]:
    """A type for each column. Columns that refer to each other get the same, if they can."""

    def type_of(places: tuple[foreign_keys.Place, ...]) -> str | None:
        return fit(
            (catalog.by_name[table.lower()].by_name[column.lower()], surveys[table].facts[column])
            for table, column in places
        )

    groups = foreign_keys.linked_columns(catalog, type_of)
    by_group = {group: type_of(group) for group in set(groups.values())}
    fits: ByColumn[Fit] = {}
    for table in (*catalog.tables, *catalog.views):
        fits[table.name] = {}
        for column in table.columns:
            place = (table.name, column.name)
            type_ = by_group[groups[place]] if place in groups else type_of((place,))
            known = carried.get((table.name.lower(), column.name.lower()))
            kept = _kept_type(known, column) if known else None
            type_ = type_ if kept is None or type_ is None else kept
            note = describe(column, surveys[table.name].facts[column.name], type_)
            fits[table.name][column.name] = Fit(type_, note)
    return fits


def _own_names(catalog: Catalog) -> Names:
    tables = (*catalog.tables, *catalog.views)
    return Names(
        {table.name: table.name for table in tables},
        {table.name: {column.name: column.name for column in table.columns} for table in tables},
    )


def _notes(
    connection: apsw.Connection, catalog: Catalog, surveys: Mapping[str, Survey], fits: ByColumn[Fit]
) -> ByColumn[str]:
    """The comment above a field about its values."""
    return {
        table.name: {
            column.name: warnings.describe(
                connection, table.name, column.name, surveys[table.name].facts[column.name], found
            )
            for column in table.columns
            if (found := fits[table.name][column.name]).note is not None
        }
        for table in (*catalog.tables, *catalog.views)
    }


def _differences(connection: apsw.Connection, schema: PrismaSchema) -> list[Finding]:
    """How the tables differ from the schema, as migrations would see it; nothing, unless we are wrong."""
    with SchemaEngine() as engine:
        summary = engine.diff([snapshot(connection)], schema, script=False).strip()
    if summary.startswith("No difference"):
        return []
    return [Finding("difference", "", None, f"the next migration would change what is there:\n{summary}")]
