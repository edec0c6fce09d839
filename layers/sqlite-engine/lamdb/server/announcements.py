"""The state of a server's writer, in memory that its processes share.

The writer announces each transaction before it answers. So a worker that gets a query after a mutation was
answered by another knows that there is something newer to fetch.
"""

import mmap


class Announcement:
    """A TXID, and whether the writer serves. Made before the processes are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)
        self._value = memoryview(self._memory).cast("Q")

    def get(self) -> int:
        return self._value[0]

    def set(self, txid: int) -> None:
        self._value[0] = txid

    @property
    def is_serving(self) -> bool:
        """True from the start of the writer until it ends or is about to."""
        return self._value[1] == 1

    def serving(self, is_serving: bool) -> None:
        self._value[1] = is_serving
