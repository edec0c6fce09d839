"""Changes that tests make to stores behind a database's back."""

from collections.abc import Iterable, Iterator

from lamdb.storage import Database, ObjectStore
from lamdb.storage.clock import Moment
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import KeyLayout
from lamdb.storage.stores.objectstore import ObjectInfo
from lamdb.storage.stores.wrappers import StoreWrapper


class TurnedClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> Moment:
        self.seconds += 1e-6
        return Moment(self.seconds, self.seconds)


class AgedStore(StoreWrapper):
    """A store with a transaction every so many hours: so old is the file that ends with it."""

    def __init__(self, inner: ObjectStore, *, hours: int) -> None:
        super().__init__(inner)
        self._hours = hours

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        for entry in super().list(prefix, after=after):
            last = int(entry.key.rpartition("-")[2].removesuffix(".ltx"), 16)
            yield entry._replace(modified_ms=last * self._hours * 3_600_000)


def ask(database: Database, sql: str, *values: object) -> list[tuple]:
    with database.reader() as connection:
        return connection.execute(sql, values).fetchall()


def tell(database: Database, *statements: str) -> None:
    with database.writer() as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def compact(store: ObjectStore, level: int, txids: Iterable[int]) -> None:
    """Writes one file of `level` that holds transactions `txids`, as compaction would."""
    txids = list(txids)
    layout = KeyLayout(store.level_folder)
    pages: dict[int, bytes] = {}
    for txid in txids:
        file = ltx.decode(store.get(layout.key(0, txid, txid)) or b"")
        pages |= file.pages
    last = file.header
    header = ltx.Header(last.page_size, last.commit, txids[0], txids[-1], last.timestamp_ms)
    body = ltx.encode(header, sorted((n, page) for n, page in pages.items() if n <= last.commit))
    store.put_new(layout.key(level, txids[0], txids[-1]), body, timestamp_ms=0)


def prune(store: ObjectStore, txids: Iterable[int]) -> None:
    """Deletes the files of level 0 of `txids`."""
    layout = KeyLayout(store.level_folder)
    for txid in txids:
        store.delete(layout.key(0, txid, txid))
