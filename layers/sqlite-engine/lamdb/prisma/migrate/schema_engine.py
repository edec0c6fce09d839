"""The schema engine: creates, compares, describes and migrates SQLite schemas.

The host of `@prisma/schema-engine-wasm`. The engine is asynchronous; here every call runs its event loop
until the answer is there. Parameters and answers have the shapes of the package's `schema_engine.d.ts`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from lamdb.errors import EngineError, LamdbError, MigrationError, SchemaError
from lamdb.prisma.datamodel.defaults import for_engine, resolve
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.datamodel.schema_text import Claims, counting
from lamdb.prisma.migrate.migrations import (
    CREATE_HISTORY,
    LOCK_CONTENT,
    LOCK_FILE,
    MIGRATION_FILE,
    Migration,
)
from lamdb.prisma.migrate.present_indexes import without_present_lines
from lamdb.prisma.migrate.search_targets import searches_of
from lamdb.prisma.migrate.searches import changes, own_tables, schema_changes
from lamdb.prisma.migrate.snapshot import snapshot
from lamdb.prisma.migrate.sqlite_adapter import AdapterFactory
from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE, RESERVED_PREFIX
from lamdb.prisma.sqlite.scratch_tables import tables_of, with_free_names
from lamdb.prisma.wasm.instance import WasmInstance
from lamdb.prisma.wasm.js_values import UNDEFINED, JSError, Promise
from lamdb.storage.savepoints import trial

type DiffTarget = PrismaSchema | Sequence[Migration] | None
"""A schema, what a history of migrations leads to, or (None) an empty database."""

_PARTIAL_INDEXES = '"partialIndexes"'
_NO_STEPS = "-- This is an empty migration."
_WARNINGS = re.compile(r"/\*.*?\*/\s*", re.DOTALL)
_EMPTY_SCHEMA = 'datasource db {\n  provider = "sqlite"\n}\n'

# The engine's errors carry no code over its WebAssembly interface, but each code has its own wording.
_CODES = tuple(
    (re.compile(pattern, re.DOTALL), code)
    for pattern, code in (
        (r"^The database schema is not empty", "P3005"),
        (r"failed to apply cleanly to the shadow database", "P3006"),
        (r"is already recorded as applied in the database", "P3008"),
        (r"^migrate found failed migrations in the target database", "P3009"),
        (r"cannot be rolled back because it was never applied", "P3011"),
        (r"cannot be rolled back because it is not in a failed state", "P3012"),
        (r"^Could not find the migration file at", "P3015"),
        (r"^The migration .* could not be found", "P3017"),
        (r"apply_migration::apply_script", "P3018"),
        (r"does not match the one specified in the migration_lock", "P3019"),
        (r"^The introspected database was empty", "P4001"),
    )
)
_SCHEMA_FAULT = re.compile(r"^error: .*^\s*-->\s", re.DOTALL | re.MULTILINE)
_BACKTRACE = re.compile(r"\n   0: \w+::.*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pushed:
    """The result of `schema_push`, or what it refused to do: `warnings` without `force`, `unexecutable` at
    all."""

    executed_steps: int
    warnings: tuple[str, ...]
    unexecutable: tuple[str, ...]
    statements: tuple[str, ...]
    """All SQL that the engine ran, its questions to the database included."""
    missing_views: tuple[str, ...] = ()
    """Views of the schema that the database does not have."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How a database's history stands to a list of migrations."""

    has_migrations_table: bool
    edited: tuple[str, ...]
    failed: tuple[str, ...]
    unapplied: tuple[str, ...]
    """In the list and not in the database."""
    missing: tuple[str, ...]
    """In the database and not in the list."""

    @property
    def in_sync(self) -> bool:
        return not (self.edited or self.failed or self.unapplied or self.missing)


@dataclass(frozen=True, slots=True)
class DataLoss:
    """The effects of the next migration on the data. `unexecutable` steps fail on the rows that are there."""

    steps: int
    warnings: tuple[str, ...]
    unexecutable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineIntrospection:
    """The Prisma schema of a database, and what could not be expressed in it."""

    text: str
    warnings: str | None


class SchemaEngine:
    """One engine on one database. Not thread-safe; close it, or use it as a context manager.

    `database` is a connection, which stays open and may be inside a transaction, or a path, or None for an
    empty database in memory. After a trap the next call starts the engine afresh.
    """

    def __init__(self, database: apsw.Connection | Path | str | None = None) -> None:
        self._owned: apsw.Connection | None = None
        if not isinstance(database, apsw.Connection):
            database = self._owned = apsw.Connection(":memory:" if database is None else str(database))
        self.connection = database
        self.log: list[str] = []
        self._wasm: WasmInstance | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._wasm is not None:
            self._wasm.close()
            self._wasm = None
        if self._owned is not None:
            self._owned.close()

    # Calling.

    def call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """Call a method by its JavaScript name.

        Raises SchemaError (P1012), MigrationError (P3xxx where the error has such a code) or EngineError.
        """
        wasm = self._wasm or self._start()
        # Only an engine that did not trap is used again.
        self._wasm = None
        promise = wasm.call(f"schemaengine_{method}", self._pointer, dict(parameters))
        answer = self._wait(wasm, promise)
        self._wasm = wasm
        if answer.rejected:
            raise _error(answer.value)
        return answer.value

    def _start(self) -> WasmInstance:
        wasm = WasmInstance("schema_engine")
        self._knows_history = False
        self._factory = AdapterFactory(wasm.host.loop, self.connection)
        log = self.log

        def write_log(message: Any = UNDEFINED, *_: Any) -> None:
            log.append(str(message))

        promise = wasm.call("schemaengine_new", {"datamodels": UNDEFINED}, write_log, self._factory)
        started = self._wait(wasm, promise)
        if started.rejected:
            raise EngineError(f"The schema engine did not start: {_message(started.value)}")
        self._pointer = int(started.value)
        return wasm

    @staticmethod
    def _wait(wasm: WasmInstance, promise: Promise) -> Promise:
        wasm.host.loop.run_until_settled(promise)
        if not promise.settled:
            raise EngineError("The schema engine never answered.")
        return promise

    # Schemas.

    def schema_push(self, schema: PrismaSchema, *, force: bool = False) -> Pushed:
        """Change the database to fit a schema. Destructive steps are done with `force` only."""
        self._compare_with(schema)
        first = len(self._factory.statements)
        answer = self.call(
            "schemaPush", {"force": force, "schema": self._missing(schema), "filters": self._filters()}
        )  # fmt: skip
        return Pushed(
            int(answer["executedSteps"]),
            tuple(map(resolve, answer["warnings"])),
            tuple(map(resolve, answer["unexecutable"])),
            tuple(self._factory.statements[first:]),
        )

    def diff(
        self, source: DiffTarget, target: DiffTarget, *, script: bool = True, searches: bool = True
    ) -> str:
        """The SQL that leads from one schema to another, or (not `script`) a summary for people.

        Without a difference the script is a comment, and the summary reports it. Without `searches`, what
        searches need beside the tables is left out.
        """
        old, new = searches_of(source), searches_of(target)
        written = self._diff(source, target, script=script, hidden=own_tables(old, new))
        found = changes(old, new)
        if not searches or not found.summary:
            return written
        if not script:
            return found.told(written)
        return found.around("" if written.startswith(_NO_STEPS) else written) or written

    def _diff(
        self, source: DiffTarget, target: DiffTarget, *, script: bool = True, hidden: Sequence[str] = ()
    ) -> str:
        self._compare_with(*(side for side in (source, target) if isinstance(side, PrismaSchema)))
        parameters = {
            "from": _diff_target(source),
            "to": _diff_target(target),
            "script": script,
            "exitCode": None,
            "filters": self._filters(hidden),
        }
        return self._written(self.call("diff", parameters)["stdout"])

    def introspect(self, schema: PrismaSchema | None = None, *, force: bool = False) -> EngineIntrospection:
        """The schema of the database; `schema` keeps its names and comments unless `force`.

        Raises MigrationError P4001 if the database is empty.
        """
        self._compare_with(*([schema] if schema else ()))
        parameters = {
            "schema": _files(schema) if schema else _container([("schema.prisma", _EMPTY_SCHEMA)]),
            "baseDirectoryPath": "/",
            "force": force,
            "compositeTypeDepth": 0,
            "namespaces": None,
        }
        answer = self.call("introspect", parameters)
        return EngineIntrospection(answer["schema"]["files"][0]["content"], answer["warnings"])

    # Migrations.

    def create_migration(
        self, title: str, migrations: Sequence[Migration], schema: PrismaSchema, *, draft: bool = False
    ) -> str | None:
        """The script that leads from a history, all of it applied to this database, to a schema.

        Its warnings precede it as a comment. None if nothing is to be done (with `draft`: a script that is a
        comment).
        """
        self._compare_with(schema)
        with self._state() as state:
            parameters = {
                "draft": draft,
                "migrationName": title,
                "migrationsList": _migration_list(state),
                "schema": self._missing(schema),
                "filters": self._filters(),
            }
            script = self.call("createMigration", parameters)["migrationScript"]
        if _PARTIAL_INDEXES in schema.text:
            written = self._with_partial_indexes(str(script or ""), state, schema, draft=draft)
        else:
            written = None if script is None else self._written(script)
        return schema_changes(self.connection, schema.searches).around(written)

    def _with_partial_indexes(
        self, script: str, migrations: Sequence[Migration], schema: PrismaSchema, *, draft: bool
    ) -> str | None:
        """The migration that `diff` makes, with the warnings of one of `createMigration`.

        The latter reads the history without the schema's preview features: it misses every partial index
        there, and creates it again.
        """
        steps = self._diff(migrations, schema)
        if steps.startswith(_NO_STEPS) and not draft:
            return None
        warnings = _WARNINGS.match(script)
        return (warnings[0] if warnings else "") + steps

    def apply_migrations(self, migrations: Sequence[Migration]) -> list[str]:
        """Apply pending migrations as Prisma does: a failed one stays half done, and recorded as failed.

        lamDB deploys with `migrate.apply_migrations`, which leaves nothing behind.
        """
        parameters = {"migrationsList": _migration_list(migrations), "filters": self._filters()}
        return list(self.call("applyMigrations", parameters)["appliedMigrationNames"])

    def dev_diagnostic(self, migrations: Sequence[Migration]) -> str | None:
        """Why the database would have to be reset before a new migration; None if it need not.

        Raises MigrationError P3006 if the history does not apply to an empty database.
        """
        parameters = {"migrationsList": _migration_list(migrations), "filters": self._filters()}
        action = self.call("devDiagnostic", parameters)["action"]
        self._knows_history = True
        return str(action["reason"]) if action["tag"] == "reset" else None

    def diagnose(self, migrations: Sequence[Migration]) -> Diagnosis:
        """How the database stands to a history, by name and checksum."""
        parameters = {
            "migrationsList": _migration_list(migrations),
            "optInToShadowDatabase": False,
            "filters": self._filters(),
        }
        answer = self.call("diagnoseMigrationHistory", parameters)
        history = answer["history"] or {}
        return Diagnosis(
            has_migrations_table=self._has_migrations_table(),
            edited=tuple(answer["editedMigrationNames"]),
            failed=tuple(answer["failedMigrationNames"]),
            unapplied=tuple(history.get("unappliedMigrationNames", ())),
            missing=tuple(history.get("unpersistedMigrationNames", ())),
        )

    def evaluate_data_loss(self, migrations: Sequence[Migration], schema: PrismaSchema) -> DataLoss:
        """The effects of the migration to a schema on this database, which must be at the history's end."""
        self._compare_with(schema)
        with self._state() as state:
            parameters = {
                "migrationsList": _migration_list(state),
                "schema": self._missing(schema),
                "filters": self._filters(),
            }
            answer = self.call("evaluateDataLoss", parameters)
        steps = int(answer["migrationSteps"])
        if not steps and _PARTIAL_INDEXES in schema.text:
            # One that goes is not among them.
            steps = int(not self._diff(state, schema).startswith(_NO_STEPS))
        steps += len(schema_changes(self.connection, schema.searches).summary)
        return DataLoss(
            steps,
            tuple(resolve(step["message"]) for step in answer["warnings"]),
            tuple(resolve(step["message"]) for step in answer["unexecutableSteps"]),
        )

    def mark_applied(self, name: str, migrations: Sequence[Migration]) -> None:
        """Record a migration as applied without applying it, as for a database that was made otherwise."""
        self.connection.execute(CREATE_HISTORY)
        parameters = {"migrationName": name, "migrationsList": _migration_list(migrations)}
        self.call("markMigrationApplied", parameters)

    def mark_rolled_back(self, name: str) -> None:
        """Record a failed migration as rolled back, so that it may be applied again."""
        self.call("markMigrationRolledBack", {"migrationName": name})

    def _compare_with(self, *schemas: PrismaSchema) -> None:
        """Show databases as they are read by these schemas: see `lens`."""
        claims = Claims.of([file for schema in schemas for file in schema.files])
        if self._wasm is not None and self._knows_history and self._factory.claims != claims:
            # What the engine keeps of a history was seen by another schema.
            self._wasm.close()
            self._wasm = None
        self._wasm = self._wasm or self._start()
        self._factory.claims = claims

    def _written(self, sql: Any) -> str:
        """Returns the engine's script with the intended defaults, counting ids and free names."""
        script = counting(resolve(str(sql)), self._factory.claims)
        return with_free_names(script, tables_of(self.connection))

    @contextmanager
    def _state(self) -> Iterator[list[Migration]]:
        """One migration in place of the history: it makes what there is, as the engine's next call reads it.

        The engine would run the history as it is, and lose what rebuilds of tables keep (`rebuild`).
        """
        one = snapshot(self.connection)
        with trial(self.connection, "lamdb_state"):
            self.connection.execute(CREATE_HISTORY)
            self.connection.execute(f'DELETE FROM "{MIGRATIONS_TABLE}"')
            self.connection.execute(
                f'INSERT INTO "{MIGRATIONS_TABLE}"'
                " (id, checksum, migration_name, started_at, finished_at, applied_steps_count)"
                " VALUES ('1', ?, ?, 1, 1, 1)",
                (one.checksum, one.name),
            )
            # This leaves what it leads to in the engine's cache, where alone the next call looks.
            self.dev_diagnostic([one])
            yield [one]

    def _missing(self, schema: PrismaSchema) -> dict[str, Any]:
        """The schema without what the engine would not see in the database."""
        return _tokens(without_present_lines(self.connection, schema.files))

    def _filters(self, hidden: Sequence[str] = ()) -> dict[str, Any]:
        """lamDB's own tables are none of Prisma's business: it would drop them as unknown."""
        sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ?"
        own = [name for (name,) in self.connection.execute(sql, (f"{RESERVED_PREFIX}*",))]
        return {"externalTables": [*{*own, *hidden}], "externalEnums": []}

    def _has_migrations_table(self) -> bool:
        sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
        return bool(self.connection.execute(sql, (MIGRATIONS_TABLE,)).get)


def _container(files: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {"files": [{"path": name, "content": content} for name, content in files]}


def _files(schema: PrismaSchema) -> dict[str, Any]:
    return _container(schema.files)


def _tokens(files: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The schema to make tables of, or to compare them with."""
    return _container(for_engine(files))


def _migration_list(migrations: Sequence[Migration]) -> dict[str, Any]:
    return {
        "baseDir": "/migrations",
        "lockfile": {"path": LOCK_FILE, "content": LOCK_CONTENT},
        "shadowDbInitScript": "",
        "migrationDirectories": [
            {"path": name, "migrationFile": {"path": MIGRATION_FILE, "content": {"tag": "ok", "value": sql}}}
            for name, sql in sorted(migrations)
        ],
    }


def _diff_target(target: DiffTarget) -> dict[str, Any]:
    if target is None:
        return {"tag": "empty"}
    if isinstance(target, PrismaSchema):
        return {"tag": "schemaDatamodel", **_tokens(target.files)}
    return {"tag": "migrations", **_migration_list(target)}


def _message(reason: Any) -> str:
    return reason.message if isinstance(reason, JSError) else repr(reason)


def _error(reason: Any) -> LamdbError:
    """The rejection of a promise as an error of ours, without the trace through the engine's code."""
    full = _message(reason)
    text = _BACKTRACE.sub("", full).strip()
    if _SCHEMA_FAULT.search(text):
        return SchemaError(text)
    for pattern, code in _CODES:
        if pattern.search(full):
            return MigrationError(text, code=code)
    return MigrationError(text)
