"""The byte ranges of objects that are kept, and their places."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from lamdb.storage.cache.segments import Entry, Segment


class Kept(NamedTuple):
    """Bytes of an object, `entry.start` to `entry.end` (exclusive), and the segment that has them."""

    entry: Entry
    segment: Segment


class RangeIndex:
    """The ranges that are kept of each object, by the object's identity.

    No range of an object lies within another one. So the order of their starts is also the order of their
    ends: of the ranges that begin at or before an offset, the last one reaches furthest.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, list[Kept]] = {}

    def add(self, kept: Kept) -> None:
        """Adds a range, unless it lies within another one. Removes ranges that lie within it."""
        start, end = kept.entry.start, kept.entry.end
        ranges = self._kept.setdefault(kept.entry.identity, [])
        before = bisect_right(ranges, start, key=_start)
        if before and _end(ranges[before - 1]) >= end:
            return
        ranges[bisect_left(ranges, start, key=_start) : bisect_right(ranges, end, key=_end)] = [kept]

    def remove(self, kept: Kept) -> None:
        """Forgets a range, if it is still known."""
        ranges = self._kept.get(kept.entry.identity, [])
        place = bisect_left(ranges, kept.entry.start, key=_start)
        if place < len(ranges) and ranges[place] == kept:
            del ranges[place]
            if not ranges:
                del self._kept[kept.entry.identity]

    def drop(self, identity: bytes) -> list[Kept]:
        """Removes all ranges of an object, and returns them."""
        return self._kept.pop(identity, [])

    def clear(self) -> None:
        self._kept.clear()

    def cover(self, identity: bytes, start: int, end: int) -> list[Kept] | None:
        """Returns ranges that together contain the bytes from `start` to `end`, in order; None if some are
        missing."""
        found: list[Kept] = []
        for kept in self._following(identity, start):
            found.append(kept)
            if kept.entry.end >= end:
                return found
        return None

    def reach(self, identity: bytes, start: int, end: int) -> int:
        """Returns the end of the bytes without a gap from `start` on, at most `end`."""
        for kept in self._following(identity, start):
            start = kept.entry.end
            if start >= end:
                return end
        return start

    def gaps(self, identity: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """The missing ranges from `start` to `end`, as (start, end), in order."""
        found: list[tuple[int, int]] = []
        ranges = self._kept.get(identity, [])
        for kept in ranges[bisect_right(ranges, start, key=_end) :]:
            if kept.entry.start >= end:
                break
            if kept.entry.start > start:
                found.append((start, kept.entry.start))
            start = kept.entry.end
        if start < end:
            found.append((start, end))
        return found

    def _following(self, identity: bytes, offset: int) -> Iterator[Kept]:
        """Yields the range with the byte at `offset`, then the range with the byte after its end, and so
        on."""
        ranges = self._kept.get(identity, [])
        while place := bisect_right(ranges, offset, key=_start):
            kept = ranges[place - 1]
            if kept.entry.end <= offset:
                return
            yield kept
            offset = kept.entry.end


def _start(kept: Kept) -> int:
    return kept.entry.start


def _end(kept: Kept) -> int:
    return kept.entry.end
