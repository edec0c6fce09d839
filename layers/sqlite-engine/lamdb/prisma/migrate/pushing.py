"""Changes tables to those of a schema without migrations, and keeps what Prisma does not model."""

from dataclasses import replace

import apsw

from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.present_indexes import drop_changed
from lamdb.prisma.migrate.rebuild import Keeper
from lamdb.prisma.migrate.schema_engine import Pushed, SchemaEngine
from lamdb.prisma.migrate.scripts import (
    StepFailed,
    broken_references,
    enforce_foreign_keys,
    foreign_keys_restored,
    foreign_keys_switch,
    run_steps,
    views_set_aside,
)
from lamdb.prisma.migrate.searches import schema_changes
from lamdb.prisma.sqlite.sql_text import Statement, statements

_SAVEPOINT = "lamdb_push"


def push_schema(connection: apsw.Connection, schema: PrismaSchema, *, force: bool = False) -> Pushed:
    """Push a schema inside the caller's transaction.

    Raises MigrationError if data, or what only the tables have, would be lost (unless `force`) or cannot be
    kept; the caller's rollback undoes what was done by then.
    """
    searches = schema_changes(connection, schema.searches)
    with SchemaEngine(connection) as engine, foreign_keys_restored(connection):
        enforce_foreign_keys(connection, False)
        for statement in searches.before:
            connection.execute(statement)
        connection.execute(f"SAVEPOINT {_SAVEPOINT}")
        drop_changed(connection, schema.files)
        with views_set_aside(connection):
            pushed = engine.schema_push(schema, force=force)
        if pushed.unexecutable:
            raise MigrationError("The schema cannot be pushed: " + " ".join(pushed.unexecutable))
        if pushed.warnings and not force:
            raise MigrationError("Pushing the schema would lose data: " + " ".join(pushed.warnings))
        script = "".join(f"{each};\n" for each in pushed.statements if _is_change(each))
        keeper = Keeper(connection, script, schema.text)
        if keeper.rebuilds:
            # The engine runs its statements as it makes them: they are undone, and run with what is kept.
            connection.execute(f"ROLLBACK TO {_SAVEPOINT}")
            drop_changed(connection, schema.files)
            _run(connection, keeper)
            if keeper.losses and not force:
                lost = "; ".join(loss.message for loss in keeper.losses)
                raise MigrationError(
                    f"Pushing the schema would take away what cannot be kept: {lost}.",
                    code="MIGRATION_LOSS",
                    hint="Give --accept-data-loss, or change the schema.",
                )
        connection.execute(f"RELEASE {_SAVEPOINT}")
        if False in map(foreign_keys_switch, pushed.statements) and (broken := broken_references(connection)):
            raise MigrationError(f"The schema cannot be pushed: {broken}.")
        for statement in searches.after:
            connection.execute(statement)
        return replace(pushed, executed_steps=pushed.executed_steps + len(searches.summary))


def _run(connection: apsw.Connection, keeper: Keeper) -> None:
    try:
        for _ in run_steps(connection, keeper):
            pass
    except StepFailed as failed:
        raise MigrationError(f"The schema cannot be pushed: {failed.reason}.") from failed.error


def _is_change(sql: str) -> bool:
    words = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")
    first: Statement | None = next(statements(sql), None)
    return first is not None and any(first.begins(word) for word in words)
