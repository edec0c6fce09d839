"""Whether a history is one of a strictly serial database that keeps what it acknowledged.

Every write appends an entry, and entries are numbered without gaps in the order of commits. So the newest
entry a read has seen says which state it saw, and all questions are about the order of numbers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

from .history import History, Read, Row, Write


def violations(history: History, rows: Sequence[Row]) -> list[str]:
    """Everything that should not be, in words; `rows` are the final entries by id."""
    checks = (_entries, _writes, _txids, _order_of_writes, _reads, _monotonic, _states, _pasts)
    return [message for check in checks for message in check(history, rows)]


def process_of(client: str) -> str:
    """Clients are named `process.incarnation.thread`."""
    return client.rpartition(".")[0]


def _entries(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """Each entry was written once, by someone who says so, and none is missing in between."""
    invoked = {(write.client, write.number) for write in history.writes}
    found: set[tuple[str, int]] = set()
    for number, row in enumerate(rows, 1):
        if row.id != number:
            yield f"entry {number} is missing: the next is {row.id}"
            return
        name = (row.client, row.number)
        if name in found:
            yield f"entry {row.id} is there twice: {name}"
        if name not in invoked:
            yield f"entry {row.id} was written by nobody: {name}"
        found.add(name)


def _writes(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """Acknowledged writes are there, refused ones are not."""
    kept = {(row.client, row.number): row for row in rows}
    for write in history.writes:
        row = kept.get((write.client, write.number))
        if write.outcome == "ok" and row is None:
            yield f"lost: {write}"
        elif write.outcome == "ok" and row is not None and row.id != write.id:
            yield f"entry {row.id} was acknowledged as another: {write}"
        elif write.outcome == "failed" and row is not None:
            yield f"refused, but kept as entry {row.id}: {write}"


def _txids(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """No TXID has two owners; TXIDs follow the order of entries; a token includes the write it came with."""
    owners: dict[int, str] = {}
    known: list[tuple[int, int]] = []
    for row in rows:
        if row.txid is None:
            continue
        owner = owners.setdefault(row.txid, process_of(row.client))
        if owner != process_of(row.client):
            yield f"TXID {row.txid} was given to {owner} and to {row.client}"
        if known and row.txid < known[-1][1]:
            yield f"entry {row.id} has TXID {row.txid}, an earlier one {known[-1][1]}"
        known.append((row.id, row.txid))
    for write in history.writes:
        if write.outcome != "ok" or write.id is None or write.txid is None:
            continue
        position = bisect_right(known, write.id, key=lambda pair: pair[0])
        if position and known[position - 1][1] > write.txid:
            yield f"the token is too low, {known[position - 1]} came before: {write}"


def _order_of_writes(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """A write that began after another was acknowledged comes after it."""
    acknowledged = _newest_acknowledged(history)
    kept = {(row.client, row.number): row.id for row in rows}
    for write in history.writes:
        id = kept.get((write.client, write.number))
        if id is not None and acknowledged(write.invoked) >= id:
            yield f"entry {id} comes before {acknowledged(write.invoked)}, acknowledged earlier: {write}"


def _reads(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """Each read is of one state, none from the future, and as new as it had to be."""
    acknowledged = _newest_acknowledged(history)
    invoked = {(write.client, write.number): write.invoked for write in history.writes}
    begun = [invoked.get((row.client, row.number), 0.0) for row in rows]
    for read in history.reads:
        if read.wrong:
            yield f"torn: {read}"
        if read.seen > len(rows) or (read.seen and begun[read.seen - 1] > read.completed):
            yield f"seen before it was written, or lost since: {read}"
        if read.seen < read.token:
            yield f"does not include what its token stands for: {read}"
        if read.strong and read.seen < acknowledged(read.invoked):
            yield f"older than entry {acknowledged(read.invoked)}, acknowledged before: {read}"


def _monotonic(history: History, _rows: Sequence[Row]) -> Iterator[str]:
    """No client's reads go back."""
    for _, reads in groupby(sorted(history.reads, key=_by_client), key=lambda read: read.client):
        for earlier, later in pairwise(reads):
            if later.seen < earlier.seen or later.txid < earlier.txid:
                yield f"back from {earlier} to {later}"


def _states(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """The state of a TXID is always the same, however it is looked at: the entries up to that TXID."""
    known = [(row.txid, row.id) for row in rows if row.txid is not None]
    seen: dict[int, int] = {}
    for look in [*history.reads, *history.pasts]:
        if look.wrong:
            continue
        if seen.setdefault(look.txid, look.seen) != look.seen:
            yield f"transaction {look.txid} was seen with {seen[look.txid]} entries: {look}"
        position = bisect_right(known, look.txid, key=lambda pair: pair[0])
        if position and known[position - 1][1] > look.seen:
            yield f"entry {known[position - 1][1]} is of transaction {known[position - 1][0]}: {look}"
        if position < len(known) and known[position][1] <= look.seen:
            yield f"entry {known[position][1]} is of transaction {known[position][0]}: {look}"


_CLOCKS = 0.05
"""Seconds by which two clocks of one machine may differ."""


def _pasts(history: History, rows: Sequence[Row]) -> Iterator[str]:
    """Past states hold together; that of a moment has what was acknowledged before, nothing begun after."""
    acknowledged = _newest_acknowledged(history)
    invoked = {(write.client, write.number): write.invoked for write in history.writes}
    for past in history.pasts:
        if past.wrong:
            yield f"a past state: {past}"
        if past.moment is None or past.wrong:
            continue
        if past.seen < acknowledged(past.moment - _CLOCKS):
            yield f"entry {acknowledged(past.moment - _CLOCKS)} had been acknowledged then: {past}"
        row = rows[past.seen - 1] if 0 < past.seen <= len(rows) else None
        if row is not None and invoked.get((row.client, row.number), 0.0) > past.moment + _CLOCKS:
            yield f"entry {past.seen} had not been begun then: {past}"


def _by_client(read: Read) -> tuple[str, float]:
    return read.client, read.invoked


def _newest_acknowledged(history: History) -> Callable[[float], int]:
    """The newest entry that was acknowledged before a time."""
    acknowledged = sorted(map(_acknowledgement, filter(_is_acknowledged, history.writes)))
    times = [time for time, _ in acknowledged]
    newest = [0, *accumulate((id for _, id in acknowledged), max)]
    return lambda time: newest[bisect_left(times, time)]


def _is_acknowledged(write: Write) -> bool:
    return write.outcome == "ok"


def _acknowledgement(write: Write) -> tuple[float, int]:
    assert write.completed is not None
    assert write.id is not None
    return write.completed, write.id
