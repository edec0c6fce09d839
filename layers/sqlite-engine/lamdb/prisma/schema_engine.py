"""The schema engine: creates, compares, describes and migrates SQLite schemas.

The host of `@prisma/schema-engine-wasm`. The engine is asynchronous; here every call runs its event loop until the answer
is there. Parameter and answer shapes are those of the package's `schema_engine.d.ts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from lamdb.errors import EngineError, LamdbError, MigrationError, SchemaError
from lamdb.prisma.jsvalues import UNDEFINED, JSError, Promise
from lamdb.prisma.schema import PrismaSchema
from lamdb.prisma.sqlite_adapter import AdapterFactory
from lamdb.prisma.wasm import WasmInstance

LOCK_FILE = "migration_lock.toml"
MIGRATION_FILE = "migration.sql"

_NO_FILTERS: dict[str, Any] = {"externalTables": [], "externalEnums": []}


@dataclass(frozen=True, slots=True)
class Migration:
    """One folder of a migrations directory: its name and the text of its `migration.sql`."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What `schema_push` did, or would not do without `force`."""

    executed_steps: int
    warnings: tuple[str, ...]
    unexecutable: tuple[str, ...]
    statements: tuple[str, ...]


class SchemaEngine:
    """One engine on one database. Not thread-safe; close it, or use it as a context manager.

    `database` is a connection, which stays open and may be inside a transaction, a path, or None for an empty
    database in memory.
    """

    def __init__(self, database: apsw.Connection | Path | str | None = None) -> None:
        self._owned: apsw.Connection | None = None
        if not isinstance(database, apsw.Connection):
            database = self._owned = apsw.Connection(":memory:" if database is None else str(database))
        self._wasm = WasmInstance("schema_engine")
        self._loop = self._wasm.host.loop
        self.log: list[str] = []
        self._factory = AdapterFactory(self._loop, database)
        options = {"datamodels": UNDEFINED}
        promise = self._wasm.call("schemaengine_new", options, self._write_log, self._factory)
        self._pointer: int = self._wait(promise)

    def _write_log(self, message: Any = UNDEFINED, *_: Any) -> None:
        self.log.append(str(message))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._owned is not None:
            self._owned.close()

    # The engine's methods.

    def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """Call a method by its JavaScript name. Raises MigrationError, SchemaError or EngineError."""
        return self._wait(self._wasm.call(f"schemaengine_{method}", self._pointer, dict(parameters)))

    def _wait(self, promise: Any) -> Any:
        if not isinstance(promise, Promise):
            return promise
        self._loop.run_until_settled(promise)
        if not promise.settled:
            raise EngineError("The schema engine never answered")
        if promise.rejected:
            raise _raised(promise.value)
        return promise.value

    def schema_push(self, schema: PrismaSchema, *, force: bool = False) -> Pushed:
        first = len(self._factory.statements)
        answer = self.call(
            "schemaPush", {"force": force, "schema": _files(schema), "filters": _NO_FILTERS}
        )
        return Pushed(
            answer["executedSteps"],
            tuple(answer["warnings"]),
            tuple(answer["unexecutable"]),
            tuple(self._factory.statements[first:]),
        )


def _files(schema: PrismaSchema) -> dict[str, Any]:
    return {"files": [{"path": name, "content": content} for name, content in schema.files]}


def _raised(reason: Any) -> LamdbError:
    return EngineError(repr(reason))
