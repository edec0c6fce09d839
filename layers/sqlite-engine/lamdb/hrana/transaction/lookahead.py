"""Predicts the effects of a request's statements, as far as their texts show them."""

from lamdb.hrana.protocol.requests import ParsedPipeline
from lamdb.hrana.statements.text import Kind

BEGINNING = (Kind.BEGIN, Kind.BEGIN_IMMEDIATE, Kind.BEGIN_READ_ONLY)
ENDING = (Kind.COMMIT, Kind.ROLLBACK)


def opens_at(plan: ParsedPipeline, at: int) -> int | None:
    """Returns the step from `at` on that opens a transaction which the request does not end; None without.

    That is so if all goes well, and no transaction is open at `at`.
    """
    open_at: int | None = None
    savepoints = 0
    for index in range(at, len(plan.steps)):
        step = plan.steps[index]
        if step.sql is None or step.asks:
            continue
        kind = step.sql.kind
        if kind in BEGINNING and open_at is None:
            open_at, savepoints = index, -1
        elif kind in ENDING:
            open_at = None
        elif kind is Kind.SAVEPOINT and savepoints >= 0:
            open_at = index if open_at is None else open_at
            savepoints += 1
        elif kind is Kind.RELEASE and savepoints > 0:
            savepoints -= 1
            open_at = None if savepoints == 0 else open_at
        if open_at is None:
            savepoints = 0
    return None if plan.closes else open_at


def writes_at(plan: ParsedPipeline, at: int) -> bool:
    """Returns whether a step writes, or begins a transaction that writes before it ends."""
    sql = plan.steps[at].sql
    if sql is None or plan.steps[at].asks:
        return False
    if sql.kind is Kind.BEGIN_IMMEDIATE or sql.writes:
        return True
    if sql.kind not in (Kind.BEGIN, Kind.SAVEPOINT):
        return False
    for step in plan.steps[at + 1 :]:
        if step.sql is not None and step.sql.writes:
            return True
        if step.sql is not None and step.sql.kind in ENDING:
            return False
    return False


def may_commit(plan: ParsedPipeline, at: int) -> bool:
    """Returns whether a step from `at` on may end an open transaction otherwise than by rolling it back."""
    kinds = (Kind.COMMIT, Kind.RELEASE)
    return any(step.sql is not None and step.sql.kind in kinds for step in plan.steps[at:])
