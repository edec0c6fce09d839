"""Restores in place: the difference to a past state becomes the pages of one more transaction.

The history remains as it is. The transaction that restores the old state is a new one, and can be undone,
too.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from lamdb.errors import TransactionTooLarge
from lamdb.storage.fetch import PageFetcher
from lamdb.storage.ltx import ltx
from lamdb.storage.pages import View, present_page_one
from lamdb.storage.readahead import ReadAhead
from lamdb.storage.written import WrittenPages

_SCHEMA_COOKIE: Final = slice(40, 44)


class PageChanges(NamedTuple):
    """A transaction as pages: page number → page, and the size of the database in pages after it."""

    pages: Mapping[int, bytes]
    commit: int
    page_size: int


def difference(fetcher: PageFetcher, head: View, past: View, *, limit: int) -> Mapping[int, bytes]:
    """Returns the pages that turn `head` into `past`, always including page 1.

    Raises `TransactionTooLarge` for more than `limit` bytes, and the errors of reading pages.
    """
    pages = WrittenPages(limit)
    try:
        pages.add(1, _page_one(fetcher, head, past))
        for number, page in _changed(fetcher, head, past):
            pages.add(number, page)
    except TransactionTooLarge as error:
        raise TransactionTooLarge(
            f"going back to transaction {past.txid} {error.message.removeprefix('the transaction ')}",
            hint="Restore to a file or a new store, and switch over.",
        ) from error
    return pages.content()


def _changed(fetcher: PageFetcher, head: View, past: View) -> Iterator[tuple[int, bytes]]:
    """Yields the pages of `past`, from the second on, that differ from those of `head`."""
    lock = ltx.lock_page(past.page_size)
    reading_past, reading_head = ReadAhead(fetcher), ReadAhead(fetcher)
    for number in range(2, past.commit + 1):
        if number == lock:
            continue
        place = head.locate(number) if number <= head.commit else None
        if place is not None and place.file.max_txid <= past.txid:
            continue
        page = reading_past.read(past, number)
        # A compacted file that reaches past the old state may still hold its page unchanged.
        straddles = place is not None and place.file.min_txid <= past.txid
        if not straddles or reading_head.read(head, number) != page:
            yield number, page


def _page_one(fetcher: PageFetcher, head: View, past: View) -> bytes:
    """Returns the old first page with a new schema cookie, so that all connections read the schema again."""
    newest = fetcher.read(head, 1)
    cookie = int.from_bytes(newest[_SCHEMA_COOKIE], "big") + 1 & 0xFFFF_FFFF
    page = present_page_one(fetcher.read(past, 1), head.txid + 1, past.commit)
    return page[: _SCHEMA_COOKIE.start] + cookie.to_bytes(4, "big") + page[_SCHEMA_COOKIE.stop :]
