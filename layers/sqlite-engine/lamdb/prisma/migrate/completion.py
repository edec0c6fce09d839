"""Completes a script of the schema engine with what its table rebuilds would drop.

So the script says what will happen, and does the same wherever it is run.
"""

from dataclasses import dataclass

import apsw

from lamdb.prisma.migrate.rebuild import Keeper, Loss
from lamdb.prisma.migrate.scripts import StepFailed, run_steps
from lamdb.storage.savepoints import trial


@dataclass(frozen=True, slots=True)
class Completed:
    """`lost` is what the script removes nevertheless. A comment in it names each."""

    text: str
    lost: tuple[Loss, ...] = ()


def complete(connection: apsw.Connection, script: str, schema: str) -> Completed:
    """The script with what it is to keep of the tables of `connection`, which stand before it.

    `schema` is the text that the script leads to. A script that does not run is returned as it is: it is to
    be edited. Nothing is changed.
    """
    try:
        first = _run(connection, script, schema)
        if not first.keeper.rebuilds:
            return Completed(script)
        losses = tuple(first.keeper.losses)
        needed = {*first.keeper.directives, *(loss.directive for loss in losses)}
        if not needed:
            return Completed(first.text)
        said = "".join(f"-- Taken away: {' '.join(loss.message.split())}\n" for loss in losses)
        head = said + "".join(f"{each}\n" for each in sorted(needed))
        return Completed(_run(connection, f"{head}{script}", schema).text, losses)
    except StepFailed:
        return Completed(script)


@dataclass(frozen=True, slots=True)
class _Run:
    keeper: Keeper
    text: str


def _run(connection: apsw.Connection, script: str, schema: str) -> _Run:
    keeper = Keeper(connection, script, schema, writes=True)
    parts: list[str] = []
    with trial(connection, "lamdb_completion"):
        parts += [
            f"\n{step.sql}" if step.statement is None else step.statement.lead + step.sql
            for step in run_steps(connection, keeper)
        ]
    return _Run(keeper, "".join(parts))
