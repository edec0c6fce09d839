"""How far the changes are published, in one small object beside the database.

    {"cursor": "42", "publisher": "5f1c9a3e0b6d4c21", "until": 1767225600000}

A publisher takes the object over before it publishes, for a time that each of its writes extends, and notes
the cursor after each batch. Every write replaces the state that the publisher has read (`If-Match`), so that
of two publishers one gives way. It is no part of the database: publishing makes no commits.
"""

import secrets
import time
from dataclasses import dataclass, replace
from typing import Final

import orjson

from lamdb.errors import StoreUnavailable
from lamdb.storage.stores.objectstore import PUBLISHED
from lamdb.storage.stores.obstores import Obstore

LEASE_SECONDS: Final = 30.0
"""Time after which another publisher takes over from one that has died."""

_ATTEMPTS: Final = 3


class Overtaken(Exception):
    """Another publisher has replaced the state."""


@dataclass(frozen=True, slots=True)
class Progress:
    """- `cursor`: of the feed, up to which all changes are published.
    - `publisher`: the one that publishes until `until` (milliseconds since 1970); empty for none.
    - `etag`: of the object; None before there is one.
    """

    cursor: str
    publisher: str = ""
    until: int = 0
    etag: str | None = None

    def is_taken(self) -> bool:
        """True if a publisher is at work."""
        return bool(self.publisher) and time.time() * 1000 < self.until

    def taken(self) -> "Progress":
        """The state with a new publisher."""
        return replace(self, publisher=secrets.token_hex(8)).extended()

    def extended(self) -> "Progress":
        return replace(self, until=int((time.time() + LEASE_SECONDS) * 1000))

    def released(self) -> "Progress":
        return replace(self, publisher="", until=0)

    def dumps(self) -> bytes:
        return orjson.dumps({"cursor": self.cursor, "publisher": self.publisher, "until": self.until})


class ProgressObject:
    """Reads and replaces the object."""

    def __init__(self, store: Obstore) -> None:
        self._store = store

    def read(self) -> Progress | None:
        """None if nothing was published yet. Raises `StoreUnavailable`, also for what is no such object."""
        found = self._store.get_tagged(PUBLISHED)
        if found is None:
            return None
        body, etag = found
        try:
            made = orjson.loads(body)
            return Progress(str(made["cursor"]), str(made["publisher"]), int(made["until"]), etag)
        except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
            raise StoreUnavailable(
                f"{PUBLISHED} in {self._store.url} does not say how far the changes are published",
                hint="Delete the object. Publishing begins anew, with the event that changes are missing.",
            ) from None

    def replace(self, new: Progress) -> Progress:
        """Writes the state in place of the one with its etag; the state with its new etag.

        Raises `Overtaken`, `StoreUnavailable`.
        """
        for _ in range(_ATTEMPTS):
            etag = self._store.replace(PUBLISHED, new.dumps(), new.etag)
            if etag is not None:
                return replace(new, etag=etag)
            found = self._store.get_tagged(PUBLISHED)
            if found is not None and found[0] == new.dumps():
                return replace(new, etag=found[1])  # the answer to the first attempt was lost
            if (found and found[1]) != new.etag:
                raise Overtaken
        raise StoreUnavailable(f"cannot replace {PUBLISHED} in {self._store.url}: the store refuses it")
