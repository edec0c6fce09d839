"""The schema engine's way to a database: Prisma's driver adapter protocol over an apsw connection.

Methods carry the protocol's names and answer promises of `{ok, value}` or `{ok, error}`, as Prisma's
`driver-adapter-utils` wraps them. Conversions follow its SQLite adapter.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import apsw

from lamdb.prisma.datamodel.defaults import resolve
from lamdb.prisma.datamodel.schema_text import Claims
from lamdb.prisma.migrate.schema_view import Lens
from lamdb.prisma.migrate.script_guard import ShadowGuard
from lamdb.prisma.sqlite.scratch_tables import ScratchNames
from lamdb.prisma.wasm.js_values import UNDEFINED, EventLoop, Promise, Uint8Array

ADAPTER_NAME = "lamdb"
PROVIDER = "sqlite"
MAX_BIND_VALUES = 32766
_MAX_SAFE_INTEGER = 2**53 - 1


class ColumnType(IntEnum):
    """The protocol's numbers for column types, as far as SQLite has them."""

    INT32 = 0
    INT64 = 1
    FLOAT = 2
    DOUBLE = 3
    NUMERIC = 4
    BOOLEAN = 5
    TEXT = 7
    DATE = 8
    TIME = 9
    DATETIME = 10
    JSON = 11
    BYTES = 13
    UNKNOWN_NUMBER = 128


DECLARED_TYPES: dict[str, ColumnType] = {
    "DECIMAL": ColumnType.NUMERIC,
    "FLOAT": ColumnType.FLOAT,
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION", "NUMERIC", "REAL"), ColumnType.DOUBLE),
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "INTEGER", "SERIAL", "INT2"), ColumnType.INT32
    ),
    **dict.fromkeys(("BIGINT", "UNSIGNED BIG INT", "INT8"), ColumnType.INT64),
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), ColumnType.DATETIME),
    "TIME": ColumnType.TIME,
    "DATE": ColumnType.DATE,
    **dict.fromkeys(
        (
            "TEXT",
            "CLOB",
            "CHARACTER",
            "VARCHAR",
            "VARYING CHARACTER",
            "NCHAR",
            "NATIVE CHARACTER",
            "NVARCHAR",
        ),
        ColumnType.TEXT,
    ),
    "BLOB": ColumnType.BYTES,
    "BOOLEAN": ColumnType.BOOLEAN,
    "JSONB": ColumnType.JSON,
}


class SqliteAdapter:
    """A connection as the engine sees it. `close` says what to do when the engine has done with it."""

    provider = PROVIDER
    adapterName = ADAPTER_NAME  # noqa: N815

    def __init__(
        self,
        loop: EventLoop,
        connection: apsw.Connection,
        close: Callable[[], None],
        statements: list[str],
        lens: Lens | None = None,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._close = close
        self._statements = statements
        self._scratch = ScratchNames()
        self._lens = lens or Lens(connection, Claims)

    def queryRaw(self, query: dict[str, Any], *_: Any) -> Promise:  # noqa: N802
        return self._answer(lambda: self._query(query))

    def executeRaw(self, query: dict[str, Any], *_: Any) -> Promise:  # noqa: N802
        return self._answer(lambda: self._execute(query))

    def executeScript(self, script: str, *_: Any) -> Promise:  # noqa: N802
        def run() -> Any:
            self._run(script, ()).fetchall()
            return UNDEFINED

        return self._answer(run)

    def startTransaction(self, *_: Any) -> Promise:  # noqa: N802
        return self._answer(lambda: _Transaction(self))

    def getConnectionInfo(self, *_: Any) -> dict[str, Any]:  # noqa: N802
        return {"ok": True, "value": {"supportsRelationJoins": False, "maxBindValues": MAX_BIND_VALUES}}

    def dispose(self, *_: Any) -> Promise:
        def close() -> Any:
            self._close()
            return UNDEFINED

        return self._answer(close)

    def _answer(self, work: Callable[[], Any]) -> Promise:
        try:
            outcome = {"ok": True, "value": work()}
        except apsw.Error as error:
            outcome = {"ok": False, "error": driver_error(error)}
        return Promise.resolved(self._loop, outcome)

    def _run(self, sql: str, bindings: Any) -> apsw.Cursor:
        sql = self._scratch.apply(self._lens.write(resolve(sql)), self._connection)
        self._statements.append(sql)
        return self._connection.execute(sql, bindings)

    def _cursor(self, query: dict[str, Any]) -> apsw.Cursor:
        bindings = [
            to_sqlite(value, type_) for value, type_ in zip(query["args"], query["argTypes"], strict=True)
        ]
        sql: str = query["sql"]
        # The engine wants SQLite's exclusive lock. Here the owner of the connection keeps others out.
        if "locking_mode" in sql:
            sql = "SELECT 1 WHERE 0"
        return self._run(self._lens.ask(sql), bindings)

    def _execute(self, query: dict[str, Any]) -> int:
        before = self._connection.total_changes()
        self._cursor(query).fetchall()
        return self._connection.total_changes() - before

    def _query(self, query: dict[str, Any]) -> dict[str, Any]:
        try:
            cursor = self._cursor(query)
        except apsw.SQLError as error:
            # A history that was never begun is empty, but to the engine this would be an error.
            if query["sql"].startswith("SELECT") and str(error) == "no such table: _prisma_migrations":
                return {"columnNames": [], "columnTypes": [], "rows": []}
            raise
        try:
            columns = cursor.get_description()
        except apsw.ExecutionCompleteError:
            columns = ()
        rows = self._lens.show(query["sql"], [name for name, _ in columns], list(cursor.fetchall()))
        types = [
            DECLARED_TYPES.get((declared or "").upper()) or _inferred_type(rows, index)
            for index, (_, declared) in enumerate(columns)
        ]
        return {
            "columnNames": [name for name, _ in columns],
            "columnTypes": [int(type_) for type_ in types],
            "rows": [list(map(from_sqlite, row, types)) for row in rows],
        }


class _Transaction:
    """The engine's transaction: a savepoint, because the connection may be in a transaction of the
    caller's."""

    provider = PROVIDER
    adapterName = ADAPTER_NAME  # noqa: N815
    # The engine must not send COMMIT and ROLLBACK itself, but call the methods below.
    options = {"usePhantomQuery": True}  # noqa: RUF012

    def __init__(self, adapter: SqliteAdapter) -> None:
        self._adapter = adapter
        self.queryRaw = adapter.queryRaw
        self.executeRaw = adapter.executeRaw
        adapter._run("SAVEPOINT prisma", ())

    def commit(self, *_: Any) -> Promise:
        return self._adapter.executeScript("RELEASE prisma")

    def rollback(self, *_: Any) -> Promise:
        return self._adapter.executeScript("ROLLBACK TO prisma; RELEASE prisma")


class AdapterFactory:
    """Connects the engine to the one database it works on, and to empty ones in memory (shadow databases)."""

    provider = PROVIDER
    adapterName = ADAPTER_NAME  # noqa: N815

    def __init__(self, loop: EventLoop, connection: apsw.Connection) -> None:
        self._loop = loop
        self._connection = connection
        self.statements: list[str] = []
        """The SQL that the engine ran on the database, in order."""
        self.claims = Claims()
        """Claims of the schema that the engine is to compare databases with."""

    def connect(self, *_: Any) -> Promise:
        return self._connected(self._connection, lambda: None, self.statements)

    def connectToShadowDb(self, *_: Any) -> Promise:  # noqa: N802
        shadow = apsw.Connection(":memory:")
        # The engine runs migrations there as they are.
        shadow.authorizer = ShadowGuard()
        return self._connected(shadow, shadow.close, [])

    def _connected(
        self, connection: apsw.Connection, close: Callable[[], None], statements: list[str]
    ) -> Promise:
        lens = Lens(connection, lambda: self.claims)
        adapter = SqliteAdapter(self._loop, connection, close, statements, lens)
        return Promise.resolved(self._loop, {"ok": True, "value": adapter})


def to_sqlite(value: Any, type_: dict[str, Any]) -> Any:
    """An argument of the protocol as SQLite takes it."""
    scalar = type_.get("scalarType") if isinstance(type_, dict) else None
    if value is None or value is UNDEFINED:
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Uint8Array):
        return bytes(value)
    if isinstance(value, float) and scalar in ("int", "bigint"):
        return int(value)
    if isinstance(value, str):
        match scalar:
            case "int" | "bigint":
                return int(value)
            case "float" | "decimal":
                return float(value)
            case "bytes":
                return base64.b64decode(value)
            case "datetime":
                # Prisma's own command line stores the times of migrations like this.
                return int(datetime.fromisoformat(value).timestamp() * 1000)
    return value


def from_sqlite(value: Any, type_: ColumnType) -> Any:
    """A value of SQLite's as the protocol has it."""
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, int | float) and type_ is ColumnType.DATETIME:
        moment = datetime.fromtimestamp(value / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float) and type_ in (ColumnType.INT32, ColumnType.INT64):
        return int(value)
    if isinstance(value, int) and abs(value) > _MAX_SAFE_INTEGER:
        return str(value)
    return value


def _inferred_type(rows: list[Any], index: int) -> ColumnType:
    """The type of a column that declares none, by its first value that is not null."""
    value = next((row[index] for row in rows if row[index] is not None), None)
    match value:
        case None:
            return ColumnType.INT32
        case str():
            return ColumnType.TEXT
        case bytes():
            return ColumnType.BYTES
        case float():
            return ColumnType.UNKNOWN_NUMBER
        case _:
            return ColumnType.INT64


def driver_error(error: apsw.Error) -> dict[str, Any]:
    """An error of SQLite's in the protocol's terms."""
    message = str(error)
    code = getattr(error, "extendedresult", apsw.SQLITE_ERROR)
    known = {"originalCode": str(code), "originalMessage": message}
    match code:
        case apsw.SQLITE_CONSTRAINT_UNIQUE | apsw.SQLITE_CONSTRAINT_PRIMARYKEY:
            return known | {"kind": "UniqueConstraintViolation", "constraint": _constraint_fields(message)}
        case apsw.SQLITE_CONSTRAINT_NOTNULL:
            return known | {"kind": "NullConstraintViolation", "constraint": _constraint_fields(message)}
        case apsw.SQLITE_CONSTRAINT_FOREIGNKEY | apsw.SQLITE_CONSTRAINT_TRIGGER:
            return known | {"kind": "ForeignKeyConstraintViolation", "constraint": {"foreignKey": {}}}
    if code & 0xFF == apsw.SQLITE_BUSY:
        return known | {"kind": "SocketTimeout"}
    if message.startswith("no such table: "):
        return known | {"kind": "TableDoesNotExist", "table": message.partition(": ")[2]}
    if message.startswith("no such column: "):
        return known | {"kind": "ColumnNotFound", "column": message.partition(": ")[2]}
    return known | {"kind": "sqlite", "extendedCode": code, "message": message}


def _constraint_fields(message: str) -> dict[str, Any]:
    """`UNIQUE constraint failed: T.a, T.b` names the columns."""
    columns = message.partition("failed: ")[2].split(", ")
    return {"fields": [column.rpartition(".")[2] for column in columns]}
