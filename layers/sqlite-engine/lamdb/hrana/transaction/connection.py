"""The connections on which statements of a stream are executed, and the state of its transactions there.

A stream is in autocommit mode or in a transaction, as a SQLite connection is. But it has no connection of
its own: queries are executed by readers, and writes in the commit that they share with those of others
(`lamdb.storage.groupcommit`). So BEGIN, COMMIT and ROLLBACK of a stream are not those of a connection.
`StreamTransaction` keeps what the stream's transaction is; a `StreamConnection` applies it to its connection.
"""

from typing import Any

import apsw

from lamdb.errors import ReadOnly
from lamdb.hrana.protocol.requests import Step
from lamdb.hrana.statements.authorizer import Guard, is_own, refusal_of_vacuum
from lamdb.hrana.statements.errors import SqlFailure, refused
from lamdb.hrana.statements.guarding import require_no_rules
from lamdb.hrana.statements.pragmas import Pragmas
from lamdb.hrana.statements.run import describe, run
from lamdb.hrana.statements.schema_sync import protect
from lamdb.hrana.statements.text import CONTROL, Kind, StatementText

type Json = dict[str, Any]


class NeedsWriter(Exception):
    """A statement writes where it can only be read."""


class StreamTransaction:
    """The transaction of a stream, if one is open, and its savepoints."""

    __slots__ = ("began", "by_savepoint", "names", "open", "read_only")

    def __init__(self) -> None:
        self.open = False
        self.by_savepoint = False
        self.read_only = False
        self.names: list[str] = []
        self.began = 0
        """The step that opened it; -1 if it was of an earlier request."""

    def begin(self, at: int, *, by_savepoint: bool = False, read_only: bool = False) -> None:
        self.open, self.began = True, at
        self.by_savepoint, self.read_only = by_savepoint, read_only
        self.names = []

    def end(self) -> None:
        self.open = self.by_savepoint = self.read_only = False
        self.names = []

    def find(self, name: str) -> int:
        """The place of the innermost savepoint with a name. Raises `SqlFailure`."""
        for place in range(len(self.names) - 1, -1, -1):
            if self.names[place].lower() == name.lower():
                return place
        raise SqlFailure(f"SQLite error: no such savepoint: {name}", "SQLITE_ERROR")


class StreamConnection:
    """A connection, and a transaction on it. This one is a reader: transactions need nothing of SQLite's."""

    def __init__(
        self, connection: apsw.Connection, guard: Guard, pragmas: Pragmas, scope: StreamTransaction
    ) -> None:
        """Raises `Forbidden` if rules of rows keep the role from using SQL."""
        require_no_rules(connection, guard)
        self.connection = connection
        self.guard = guard
        self.pragmas = pragmas
        self.scope = scope

    def do(self, step: Step, at: int) -> Json:
        """Returns the result of a step. Raises the errors of `is_failure`, and all others."""
        if step.failure is not None:
            raise step.failure
        if step.asks == "get_autocommit":
            return {"is_autocommit": not self.scope.open}
        assert step.sql is not None
        if step.asks:
            return self._guarded(lambda sql: describe(self.connection, sql), step.sql)
        if step.sql.kind in CONTROL:
            self._control(step.sql, at)
            return self.nothing()
        if step.sql.word == "PRAGMA" and (found := self.pragmas.answer(step.sql, self.scope.open)):
            return found
        return self._statement(step, at)

    def nothing(self) -> Json:
        """Returns the result of a statement that has none."""
        return EMPTY

    def _statement(self, step: Step, at: int) -> Json:
        assert step.sql is not None
        try:
            return self._run(step)
        except ReadOnly as error:
            if self.scope.read_only:
                raise SqlFailure(
                    "SQLite error: attempt to write a readonly database", "SQLITE_READONLY"
                ) from error
            raise NeedsWriter from error

    def _run(self, step: Step) -> Json:
        def work(sql: StatementText) -> Json:
            return run(self.connection, sql, step.bindings, want_rows=step.want_rows, sink=step.sink)

        assert step.sql is not None
        return self._guarded(work, step.sql)

    def _guarded(self, work: Any, sql: StatementText) -> Json:
        self.guard.reason = None
        if sql.word == "ALTER" and is_own(sql.name):
            # The authorizer is not told the new name.
            raise refused(f"not authorized: names such as {sql.name} are lamDB's own")
        if sql.word == "VACUUM":
            raise refused(f"not authorized: {refusal_of_vacuum(sql.text)}")
        protect(self.guard, self.connection, sql)
        try:
            result: Json = work(sql)
        except apsw.AuthError as error:
            raise refused(f"not authorized: {self.guard.reason or error}") from error
        except apsw.SQLError as error:
            if self.guard.reason is not None:
                raise refused(f"not authorized: {self.guard.reason}") from error
            raise
        return result

    # Transactions

    def _control(self, sql: StatementText, at: int) -> None:
        scope = self.scope
        match sql.kind:
            case Kind.BEGIN | Kind.BEGIN_IMMEDIATE | Kind.BEGIN_READ_ONLY:
                if scope.open:
                    raise _error("cannot start a transaction within a transaction")
                read_only = sql.kind is Kind.BEGIN_READ_ONLY
                self._begin(sql.kind)
                scope.begin(at, read_only=read_only)
            case Kind.COMMIT:
                if not scope.open:
                    raise _error("cannot commit - no transaction is active")
                self._commit()
                scope.end()
            case Kind.ROLLBACK:
                if not scope.open:
                    raise _error("cannot rollback - no transaction is active")
                self._rollback()
                scope.end()
            case Kind.SAVEPOINT:
                self._savepoint(sql, at)
            case Kind.RELEASE:
                self._release(sql)
            case Kind.ROLLBACK_TO:
                place = scope.find(sql.name)
                self._execute(sql)
                del scope.names[place + 1 :]

    def _savepoint(self, sql: StatementText, at: int) -> None:
        if sql.name.lower().startswith("lamdb_"):
            raise refused("not authorized: savepoints whose names begin with lamdb_ are lamDB's own")
        if not self.scope.open:
            self._begin(Kind.BEGIN)
            self.scope.begin(at, by_savepoint=True)
        self._execute(sql)
        self.scope.names.append(sql.name)

    def _release(self, sql: StatementText) -> None:
        place = self.scope.find(sql.name)
        if place == 0 and self.scope.by_savepoint:
            self._commit()
            self.scope.end()
            return
        self._execute(sql)
        del self.scope.names[place:]

    def _begin(self, kind: Kind) -> None:
        if kind is Kind.BEGIN_IMMEDIATE:
            raise NeedsWriter

    def _commit(self) -> None:
        pass

    def _rollback(self) -> None:
        pass

    def _execute(self, sql: StatementText) -> None:
        """Executes what concerns savepoints."""


def _error(message: str) -> SqlFailure:
    return SqlFailure(f"SQLite error: {message}", "SQLITE_ERROR")


EMPTY: Json = {
    "cols": [],
    "rows": [],
    "affected_row_count": 0,
    "last_insert_rowid": None,
    "rows_read": 0,
    "rows_written": 0,
    "query_duration_ms": 0.0,
}
