"""Converts values that SQL wrote to the form in which the API stores their type.

Clients write a time as `2026-01-02 03:04:05` (CURRENT_TIMESTAMP) or as milliseconds, and JSON with blanks.
The API reads these, but SQLite compares what is stored. So before a transaction is committed, rows that it
wrote in tables of the schema are examined, and times, booleans and JSON in another form are converted. What
cannot be converted stays.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw
import orjson

from lamdb.graphql import stored_schema
from lamdb.hrana.statements.keyed_writes import KeyedWrites, Selection
from lamdb.prisma.datamodel.stored_forms import StoredColumn, stored_columns
from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.values import canonical_datetime

_TYPES: Final = frozenset({"DateTime", "Boolean", "Json"})
_MOST_ROWS: Final = 100_000
"""Rows of a table that are remembered one by one; beyond that, the whole table is examined."""
_WORDS: Final = {"true": 1, "false": 0}


class Forms:
    """The writes of one transaction's statements, from `watch` on: `settle` converts them."""

    __slots__ = ("_columns", "_connection", "_keyed", "_rows")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, set[int]] = defaultdict(set)
        schema_hash = stored_schema.read_hash(connection)
        self._columns = _of_schema(connection, schema_hash) if schema_hash is not None else {}
        self._keyed = KeyedWrites(connection, self._columns)

    def watch(self) -> None:
        """Begins to note which rows are written."""
        if self._columns:
            self._connection.set_update_hook(self._note)
            self._keyed.watch()

    def stop(self) -> None:
        self._connection.set_update_hook(None)
        self._keyed.stop()

    def close(self) -> None:
        """Forgets what was noted."""
        self.stop()
        self._keyed.close()
        self._rows.clear()

    def settle(self) -> None:
        """Converts what was written, in the transaction that wrote it."""
        self.stop()
        written = [(table, [_by_rowid(rows)]) for table, rows in self._rows.items()]
        written += self._keyed.selections(self._other_form)
        try:
            if written:
                self._convert_all(written)
        finally:
            self.close()

    def _convert_all(self, written: Sequence[tuple[str, Sequence[Selection]]]) -> None:
        connection = self._connection
        triggers = connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        rowid = connection.last_insert_rowid()
        try:
            for table, selections in written:
                for selection in selections:
                    self._settle(self._columns[table], selection)
        finally:
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, triggers)
            connection.set_last_insert_rowid(rowid)

    def _other_form(self, table: str, name: str, value: Any) -> Any:
        for column in self._columns[table]:
            if column.column.lower() == name.lower():
                return _CONVERTERS[column.type](value)
        return None

    def _note(self, operation: int, _database: str, table: str, rowid: int) -> None:
        key = table.lower()
        if operation != apsw.SQLITE_DELETE and key in self._columns:
            rows = self._rows[key]
            if len(rows) <= _MOST_ROWS:
                rows.add(rowid)

    def _settle(self, columns: tuple[StoredColumn, ...], selection: Selection) -> None:
        connection = self._connection
        table = quote(columns[0].table)
        chosen, values = selection
        tests = " OR ".join(f"({column.deviates})" for column in columns)
        try:
            found = connection.execute(f"SELECT 1 FROM {table} WHERE {chosen} AND ({tests}) LIMIT 1", values)
            if found.get is None:
                return
            for column in columns:
                self._convert(table, column, chosen, values)
        except apsw.SQLError:
            return  # The transaction has changed the table, which lacks a column, or the rowid.

    def _convert(self, table: str, column: StoredColumn, chosen: str, values: tuple[Any, ...]) -> None:
        connection, name = self._connection, quote(column.column)
        convert: Callable[..., Any] = _CONVERTERS[column.type]
        connection.create_scalar_function("lamdb_form", convert, 1, deterministic=True)
        connection.execute("SAVEPOINT lamdb_form")
        try:
            connection.execute(
                f"UPDATE {table} SET {name} = lamdb_form({name})"
                f" WHERE {chosen} AND ({column.deviates}) AND lamdb_form({name}) IS NOT NULL",
                values,
            ).fetchall()
        except apsw.ConstraintError:
            connection.execute("ROLLBACK TO lamdb_form")
        finally:
            connection.execute("RELEASE lamdb_form")
            connection.create_scalar_function("lamdb_form", None, 1)


def _by_rowid(rows: set[int]) -> Selection:
    if len(rows) > _MOST_ROWS:
        return "1", ()
    return "_rowid_ IN (SELECT value FROM json_each(?))", (orjson.dumps(list(rows)).decode(),)


_kept: dict[str, dict[str, tuple[StoredColumn, ...]]] = {}
_MOST_KEPT: Final = 4


def _of_schema(connection: apsw.Connection, schema_hash: str) -> dict[str, tuple[StoredColumn, ...]]:
    """The columns of the types by table (in lower case)."""
    found = _kept.get(schema_hash)
    if found is None:
        files = stored_schema.read_files(connection) or {}
        columns: dict[str, list[StoredColumn]] = defaultdict(list)
        for column in stored_columns(tuple(files.items())):
            if column.type in _TYPES:
                columns[column.table.lower()].append(column)
        found = {table: tuple(each) for table, each in columns.items()}
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[schema_hash] = found
    return found


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    return int(value) if isinstance(value, int | float) and value in (0, 1) else None


def _time(value: Any) -> Any:
    return canonical_datetime(value)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return None
    try:
        return orjson.dumps(orjson.loads(value)).decode()
    except (orjson.JSONDecodeError, TypeError):
        return None


_CONVERTERS: Final = {"DateTime": _time, "Boolean": _boolean, "Json": _json}
