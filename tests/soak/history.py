"""The actions of clients, as they logged them: a line is in the file before the next step is taken.

A log outlives its process: SIGKILL takes nothing that was written. Times are of the machine's monotonic
clock, which all processes share.
"""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

type Outcome = Literal["ok", "failed", "unknown"]
"""`failed`: the client was told that nothing of it was kept. `unknown`: it was told nothing, or that."""


@dataclass(slots=True)
class Write:
    """One attempt to append the entry (client, number); `id` and `txid` are what the answer said."""

    client: str
    number: int
    invoked: float
    completed: float | None = None
    outcome: Outcome = "unknown"
    id: int | None = None
    txid: int | None = None


@dataclass(slots=True)
class Read:
    """One look: `seen` is the id of the newest entry in it; `txid` the state it said it was of.

    `strong`: it asked for the newest state. `token`: the entry that it had to include. `wrong`: what did not
    fit together within it.
    """

    client: str
    invoked: float
    completed: float
    seen: int
    txid: int
    strong: bool = False
    token: int = 0
    wrong: str = ""


@dataclass(slots=True)
class Past:
    """One look at a past state, and how it was brought back: `as_of`, `time`, `file`, `store`, `points`.

    `moment` is the time that was asked for, if it was one.
    """

    client: str
    invoked: float
    completed: float
    how: str
    seen: int
    txid: int
    moment: float | None = None
    wrong: str = ""


@dataclass(slots=True)
class Row:
    """One entry as the database has it at the end."""

    id: int
    client: str
    number: int
    txid: int | None


@dataclass(slots=True)
class History:
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    pasts: list[Past] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> "History":
        """Everything that the logs in `folder` hold."""
        history = cls()
        for path in sorted(folder.glob("*.log")):
            history._load(path)
        return history

    def _load(self, path: Path) -> None:
        open_writes: dict[tuple[str, int], Write] = {}
        for line in path.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # The process was killed while it wrote this.
            kind, *values = json.loads(line)
            match kind:
                case "invoke":
                    write = Write(*values)
                    open_writes[write.client, write.number] = write
                    self.writes.append(write)
                case "complete":
                    client, number, *rest = values
                    write = open_writes[client, number]
                    write.completed, write.outcome, write.id, write.txid = rest
                case "read":
                    self.reads.append(Read(*values))
                case "past":
                    self.pasts.append(Past(*values))


class Log:
    """Appends to one process's log. Thread-safe: each line is one system call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def invoke(self, client: str, number: int) -> None:
        self._append("invoke", client, number, time.monotonic())

    def complete(
        self, client: str, number: int, outcome: Outcome, id: int | None = None, txid: int | None = None
    ) -> None:
        self._append("complete", client, number, time.monotonic(), outcome, id, txid)

    def read(
        self,
        client: str,
        invoked: float,
        seen: int,
        txid: int,
        *,
        strong: bool = False,
        token: int = 0,
        wrong: str = "",
    ) -> None:
        self._append("read", client, invoked, time.monotonic(), seen, txid, strong, token, wrong)

    def past(
        self,
        client: str,
        invoked: float,
        how: str,
        seen: int,
        txid: int,
        *,
        moment: float | None = None,
        wrong: str = "",
    ) -> None:
        self._append("past", client, invoked, time.monotonic(), how, seen, txid, moment, wrong)

    def _append(self, *values: object) -> None:
        os.write(self._file, json.dumps(values).encode() + b"\n")
