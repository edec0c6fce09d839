"""Steps that write in a commit which is shared with others (`lamdb.storage.groupcommit`)."""

from abc import ABC, abstractmethod

import apsw

from lamdb.errors import Fenced, StorageError
from lamdb.graphql.idempotency import Once
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.protocol.requests import ParsedPipeline
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import SqlFailure, in_band
from lamdb.hrana.statements.guarding import arm, disarm
from lamdb.hrana.statements.schema_sync import follow, schema_version
from lamdb.hrana.statements.stored_values import Forms
from lamdb.hrana.transaction.session import StreamSession, restore_rowid
from lamdb.hrana.transaction.steps import Steps
from lamdb.hrana.transaction.writer_connection import GroupConnection, TransactionLost
from lamdb.storage.budget import current
from lamdb.storage.fencing import retry_fenced


class StaysOpen(Exception):
    """The transaction that begins with a step is not ended by the request."""

    def __init__(self, at: int) -> None:
        self.at = at


class Sharing(Steps, ABC):
    """The part of an execution that writes in shared commits."""

    def __init__(
        self, engine: SqlEngine, session: StreamSession, plan: ParsedPipeline, once: Once | None = None
    ) -> None:
        super().__init__(session, plan)
        self.engine = engine
        self.replayed: bytes | None = None
        """The results, if the request was executed before."""
        self.once = once
        self.end = len(plan.steps)
        self.committed = 0
        """The steps before this one are committed, or rolled back, and are not executed again."""
        self._at = 0

    @abstractmethod
    def stay_open(self, at: int) -> int:
        """Executes steps from `at` on, which opens a transaction that outlasts the request, and writes."""

    def share(self, at: int, end: int) -> int:
        """Executes steps in a commit that is shared with others. Returns the next step."""
        database = self.engine.database
        try:
            self.replayed = retry_fenced(
                lambda: database.write(lambda connection: self.work(connection, at, end)),
                self.engine.fenced_retries,
            )
        except StaysOpen as open_:
            return self.share(at, open_.at) if open_.at > at else self.stay_open(at)
        except TransactionLost as lost:
            return self.without(lost, at)
        except (Fenced, SqlFailure) as failure:
            self._fail(at, end, failure)
            return end
        except StorageError as error:
            if in_band(error) is None:
                raise
            self._fail(at, end, error)
            return end
        self.session.txid = database.txid
        self.committed = end
        return end

    def work(self, connection: apsw.Connection, at: int, end: int) -> bytes | None:
        """Runs in the writer's transaction, and again if that was undone.

        Returns the results if the request was executed before.
        """
        session = self.session
        session.scope.end()
        session.was_lost = False
        if (budget := current()) is not None:
            budget.begin_mutation()
        if self.once is not None and not self.committed:
            kept = self.once.find(connection)
            if kept is not None:
                return kept
        guard = Guard(session.role)
        place = GroupConnection(connection, guard, session.pragmas, session.scope)
        restore_rowid(connection, session.rowid)
        forms = Forms(connection)
        before = arm(connection, guard)
        _enforce(connection, session.pragmas.foreign_keys)
        self._at = at
        version = schema_version(connection)
        forms.watch()
        try:
            self.prepare(place)
            for index in range(at, end):
                self._at = index
                self.perform(place, index)
        except BaseException:
            forms.close()
            raise
        finally:
            forms.stop()
            disarm(connection, before)
            _enforce(connection, True)
        if session.scope.open:
            began = session.scope.began
            session.scope.end()
            forms.close()
            raise StaysOpen(began)
        session.rowid = connection.last_insert_rowid()
        forms.settle()
        if schema_version(connection) != version:
            follow(connection)
        if self.once is not None:
            # What follows in the request is not part of this commit, and cannot be answered again.
            self.once.keep(connection, self.results() if end == self.end else b"")
        return None

    def prepare(self, place: GroupConnection) -> None:
        """Called in the writer's transaction before the first step."""

    @abstractmethod
    def results(self) -> bytes:
        """Returns the results so far, as they are kept under the request's key."""

    def without(self, lost: TransactionLost, at: int) -> int:
        """Goes on after a statement that rolled its transaction back, and all that shared the commit."""
        index = self._at
        began = self.session.scope.began if self.session.scope.open else index
        self.session.scope.end()
        kept = self.outcomes[began:index]
        if began > at:
            self.share(at, began)
        self.outcomes[began:index] = kept
        self.outcomes.fail(index, lost.cause)
        self.session.rowid = lost.rowid
        return index + 1

    def _fail(self, at: int, end: int, error: Exception) -> None:
        """Makes the failure of a commit that of all that it would have kept."""
        self.session.scope.end()
        self.session.was_lost = True
        for index in range(at, end):
            outcome = self.outcomes[index]
            if outcome is not None and outcome.is_ok:
                self.outcomes.fail(index, error)


def _enforce(connection: apsw.Connection, enforce: bool) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))
