"""Objects that depend on the tables of a database: triggers, indexes, virtual tables."""

import apsw

from lamdb.prisma.sqlite.script_parts import IndexStatement, inner_names, plain_columns
from lamdb.prisma.sqlite.sql_text import meaningful


class Present:
    """On one connection, as it is when it is asked. Names are compared without regard to case."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def triggers(self, table: str) -> list[tuple[str, str]]:
        """The names and statements of those on a table, in the order in which they were made."""
        rows = self._connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?)"
            " ORDER BY rowid",
            (table,),
        )
        return [(str(name), str(sql)) for name, sql in rows.fetchall()]

    def indexes(self, table: str) -> list[IndexStatement]:
        """Those that a CREATE INDEX has made."""
        rows = self._connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND lower(tbl_name) = lower(?)"
            " AND sql IS NOT NULL ORDER BY rowid",
            (table,),
        )
        made = ((str(name), str(sql), meaningful(str(sql))) for name, sql in rows.fetchall())
        return [
            IndexStatement(name, sql, tokens, plain_columns(tokens) is not None) for name, sql, tokens in made
        ]

    def has(self, kind: str, name: str) -> bool:
        """True if there is a trigger or an index of this name."""
        return self._sql(kind, name) is not None

    def has_plain_index(self, name: str) -> bool:
        """True if there is an index of which Prisma knows all."""
        sql = self._sql("index", name)
        return sql is not None and plain_columns(meaningful(sql)) is not None

    def refers_to(self, table: str) -> bool:
        """True if triggers or virtual tables may know the table's rowids."""
        rows = self._connection.execute(
            "SELECT tbl_name, sql FROM sqlite_schema"
            " WHERE type = 'trigger' OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL%')"
        ).fetchall()
        wanted = table.lower()
        return any(str(on).lower() == wanted or wanted in inner_names(str(sql)) for on, sql in rows)

    def virtual_tables(self) -> list[tuple[str, str]]:
        """Their names and statements."""
        rows = self._connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%'"
        )
        return [(str(name), str(sql)) for name, sql in rows.fetchall()]

    def _sql(self, kind: str, name: str) -> str | None:
        row = self._connection.execute(
            "SELECT sql FROM sqlite_schema WHERE type = ? AND lower(name) = lower(?) AND sql IS NOT NULL",
            (kind, name),
        ).fetchone()
        return None if row is None else str(row[0])
