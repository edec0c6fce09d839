"""Facts about tables that rewrites depend on: columns, keys, and the way in which SQLite reads them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from lamdb.prisma.query.arithmetic import needs_decimals, prepare_decimals
from lamdb.prisma.query.plan.rewriting.text import COLUMN, Query, pieces, unquoted
from lamdb.prisma.query.plan.tables import probe

_AFFINITIES: Final = (
    ("INT", "INTEGER"),
    ("CHAR|CLOB|TEXT", "TEXT"),
    ("BLOB|^$", "BLOB"),
    ("REAL|FLOA|DOUB", "REAL"),
)
"""The rules of https://sqlite.org/datatype3.html, in their order; what fits none is NUMERIC."""

_BUILT_IN: Final = frozenset({"BINARY", "NOCASE", "RTRIM"})
_ROWID: Final = "_rowid_"

_ORDERED: Final = re.compile(rf"^{COLUMN} (?:ASC|DESC)$")


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column of a table, with the properties that determine comparisons of its values."""

    affinity: str
    collation: str
    required: bool

    def compares_as(self, other: "ColumnFacts") -> bool:
        """True if comparing values of both columns gives the same as comparing values of one of them."""
        same = (self.affinity, self.collation) == (other.affinity, other.collation)
        return same and self.collation in _BUILT_IN


@dataclass(frozen=True, slots=True)
class TableFacts:
    """`keys`: sets of columns without nulls whose combined values are unique.

    `leading`: first columns of indexes of the whole table, with the collation of the column.
    """

    keys: tuple[frozenset[str], ...]
    leading: frozenset[str]
    rowid: bool


class TableLookup:
    """The tables of the main database, looked up when they are first needed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._tables: dict[str, TableFacts | None] = {}
        self._columns: dict[tuple[str, str], ColumnFacts] = {}

    def column(self, table: str, name: str) -> ColumnFacts:
        """Raises `apsw.SQLError` if there is no such column, or the table is a view."""
        known = self._columns.get((table, name))
        if known is None:
            declared, collation, required, primary, _ = self._connection.column_metadata("main", table, name)
            alias = primary and (declared or "").upper() == "INTEGER"
            known = ColumnFacts(
                _affinity(declared or ""), (collation or "BINARY").upper(), bool(required) or alias
            )
            self._columns[table, name] = known
        return known

    def reference(self, text: str) -> ColumnFacts | None:
        """The column that a text such as `` `main`.`Post`.`id` `` names; None if it is not such a text."""
        found = re.fullmatch(COLUMN, text)
        return None if found is None else self.column(unquoted(found["table"]), unquoted(found["column"]))

    def table(self, name: str) -> TableFacts | None:
        """None if there is no such table, or it is a view."""
        if name not in self._tables:
            self._tables[name] = self._look_up(name)
        return self._tables[name]

    def is_total(self, order: str | None, table: str) -> bool:
        """True if no two rows of a table are equal by an ORDER BY of its columns."""
        found = self.table(table)
        if order is None or found is None:
            return False
        columns: set[str] = set()
        for term in pieces(order, ", "):
            match = _ORDERED.match(term)
            if match is not None and unquoted(match["table"]) == table:
                columns.add(unquoted(match["column"]))
        return any(key <= columns for key in found.keys)

    def explain(self, query: Query) -> Sequence[tuple[int, int, str]]:
        """The lines of EXPLAIN QUERY PLAN: (number, number of the line above, text)."""
        # A bare variable would be looked up in the statistics, and there is no value yet.
        sql, parameters = probe(query, placeholder="+?")
        if needs_decimals(sql):
            prepare_decimals(self._connection)
        rows = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", (None,) * parameters)
        return [(int(number), int(above), str(text)) for number, above, _, text in rows]

    def searches(self, query: Query) -> bool:
        """True if the query reads nothing but by keys and indexes."""
        return not any(text.startswith("SCAN ") or "AUTOMATIC" in text for _, _, text in self.explain(query))

    def reading(self, query: Query, *but: str) -> list[str]:
        """Returns the lines of the query plan that show the order in which a query reads its tables and
        sorts.

        Tables or subqueries whose name is in `but` are left out. Covering and other indexes count as the
        same, because the order does not depend on it.
        """
        return [
            text.replace("COVERING ", "")
            for _, above, text in self.explain(query)
            if above == 0
            and text.startswith(("SCAN ", "SEARCH ", "USE TEMP B-TREE"))
            and not any(f" {name} " in f"{text} " for name in but)
        ]

    def _look_up(self, name: str) -> TableFacts | None:
        connection = self._connection
        made = connection.execute(
            "SELECT type FROM main.sqlite_schema WHERE name = ? COLLATE NOCASE", (name,)
        ).get
        if made != "table":
            return None
        columns = connection.execute("SELECT name, pk FROM pragma_table_info(?, 'main')", (name,)).fetchall()
        names = [str(column) for column, _ in columns]
        listed = "SELECT wr, type FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE"
        ((without_rowid, kind),) = connection.execute(listed, (name,)).fetchall()
        rowid = kind == "table" and not without_rowid and _ROWID not in map(str.lower, names)
        primary = [str(column) for column, pk in columns if pk]
        keys: list[frozenset[str]] = []
        leading: set[str] = set()
        if primary and all(self.column(name, column).required for column in primary):
            keys.append(frozenset(primary))
        indexes = "SELECT name, \"unique\", partial FROM pragma_index_list(?, 'main')"
        for index, unique, partial in connection.execute(indexes, (name,)).fetchall():
            described = "SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno"
            terms: list[tuple[Any, ...]] = connection.execute(described, (index,)).fetchall()
            if partial or not all(
                column is not None and self.column(name, str(column)).collation == str(collation).upper()
                for column, collation in terms
            ):
                continue
            leading.add(str(terms[0][0]))
            if unique and all(self.column(name, str(column)).required for column, _ in terms):
                keys.append(frozenset(str(column) for column, _ in terms))
        return TableFacts(tuple(keys), frozenset(leading), rowid)


def _affinity(declared: str) -> str:
    for pattern, affinity in _AFFINITIES:
        if re.search(pattern, declared, re.IGNORECASE):
            return affinity
    return "NUMERIC"
