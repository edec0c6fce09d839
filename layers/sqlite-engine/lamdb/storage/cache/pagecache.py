"""Pages in memory."""

import threading
from collections import OrderedDict


def cache_key(txid: int, number: int) -> int:
    """The key of page `number` as transaction `txid` left it.

    `txid` is the last transaction of the file that the page is read from. A compacted file that ends at the
    same transaction holds the same page, so pages outlive the files they came from.
    """
    return txid << 32 | number


class PageCache:
    """Least recently used pages go first, under a budget in bytes. Shared by all views. Thread-safe."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.size = 0
        self.hits = 0
        """How often a page was found here."""
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: int) -> bytes | None:
        """Works without the lock, because a statement may read thousands of pages. Each step is one atomic
        call."""
        page = self._pages.get(key)
        if page is not None:
            self.hits += 1
            try:  # noqa: SIM105 (a context manager takes as long as all the rest)
                self._pages.move_to_end(key)
            except KeyError:  # Another thread has just dropped it.
                pass
        return page

    def put(self, key: int, page: bytes) -> None:
        with self._lock:
            if key in self._pages:
                return
            self._pages[key] = page
            self.size += len(page)
            while self.size > self.budget:
                _, dropped = self._pages.popitem(last=False)
                self.size -= len(dropped)

    def __contains__(self, key: int) -> bool:
        return key in self._pages

    def __len__(self) -> int:
        return len(self._pages)

    def clear(self) -> None:
        with self._lock:
            self._pages.clear()
            self.size = 0
