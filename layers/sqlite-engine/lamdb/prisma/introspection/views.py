"""The column of a view that identifies its rows, where the view's definition leaves no doubt.

A view of one table, with its primary key as a column, has every row at most once. One that joins, groups or
unites may repeat rows, or make new ones: of those nothing is said.
"""

import re

import apsw

from lamdb.prisma.sqlite.catalog import Catalog, Table, quote

_SEVERAL = re.compile(r"\b(JOIN|UNION|INTERSECT|EXCEPT|GROUP|WITH|HAVING)\b", re.IGNORECASE)
_SELECT = re.compile(r"\bSELECT\b", re.IGNORECASE)
_SOURCE = re.compile(
    r"\bFROM\b(?P<tables>.*?)(?=\b(?:WHERE|ORDER|LIMIT|WINDOW)\b|$)", re.IGNORECASE | re.DOTALL
)


def identifier_of(connection: apsw.Connection, catalog: Catalog, view: Table) -> str | None:
    """The column of `view` that is a table's primary key; None if there is none, or if it cannot be
    determined."""
    definition = view.bare
    source = _SOURCE.search(definition)
    if _SEVERAL.search(definition) or len(_SELECT.findall(definition)) != 1:
        return None
    text = view.sql.lower()
    if any(other.name.lower() in text for other in catalog.views if other.name != view.name):
        return None  # It may be a view of a view that joins.
    if source is None or re.search(r"[,()]", source["tables"]):
        return None
    for name, table, column in _origins(connection, view):
        parent = catalog.by_name.get(table.lower())
        if parent is None or parent.is_view or len(parent.key) != 1:
            continue
        key = parent.key[0]
        if key.name.lower() == column.lower() and (key.not_null or parent.rowid_alias == key.name):
            return name
    return None


def _origins(connection: apsw.Connection, view: Table) -> list[tuple[str, str, str]]:
    """(column of the view, table, column of the table) for the columns that are a table's."""
    found: list[tuple[str, str, str]] = []

    def describe(cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
        found.extend(
            (name, table, column) for name, _, _, table, column in cursor.description_full if table and column
        )
        return False

    cursor = connection.cursor()
    cursor.exec_trace = describe
    try:
        cursor.execute(f"SELECT * FROM {quote(view.name)}")
    except apsw.ExecTraceAbort:
        return found
    raise AssertionError("SQLite executed a statement that should only have been described")
