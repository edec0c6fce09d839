"""An event bus in memory that refuses what a test says, and a schema whose changes are published to it."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lamdb.cluster.aws.events_api import BATCH, EventsApi
from lamdb.cluster.publishing.entries import MOST_BYTES, size_of

CHANGING = """
datasource db {
  provider = "sqlite"
}

/// @lamdb.changes
model Author {
  id    Int     @id
  name  String?
  books Json?
}

/// @lamdb.changes
model Label {
  name String @id
}

model Other {
  id Int @id
}
"""


class EventBus(EventsApi):
    """Accepts requests as PutEvents documents them. `refuse` gives the code of an event's error, or ""."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, str]]] = []
        self.accepted: list[dict[str, str]] = []
        self.refuse: Callable[[dict[str, str]], str] = lambda entry: ""
        self.looked_for: list[str] = []
        self.exists: Callable[[], bool] = lambda: True
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def put(self, entries: Sequence[Mapping[str, Any]]) -> list[str]:
        self.before()
        sent = [dict(entry) for entry in entries]
        assert 1 <= len(sent) <= BATCH
        assert sum(map(size_of, sent)) <= MOST_BYTES
        self.requests.append(sent)
        codes = [self.refuse(entry) for entry in sent]
        self.accepted += [entry for entry, code in zip(sent, codes, strict=True) if not code]
        self.after()
        return codes

    def has_bus(self, bus: str) -> bool:
        self.looked_for.append(bus)
        return self.exists()

    @property
    def details(self) -> list[dict[str, Any]]:
        return [json.loads(entry["Detail"]) for entry in self.accepted]

    def names(self) -> list[str]:
        return [entry["DetailType"] for entry in self.accepted]
