"""The state of a stream between requests."""

import threading
import time
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import apsw
import orjson

from lamdb.access.identity import Role
from lamdb.hrana.protocol.requests import Step
from lamdb.hrana.statements.pragmas import Pragmas
from lamdb.hrana.statements.rows import RowSink, digest_of_rows
from lamdb.hrana.transaction.connection import StreamConnection, StreamTransaction
from lamdb.hrana.transaction.writer_connection import HeldConnection
from lamdb.storage.sessions import SessionReader

type Json = dict[str, Any]

_LONGEST_LOG = 1000
"""Statements of a transaction that reads, up to which it can go on to write though others wrote."""


@dataclass(slots=True)
class Reading:
    """A transaction that has only read: a reader's connection, and what it was asked."""

    lease: SessionReader
    place: StreamConnection
    log: list[tuple[Step, bytes]] = field(default_factory=list)
    is_logged: bool = True

    def note(self, step: Step, answer: Any) -> None:
        """Note a step and what was answered."""
        if len(self.log) >= _LONGEST_LOG:
            self.log.clear()
            self.is_logged = False
        if self.is_logged:
            # The sink belongs to the request.
            kept = step if step.sink is None else replace(step, sink=RowSink())
            self.log.append((kept, digest(answer)))

    def release(self) -> None:
        self.lease.__exit__(None, None, None)


@dataclass(slots=True)
class Log:
    """The open transaction of a stream that no process keeps: what it takes to do all of it again.

    - `base`: the transaction whose state it sees. `clock`: when it began, in Julian milliseconds.
    - `rowid`: what `last_insert_rowid()` was then.
    - `chain`: the digest of all answers. `changed`: whether it has changed anything.
    - `parts`: the names of the objects that hold the first `in_parts` steps, `part_bytes` of JSON.
    """

    base: int
    clock: int
    rowid: int = 0
    steps: list[Step] = field(default_factory=list)
    chain: bytes = b""
    changed: bool = False
    parts: list[str] = field(default_factory=list)
    in_parts: int = 0
    part_bytes: int = 0

    def note(self, step: Step, answer: Any) -> None:
        """Note a step and what was answered."""
        self.steps.append(step)
        self.chain = follow(self.chain, answer)


@dataclass(slots=True)
class StreamSession:
    """A stream.

    - `principal`: whose it is. No other client can continue it.
    - `stored`: SQL texts by their ids.
    - `rowid`: what `last_insert_rowid()` is.
    - `txid`: the newest transaction that it has seen or written.
    - `was_lost`: its transaction could not be committed: a ROLLBACK that follows is no error.
    - `log`: its open transaction, where no process keeps it. `transactions`: how many it has begun so.
    - `promised`: whether it will be kept, if its next baton was given out before the end of a request.
    - `doomed`: the error of the transaction that is open, if it was given up: it can only be rolled back.
    """

    id: str
    role: Role
    principal: str = ""
    sequence: int = 0
    stored: dict[int, str] = field(default_factory=dict)
    rowid: int = 0
    txid: int = 0
    transaction: Reading | HeldConnection | None = None
    scope: StreamTransaction = field(default_factory=StreamTransaction)
    pragmas: Pragmas = field(init=False)
    was_lost: bool = False
    doomed: Json | None = None
    promised: bool | None = None
    log: Log | None = None
    transactions: int = 0
    began: float = 0.0
    used: float = 0.0
    busy: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.pragmas = Pragmas(self.role)
        self.used = time.monotonic()

    @property
    def has_state(self) -> bool:
        """True if the stream has any state that a new one has not."""
        return (
            self.scope.open
            or bool(self.stored)
            or self.rowid != 0
            or not self.pragmas.foreign_keys
            or self.was_lost
        )

    def release(self) -> None:
        """Rolls back an open transaction."""
        transaction, self.transaction = self.transaction, None
        self.doomed = self.log = None
        self.scope.end()
        if transaction is not None:
            transaction.release()


def digest(answer: Any) -> bytes:
    """Returns what tells answers of a statement apart; the time it took is no part of them."""
    rows = b""
    if isinstance(answer, dict) and "query_duration_ms" in answer:
        rows = digest_of_rows(answer)
        answer = {**answer, "rows": None, "query_duration_ms": 0}
    return blake2b(orjson.dumps(answer) + rows, digest_size=16).digest()


def follow(chain: bytes, answer: Any) -> bytes:
    """Returns the digest of all answers that `chain` is of, and one more."""
    return blake2b(chain + digest(answer), digest_size=16).digest()


def restore_rowid(connection: apsw.Connection, rowid: int) -> None:
    if connection.last_insert_rowid() != rowid:
        connection.set_last_insert_rowid(rowid)
