"""The places where a stream writes: a shared commit, or the writer that it holds."""

from collections.abc import Callable
from typing import Any

import apsw

from lamdb.hrana.protocol.requests import Step
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import SqlFailure
from lamdb.hrana.statements.guarding import arm, disarm
from lamdb.hrana.statements.pragmas import Pragmas
from lamdb.hrana.statements.schema_sync import follow, schema_version
from lamdb.hrana.statements.stored_values import Forms
from lamdb.hrana.statements.text import Kind, StatementText
from lamdb.hrana.transaction.connection import StreamConnection, StreamTransaction
from lamdb.storage.sessions import SessionWriter

type Json = dict[str, Any]


class TransactionLost(Exception):
    """SQLite rolled the whole transaction back because of what a statement did (`ON CONFLICT ROLLBACK`).

    `cause` is the statement's failure, `rowid` what `last_insert_rowid()` is after it.
    """

    def __init__(self, cause: Exception, rowid: int) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.rowid = rowid


class GroupConnection(StreamConnection):
    """The writer's connection, for as long as one request takes, within the savepoint of a group's member."""

    def _statement(self, step: Step, at: int) -> Json:
        if self.scope.open:
            return self._checked(step)
        # In autocommit mode, what a statement leaves unsettled fails it.
        self._own("SAVEPOINT lamdb_statement")
        try:
            return self._checked(step)
        finally:
            if self.connection.in_transaction:
                # Also a statement that failed half-way may have left something (`ON CONFLICT FAIL`).
                broken = unsettled(self.connection)
                self._own(f"{'ROLLBACK TO lamdb_statement; ' if broken else ''}RELEASE lamdb_statement")
                if broken:
                    raise foreign_key_failure()

    def _checked(self, step: Step) -> Json:
        try:
            return self._run(step)
        except Exception as error:
            if not self.connection.in_transaction:
                raise TransactionLost(error, self.connection.last_insert_rowid()) from error
            raise

    def _begin(self, kind: Kind) -> None:
        self._own("SAVEPOINT lamdb_transaction")

    def _commit(self) -> None:
        if unsettled(self.connection):
            raise foreign_key_failure()
        self._own("RELEASE lamdb_transaction; PRAGMA defer_foreign_keys = OFF")

    def _rollback(self) -> None:
        self._own("ROLLBACK TO lamdb_transaction; RELEASE lamdb_transaction; PRAGMA defer_foreign_keys = OFF")

    def _execute(self, sql: StatementText) -> None:
        self.connection.execute(sql.text)

    def _own(self, sql: str) -> None:
        """Executes what only lamDB may."""
        self.guard.is_off = True
        try:
            self.connection.execute(sql)
        finally:
            self.guard.is_off = False


class HeldConnection(StreamConnection):
    """A writer that the stream holds until its transaction ends."""

    def __init__(
        self, lease: SessionWriter, guard: Guard, pragmas: Pragmas, scope: StreamTransaction
    ) -> None:
        """Raises `apsw.BusyError`, and as `Database.writer` does."""
        connection = lease.__enter__()
        try:
            super().__init__(connection, guard, pragmas, scope)
        except BaseException as error:
            lease.__exit__(type(error), error, None)
            raise
        self._lease = lease
        self._is_over = False
        self._version = schema_version(connection)
        self._forms = Forms(connection)
        self._forms.watch()
        self.txid = lease.txid
        """The transaction on which this one builds."""
        self.rowid = 0
        """`last_insert_rowid()` at its end."""
        self.before_commit: Callable[[apsw.Connection], None] = lambda connection: None
        """Called in the transaction before it is committed."""
        self._before = arm(connection, guard)

    def release(self) -> None:
        """Rolls back, unless the transaction has ended."""
        if not self._is_over:
            self._leave(_Rollback())

    def _statement(self, step: Step, at: int) -> Json:
        try:
            return self._run(step)
        except BaseException:
            if not self._lease.intact:
                self.release()
                self.scope.end()
            raise

    def _begin(self, kind: Kind) -> None:
        """The lease has begun."""

    def _commit(self) -> None:
        if unsettled(self.connection):
            raise foreign_key_failure()
        self._own(self._forms.settle)
        if schema_version(self.connection) != self._version:
            self._own(self._follow)
        self._own(lambda: self.before_commit(self.connection))
        try:
            self._leave(None)
        except BaseException:
            self.scope.end()
            raise

    def _rollback(self) -> None:
        self.release()

    def _execute(self, sql: StatementText) -> None:
        self.connection.execute(sql.text)

    def _follow(self) -> None:
        """Lets the API follow; where it cannot, the transaction stays open."""
        self.connection.execute("SAVEPOINT lamdb_follow")
        try:
            follow(self.connection)
        except BaseException:
            self.connection.execute("ROLLBACK TO lamdb_follow")
            raise
        finally:
            self.connection.execute("RELEASE lamdb_follow")

    def _own(self, work: Callable[[], None]) -> None:
        """Does what only lamDB may, after which the transaction may go on."""
        rowid = self.connection.last_insert_rowid()
        self.connection.authorizer = None
        try:
            work()
        finally:
            self.connection.set_last_insert_rowid(rowid)
            self.connection.authorizer = self.guard
            self._forms.watch()

    def _leave(self, error: Exception | None) -> None:
        self._is_over = True
        self._forms.close()
        self.rowid = self.connection.last_insert_rowid()
        disarm(self.connection, self._before)
        self._lease.__exit__(type(error) if error is not None else None, error, None)


class _Rollback(Exception):
    pass


def unsettled(connection: apsw.Connection) -> bool:
    """True if the transaction holds a reference that is not satisfied."""
    return bool(connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0])


def foreign_key_failure() -> SqlFailure:
    return SqlFailure(
        "SQLite error: FOREIGN KEY constraint failed", "SQLITE_CONSTRAINT", "SQLITE_CONSTRAINT_FOREIGNKEY"
    )
