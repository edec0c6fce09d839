"""Loads records into the table of a model, in transactions of bounded size."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

import apsw

from lamdb.counting import counted
from lamdb.errors import SourceError
from lamdb.prisma.query.sql_errors import database_error
from lamdb.prisma.sqlite.catalog import quote
from lamdb.records.model import Model
from lamdb.records.reading import FileRecord, RejectedRecord
from lamdb.storage import Database
from lamdb.storage.fencing import retry_fenced

BATCH_RECORDS: Final = 5000
BATCH_BYTES: Final = 8 * 1024 * 1024
"""One transaction has at most so many records, and bytes of the file."""
MAX_WAITING: Final = 100_000
"""Records of a model that refers to itself that may wait for those they refer to."""
_FENCED_RETRIES: Final = 20


@dataclass
class Loaded:
    """The result: records stored, faults of skipped records, transactions."""

    records: int = 0
    transactions: int = 0
    faults: list[RejectedRecord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Outcome:
    stored: int
    faults: tuple[RejectedRecord, ...]
    waiting: tuple[FileRecord, ...]
    """Records whose references are not there."""


def load(
    database: Database,
    model: Model,
    records: Iterable[FileRecord | RejectedRecord],
    *,
    name: str,
    skip_errors: int = 0,
    batch_records: int = BATCH_RECORDS,
    on_fault: Callable[[RejectedRecord], None] = lambda _: None,
    committing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Loaded:
    """Insert records; up to `skip_errors` that cannot be stored are left out, and given to `on_fault`.

    Raises `SourceError`, which names the line, for one more. Transactions that were committed before stay;
    the message says how many records they have, and where the rest begins. Each transaction is written inside
    `committing()`. A `KeyboardInterrupt` is raised again with such a message. Raises `StorageError`.
    """
    return _Loading(database, model, name, skip_errors, batch_records, on_fault, committing).run(records)


class _Loading:
    def __init__(
        self,
        database: Database,
        model: Model,
        name: str,
        skip_errors: int,
        batch_records: int,
        on_fault: Callable[[RejectedRecord], None],
        committing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._database = database
        self._model = model
        self._name = name
        self._skip_errors = skip_errors
        self._batch_records = batch_records
        self._on_fault = on_fault
        self._committing = committing
        self._done = Loaded()
        self._waiting: tuple[FileRecord, ...] = ()
        self._before = database.refresh()
        self._last_line = 0
        """Where the last record of a committed transaction begins."""

    def run(self, records: Iterable[FileRecord | RejectedRecord]) -> Loaded:
        batch: list[FileRecord] = []
        size = 0
        try:
            for each in records:
                if isinstance(each, RejectedRecord):
                    self._skip(each)
                    continue
                batch.append(each)
                size += each.size
                if len(batch) >= self._batch_records or size >= BATCH_BYTES:
                    self._commit(batch, is_last=False)
                    batch, size = [], 0
            self._commit(batch, is_last=True)
        except SourceError as error:
            raise self._stopped(error) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted()) from None
        return self._done

    def _commit(self, batch: list[FileRecord], *, is_last: bool) -> None:
        rows = (*self._waiting, *batch)
        if not rows:
            return
        may_wait = self._model.refers_to_itself and not is_last
        left = self._skip_errors - len(self._done.faults)

        def work(connection: apsw.Connection) -> _Outcome:
            outcome = _insert(connection, self._model, rows)
            if not may_wait:
                found = (*outcome.faults, *map(_dangling, outcome.waiting))
                faults = sorted(found, key=lambda fault: fault.line)
                outcome = _Outcome(outcome.stored, tuple(faults), ())
            if len(outcome.faults) > left:
                # Nothing of this transaction is kept.
                raise _located(self._name, outcome.faults[left])
            return outcome

        with self._committing():
            outcome = retry_fenced(lambda: self._database.write(work), _FENCED_RETRIES)
            self._done.records += outcome.stored
            self._done.transactions += outcome.stored > 0
            self._last_line = rows[-1].line
            self._waiting = outcome.waiting
        for fault in outcome.faults:
            self._skip(fault)
        if len(self._waiting) > MAX_WAITING:
            raise _located(self._name, _dangling(self._waiting[0]))

    def _skip(self, fault: RejectedRecord) -> None:
        if len(self._done.faults) >= self._skip_errors:
            raise _located(self._name, fault)
        self._done.faults.append(fault)
        self._on_fault(fault)

    def _stopped(self, error: SourceError) -> SourceError:
        if not self._done.records:
            return SourceError(f"{error.message} No record was loaded.", hint=error.hint)
        return SourceError(f"{error.message} {self._kept()}", hint=f"Correct it, and {self._go_on()}")

    def _interrupted(self) -> str:
        if not self._done.records:
            return "interrupted: no record was loaded."
        hint = self._go_on()
        return f"interrupted. {self._kept()}\n  hint: {hint[0].upper()}{hint[1:]}"

    def _kept(self) -> str:
        records, transactions = self._done.records, self._done.transactions
        were = "was" if records == 1 else "were"
        return (
            f"{counted(records, 'record')} {were} loaded before, in {counted(transactions, 'transaction')}."
        )

    def _go_on(self) -> str:
        rest = f"load the rest with --from-line {self._last_line + 1}"
        if self._waiting:
            # Records of the lines before that wait for later ones are not stored.
            rest = "load those that are missing"
        return f"{rest}. Or go back to the state before: lamdb restore --in-place --yes --txid {self._before}"


def _located(name: str, fault: RejectedRecord) -> SourceError:
    return SourceError(
        f"{name}, {fault}.", hint="Correct the file, or leave such records out with --skip-errors N."
    )


def _dangling(record: FileRecord) -> RejectedRecord:
    return RejectedRecord(record.line, "it refers to a record that does not exist (P2003)")


def _insert(connection: apsw.Connection, model: Model, rows: tuple[FileRecord, ...]) -> _Outcome:
    """Insert what can be inserted; again, as long as that helps, what refers to records that came later."""
    statements: dict[tuple[str, ...], str] = {}
    faults: list[RejectedRecord] = []
    stored = 0
    while rows:
        waiting: list[FileRecord] = []
        for row in rows:
            columns = tuple(row.values)
            sql = statements.get(columns)
            if sql is None:
                sql = statements[columns] = _statement(model, columns)
            try:
                connection.execute(sql, tuple(row.values.values()))
            except apsw.ConstraintError as error:
                if getattr(error, "extendedresult", 0) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
                    waiting.append(row)
                else:
                    found = database_error(error)
                    faults.append(RejectedRecord(row.line, f"{found.message} ({found.code})"))
            except apsw.MismatchError:
                faults.append(RejectedRecord(row.line, "the id is not a whole number"))
            except apsw.SQLError as error:
                # Not this record's fault: there is no such table, or it is a view.
                raise database_error(error) from error
        stored += len(rows) - len(waiting)
        if len(waiting) == len(rows) or not model.refers_to_itself:
            rows = tuple(waiting)
            break
        rows = tuple(waiting)
    return _Outcome(stored - len(faults), tuple(faults), rows)


def _statement(model: Model, columns: tuple[str, ...]) -> str:
    if not columns:
        return f"INSERT INTO {quote(model.table)} DEFAULT VALUES"
    names = ", ".join(map(quote, columns))
    return f"INSERT INTO {quote(model.table)} ({names}) VALUES ({', '.join('?' * len(columns))})"
