"""Differences between two databases that the schema engine does not compare.

Those are triggers, views, virtual tables, indexes beyond lists of columns, and of a table's definition:
collations, CHECK, generated columns, defaults that are expressions, conflict clauses, STRICT, WITHOUT ROWID,
AUTOINCREMENT, DEFERRABLE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apsw

from lamdb.prisma.datamodel.defaults import comparable
from lamdb.prisma.migrate.merging import is_literal
from lamdb.prisma.sqlite.catalog import is_own
from lamdb.prisma.sqlite.definition import Definition, NotATable, parse_table
from lamdb.prisma.sqlite.script_parts import plain_columns
from lamdb.prisma.sqlite.sql_text import join, meaningful, normalize
from lamdb.search.definition import is_made_by_migrations

_OBJECTS = """
SELECT o.type, o.name, o.tbl_name, o.sql FROM sqlite_schema AS o
LEFT JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = o.tbl_name
WHERE o.sql IS NOT NULL AND t.type IS NOT 'shadow' ORDER BY o.name
"""


_ALWAYS_WRITTEN = frozenset({"AUTOINCREMENT"})
"""Prisma's engine writes it for every integer key, so a table that others made may lack it."""


@dataclass(frozen=True, slots=True)
class Unmodelled:
    """The parts of a database beyond Prisma's model."""

    objects: Mapping[tuple[str, str], str]
    """The statements, in one spelling, of triggers and others, by (kind, place)."""
    clauses: Mapping[str, frozenset[str]]
    """Those of tables' definitions, by table in lower case."""
    shown: Mapping[tuple[str, str], str]
    """The names of the objects as they are written."""


def read_unmodelled(connection: apsw.Connection) -> Unmodelled:
    objects: dict[tuple[str, str], str] = {}
    shown: dict[tuple[str, str], str] = {}
    clauses: dict[str, frozenset[str]] = {}
    for kind, name, table, sql in [tuple(map(str, row)) for row in connection.execute(_OBJECTS)]:
        is_search = is_made_by_migrations(table)
        if (is_own(name) or is_own(table)) and not is_search:
            continue
        if kind == "table" and not is_search and not sql.upper().startswith("CREATE VIRTUAL"):
            try:
                clauses[name.lower()] = frozenset(_clauses(parse_table(sql)))
            except NotATable:
                clauses[name.lower()] = frozenset()
            continue
        if kind == "index" and plain_columns(meaningful(sql)) is not None:
            continue
        place = f"{name} on {table}" if kind in ("trigger", "index") else name
        label = "virtual table" if kind == "table" and not is_search else kind
        objects[label, name.lower()] = normalize(sql)
        shown[label, name.lower()] = place
    return Unmodelled(objects, clauses, shown)


def differences(wanted: Unmodelled, found: Unmodelled) -> list[str]:
    """One line for each difference of `found` from what is wanted, for people."""
    return [*_objects(wanted, found), *_tables(wanted, found)]


def _objects(wanted: Unmodelled, found: Unmodelled) -> Iterator[str]:
    for key in sorted(wanted.objects.keys() | found.objects.keys()):
        kind, _ = key
        if key not in found.objects:
            yield f"[-] Missing {kind} {wanted.shown[key]}"
        elif key not in wanted.objects:
            yield f"[+] Added {kind} {found.shown[key]}"
        elif wanted.objects[key] != found.objects[key]:
            yield f"[*] Changed {kind} {found.shown[key]}"


def _tables(wanted: Unmodelled, found: Unmodelled) -> Iterator[str]:
    """Compares tables that both have: the engine reports the others."""
    for table in sorted(wanted.clauses.keys() & found.clauses.keys()):
        for clause in sorted(wanted.clauses[table] - found.clauses[table] - _ALWAYS_WRITTEN):
            yield f"[-] Missing in table {table}: {clause}"
        for clause in sorted(found.clauses[table] - wanted.clauses[table]):
            yield f"[+] Added to table {table}: {clause}"


def _clauses(table: Definition) -> Iterator[str]:
    """Each in one spelling."""
    for column in table.columns:
        name = column.key
        if column.collate is not None and column.collate.lower() != "collate binary":
            yield f"{name} {column.collate.lower()}"
        if column.generated is not None:
            yield f"{name} {_generated(join(column.generated))}"
        # A time has several forms that mean the same.
        default = comparable(column.type, column.default)
        if default is not None and not is_literal(default):
            yield f"{name} default {normalize(default)}"
        for clause in (column.not_null, column.primary, column.unique):
            if clause is not None and "ON CONFLICT" in clause.upper():
                yield f"{name} {normalize(clause)}"
    for unique in (*table.uniques, *([table.primary] if table.primary is not None else [])):
        if unique.conflict:
            yield normalize(unique.text)
    for check in table.checks:
        yield normalize(join(check.tokens))
    for key in table.keys:
        if "DEFERRABLE" in key.extra.upper() and "NOT DEFERRABLE" not in key.extra.upper():
            yield f"foreign key ({', '.join(key.columns)}) {normalize(key.extra)}"
    if table.autoincrement:
        yield "AUTOINCREMENT"
    if table.strict:
        yield "STRICT"
    if table.without_rowid:
        yield "WITHOUT ROWID"


def _generated(text: str) -> str:
    words = normalize(text).removeprefix("generated always ")
    return words.removesuffix(" virtual")
