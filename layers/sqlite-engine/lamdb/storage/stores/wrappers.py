"""Wrappers around object stores that count or delay requests.

For traces, tests and benchmarks. A wrapper overrides `around`, through which every request passes.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from lamdb.storage.stores.objectstore import Body, ObjectInfo, ObjectStore, Upload


class StoreWrapper:
    """Passes every request on; the base of the others."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.url = inner.url
        self.level_folder = inner.level_folder
        self.own_clock = inner.own_clock

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        """`operation` is the method's name, `key` its key or prefix; `call` makes the request."""
        return call()

    def get(self, key: str) -> bytes | None:
        return self.around("get", key, lambda: self.inner.get(key))

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        return self.around("get_range", key, lambda: self.inner.get_range(key, offset, length))

    def get_suffix(self, key: str, length: int) -> bytes | None:
        return self.around("get_suffix", key, lambda: self.inner.get_suffix(key, length))

    def put_new(self, key: str, body: Body, *, timestamp_ms: int) -> bool:
        return self.around("put_new", key, lambda: self.inner.put_new(key, body, timestamp_ms=timestamp_ms))

    def require_create_only(self) -> None:
        self.inner.require_create_only()

    def upload(self, key: str, *, timestamp_ms: int) -> Upload:
        return _WrappedUpload(self, key, self.inner.upload(key, timestamp_ms=timestamp_ms))

    def head(self, key: str) -> ObjectInfo | None:
        return self.around("head", key, lambda: self.inner.head(key))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        yield from self.around("list", prefix, lambda: [*self.inner.list(prefix, after=after)])

    def delete(self, key: str) -> None:
        return self.around("delete", key, lambda: self.inner.delete(key))

    def aborting(self, upload: Upload) -> None:
        """Called in place of the `abort` of an upload of `inner`."""
        upload.abort()

    def renew(self) -> None:
        self.inner.renew()

    def close(self) -> None:
        self.inner.close()


class _WrappedUpload:
    """Its operations are "upload" (`write`) and "finish"."""

    def __init__(self, store: StoreWrapper, key: str, inner: Upload) -> None:
        self._store = store
        self._key = key
        self._inner = inner

    def write(self, piece: bytes) -> None:
        self._store.around("upload", self._key, lambda: self._inner.write(piece))

    def finish(self) -> bool:
        return self._store.around("finish", self._key, self._inner.finish)

    def abort(self) -> None:
        self._store.aborting(self._inner)


class ObservingStore(StoreWrapper):
    """Passes objects on as they are listed: the operation "list" ends with the first."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        objects: Iterator[ObjectInfo] = iter(())

        def begin() -> ObjectInfo | None:
            nonlocal objects
            objects = self.inner.list(prefix, after=after)
            return next(objects, None)

        first = self.around("list", prefix, begin)
        if first is not None:
            yield first
            yield from objects


class CountingStore(StoreWrapper):
    """Counts requests by operation, and bytes read."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.requests: Counter[str] = Counter()
        self.bytes_read = 0
        self._lock = threading.Lock()

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        result = call()
        with self._lock:
            self.requests[operation] += 1
            if isinstance(result, bytes):
                self.bytes_read += len(result)
        return result

    def reset(self) -> None:
        with self._lock:
            self.requests.clear()
            self.bytes_read = 0


class SlowStore(StoreWrapper):
    """Adds `latency` seconds to every request."""

    def __init__(self, inner: ObjectStore, latency: float) -> None:
        super().__init__(inner)
        self.latency = latency

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        time.sleep(self.latency)
        return call()
