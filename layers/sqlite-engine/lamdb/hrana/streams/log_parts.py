"""The parts of a transaction's statement log that are too long for a baton, as objects in the store.

A part is written by the writer, once, and never changed. Its name is a keyed digest of its transaction and
its content: it cannot be guessed, what is read is what was written, and a repeated request writes no second
object. Parts stay after COMMIT, which may be repeated, too. Maintenance deletes them
(`lamdb.storage.maintenance.transient`).
"""

import hmac
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from lamdb.hrana.protocol.requests import Step
from lamdb.hrana.statements.errors import StreamNotFound
from lamdb.hrana.transaction.connection import NeedsWriter
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.stores.objectstore import TRANSIENT_FOLDER

_KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of JSON of which the statements are kept in memory, for the next request."""


class LogParts:
    """The parts that one process reads and, as a writer, makes. Thread-safe."""

    def __init__(
        self,
        replica: Replica,
        key: bytes,
        *,
        can_write: bool,
        most_bytes: int,
        longest_baton: int = 1024 * 1024,
        smallest: int = 64 * 1024,
    ) -> None:
        """`key` is that of the batons.

        - `most_bytes`: of JSON, in all parts of one transaction.
        - `longest_baton`: characters from which a part is made; each request sends and receives a baton.
        - `smallest`: bytes of JSON of a part.
        """
        self.most_bytes = most_bytes
        self.longest_baton = longest_baton
        self.smallest = smallest
        self._replica = replica
        self._key = key
        self._can_write = can_write
        self._kept: OrderedDict[str, tuple[int, list[Step]]] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def keep(self, transaction: str, content: bytes, steps: list[Step]) -> str:
        """Writes a part: `steps` as JSON. Returns its name. Raises `NeedsWriter`, `StoreUnavailable`."""
        if not self._can_write:
            raise NeedsWriter
        name = self._name(transaction, content)
        body = zlib.compress(content, 1)
        # A name that is taken has the same content.
        self._replica.store.put_new(TRANSIENT_FOLDER + name, body, timestamp_ms=int(time.time() * 1000))
        self._remember(name, len(content), steps)
        return name

    def load(self, transaction: str, names: Sequence[str], read: Callable[[bytes], list[Step]]) -> list[Step]:
        """Returns the statements of parts. Raises `StreamNotFound`, `StoreUnavailable`."""
        with self._lock:
            found = {name: self._kept[name][1] for name in names if name in self._kept}
            for name in found:
                self._kept.move_to_end(name)
        get, submit = self._replica.store.get, self._replica.pool.submit
        missing = {name: submit(get, TRANSIENT_FOLDER + name) for name in names if name not in found}
        for name, future in missing.items():
            content = self._content(transaction, name, future.result())
            found[name] = read(content)
            self._remember(name, len(content), found[name])
        return [step for name in names for step in found[name]]

    def _content(self, transaction: str, name: str, body: bytes | None) -> bytes:
        if body is None:
            raise StreamNotFound("The statements of the transaction are no longer kept.")
        try:
            content = zlib.decompress(body)
        except zlib.error as error:
            raise StreamNotFound("The statements of the transaction cannot be read.") from error
        if not hmac.compare_digest(self._name(transaction, content), name):
            raise StreamNotFound("The statements of the transaction were changed.")
        return content

    def _name(self, transaction: str, content: bytes) -> str:
        return hmac.new(
            self._key, transaction.encode() + b"\0" + sha256(content).digest(), sha256
        ).hexdigest()

    def _remember(self, name: str, size: int, steps: list[Step]) -> None:
        with self._lock:
            before = self._kept.pop(name, None)
            self._kept[name] = size, steps
            self._kept_bytes += size - (before[0] if before is not None else 0)
            while self._kept_bytes > _KEPT_BYTES:
                self._kept_bytes -= self._kept.popitem(last=False)[1][0]
