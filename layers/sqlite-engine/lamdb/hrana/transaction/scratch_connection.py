"""The place of a transaction that will be rolled back: a copy of the state that it sees."""

from typing import Any

import apsw

from lamdb.hrana.protocol.requests import Step
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.guarding import arm
from lamdb.hrana.statements.pragmas import Pragmas
from lamdb.hrana.statements.schema_sync import schema_version
from lamdb.hrana.statements.text import Kind, StatementText
from lamdb.hrana.transaction.connection import NeedsWriter, StreamConnection, StreamTransaction
from lamdb.hrana.transaction.session import restore_rowid
from lamdb.hrana.transaction.writer_connection import foreign_key_failure, unsettled
from lamdb.storage.pinned import install

type Json = dict[str, Any]


class ScratchConnection(StreamConnection):
    """A connection of `lamdb.storage.sessions.Scratch`. To commit anything raises `NeedsWriter`."""

    def __init__(
        self,
        connection: apsw.Connection,
        guard: Guard,
        pragmas: Pragmas,
        scope: StreamTransaction,
        rowid: int,
    ) -> None:
        super().__init__(connection, guard, pragmas, scope)
        install(connection)
        arm(connection, guard)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(pragmas.foreign_keys))
        restore_rowid(connection, rowid)
        self._before = self._state()

    @property
    def has_changed(self) -> bool:
        """True if there is anything to commit."""
        return self._state() != self._before

    def _state(self) -> tuple[Any, ...]:
        """Another after each change of rows, tables, or what PRAGMA may set."""
        own = self.guard.is_off
        self.guard.is_off = True
        try:
            pragmas = [self.connection.pragma(name) for name in ("user_version", "application_id")]
            return self.connection.total_changes(), schema_version(self.connection), *pragmas
        finally:
            self.guard.is_off = own

    def _statement(self, step: Step, at: int) -> Json:
        try:
            return self._run(step)
        except BaseException:
            if not self.connection.in_transaction:
                self.scope.end()
            raise

    def _begin(self, kind: Kind) -> None:
        """The connection is in a transaction."""

    def _commit(self) -> None:
        if unsettled(self.connection):
            raise foreign_key_failure()
        if self.has_changed:
            raise NeedsWriter

    def _execute(self, sql: StatementText) -> None:
        self.connection.execute(sql.text)
