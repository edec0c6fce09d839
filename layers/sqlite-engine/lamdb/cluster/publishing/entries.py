"""Changes of the feed as events of EventBridge.

The size of an event is computed as AWS does it:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from lamdb.cluster.aws.events_api import BATCH

MOST_BYTES: Final = 256 * 1024 - 1024
"""The size of all events of a request, of which AWS documents that it must be less than 256 KB."""

MISSING: Final = "Changes missing"
"""The type of the event that tells consumers to read the records anew."""

_MOST_TYPE: Final = 128
"""Characters of an event's type."""
_VERBS: Final = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted", "RESET": "reset"}

type Entry = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """An event, `cut` to the key of its record if the whole was refused, and the cursor after it."""

    cursor: str
    entry: Entry
    cut: Entry

    @property
    def is_cut(self) -> bool:
        """True if the values do not fit into an event."""
        return self.entry is self.cut

    @property
    def size(self) -> int:
        return size_of(self.entry)


class Entries:
    """Makes the events of one database for one bus."""

    def __init__(self, store: str, bus: str, source: str) -> None:
        """`store`: the URL of the database. Its digest is part of the events' ids."""
        self._database = hashlib.blake2b(store.encode(), digest_size=6).hexdigest()
        self.bus = bus
        self._source = source

    def of_change(self, change: Mapping[str, Any]) -> Event:
        """The event of a change, which has the fields of the API's type `Change`."""
        cursor, model, operation = change["cursor"], change["model"], change["operation"]
        fixed = {
            "id": f"{self._database}-{cursor}",
            "cursor": cursor,
            "txid": change["txid"],
            "model": model,
            "operation": operation,
        }
        values = {name: _json(change[name]) for name in ("key", "before", "after")}
        name = f"{model} {_VERBS[operation]}"
        cut = {"key": values["key"], "before": None, "after": None, "cut": True}
        smaller = self._entry(name, {**fixed, **cut})
        if size_of(smaller) > MOST_BYTES:
            smaller = self._entry(name, {**fixed, **cut, "key": None})
        whole = self._entry(name, {**fixed, **values, "cut": False})
        return Event(cursor, whole if size_of(whole) <= MOST_BYTES else smaller, smaller)

    def of_gap(self, since: str | None, cursor: str, reason: str) -> Event:
        """The event that changes after `since` up to `cursor` are not published; None for all before."""
        detail = {
            "id": f"{self._database}-{since or ''}..{cursor}",
            "since": since,
            "cursor": cursor,
            "reason": reason,
        }
        entry = self._entry(MISSING, detail)
        return Event(cursor, entry, {**entry})

    def _entry(self, name: str, detail: Mapping[str, Any]) -> Entry:
        return {
            "EventBusName": self.bus,
            "Source": self._source,
            "DetailType": name[:_MOST_TYPE],
            "Detail": orjson.dumps(detail).decode(),
        }


def size_of(entry: Entry) -> int:
    """The bytes of an event as EventBridge counts them."""
    return sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail"))


def batches(events: Iterable[Event]) -> Iterator[Sequence[Event]]:
    """Divides events, in their order, into requests that EventBridge takes."""
    batch: list[Event] = []
    size = 0
    for event in events:
        if batch and (len(batch) == BATCH or size + event.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += event.size
    if batch:
        yield batch


def _json(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)
