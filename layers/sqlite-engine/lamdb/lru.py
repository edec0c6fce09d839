"""A map that is bounded by the number of its entries and by their weight."""

from collections import OrderedDict
from threading import Lock


class LruCache[K: (str, bytes), V]:
    """A map from texts to what was made of them; the least recently used goes first. Thread-safe.

    The weight of an entry is the length of its key, or what `put` is told. What is made of a text mostly
    grows with it, and cannot be weighed itself.
    """

    def __init__(self, entries: int, weight: int) -> None:
        """`entries` and `weight`: what is kept at most. The last entry is kept however much it weighs."""
        self._entries = entries
        self._most = weight
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._weights: dict[K, int] = {}
        self._weight = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        value = self._kept.get(key)
        if value is not None:
            try:  # noqa: SIM105 - `suppress` takes as long as the rest of this method
                self._kept.move_to_end(key)
            except KeyError:
                pass  # another thread has evicted it meanwhile: the value is still good
        return value

    def values(self) -> list[V]:
        """The cached values, the least recently used first."""
        with self._lock:
            return list(self._kept.values())

    def put(self, key: K, value: V, weight: int | None = None) -> None:
        """Adds an entry, or replaces it together with its weight."""
        weight = len(key) if weight is None else weight
        with self._lock:
            self._weight += weight - self._weights.get(key, 0)
            self._weights[key] = weight
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._entries or (self._weight > self._most and len(self._kept) > 1):
                gone, _ = self._kept.popitem(last=False)
                self._weight -= self._weights.pop(gone)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._weights.clear()
            self._weight = 0
