"""Litestream's command line restores what compaction and retention made of lamDB's files."""

import random
from pathlib import Path

import pytest

from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.compaction import Compactor
from lamdb.storage.replica import Replica

from ..s3_server import s3, s3_endpoint
from .test_litestream import Dump, for_litestream, litestream, place, restored, state_of

__all__ = ["place", "s3", "s3_endpoint"]


def write(database: Database, number: int, source: random.Random) -> None:
    with database.writer() as connection:
        if number == 0:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
        elif number % 40 == 39:
            connection.execute("DELETE FROM t WHERE id % 10")
        else:
            body = source.randbytes(source.choice((10, 300, 2000)))
            connection.execute("INSERT INTO t(body) VALUES(?)", (body,))
            connection.execute("UPDATE t SET body = x'00' WHERE id = ?", (source.randrange(1, number + 1),))
    if number % 60 == 59:
        database.vacuum()


def compact(store: ObjectStore) -> None:
    replica = Replica(store)
    assert Compactor(replica).run().finished
    replica.close()


def levels(store: ObjectStore) -> set[int]:
    replica = Replica(store)
    found = {file.level for file in replica.files()}
    replica.close()
    return found


def test_every_transaction_can_be_restored_after_compaction(place: str, tmp_path: Path) -> None:
    source = random.Random(11)
    states: dict[int, Dump] = {}
    with Database.open(place, page_size=1024) as database:
        for number in range(610):
            write(database, number, source)
            states[database.txid] = state_of(database)
            if number in (20, 150, 500):
                compact(open_store(place))
    compact(open_store(place))
    assert levels(open_store(place)) >= {0, 2, 3, 9}
    head = max(states)
    url, target = for_litestream(place), tmp_path / "restored.db"
    assert restored(url, target) == states[head]
    chosen = {*range(1, head, 47), 16, 17, 255, 256, 257, 272, 512, 513, head - 1}
    for txid in sorted(chosen & states.keys()):
        assert restored(url, target, "-txid", f"{txid:016x}") == states[txid], txid
    with Database.open(place) as database:
        assert state_of(database) == states[head]


@pytest.mark.parametrize("level", [0, 2, 3, 9])
def test_the_command_line_can_verify_compacted_files(tmp_path: Path, level: int) -> None:
    place = (tmp_path / "store").as_uri()
    with Database.open(place) as database:
        for number in range(300):
            write(database, number, random.Random(number))
    compact(open_store(place))
    litestream("ltx", "-level", str(level), place)
