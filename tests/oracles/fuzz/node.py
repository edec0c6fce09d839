"""Prisma's engine on Node as a process that answers line by line."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).parents[1] / "prisma_node"


class Node:
    """A running engine. Use it as a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "session.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def send(self, command: dict[str, Any]) -> None:
        """Gives a command; its answer must be received before the next one."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("Prisma's engine on Node has ended.")
        return json.loads(line)

    def open(self, schema: str, database: Path) -> None:
        """A new client for `schema`, which works on `database`."""
        self.send({"schema": schema, "database": str(database)})
        self.receive()

    def reopen(self, database: Path) -> None:
        """The same client on another file."""
        self.send({"database": str(database)})
        self.receive()

    def run(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        self.send({"requests": requests})
        answers: list[dict[str, Any]] = self.receive()
        return answers
