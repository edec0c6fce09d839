"""A process that compacts and prunes all the time: `python -m tests.soak.maintenance URL FIGURES KEEP`.

It keeps transactions for KEEP seconds. lamDB's own command would refuse to keep them for so short a time;
what is deleted is decided in the same way.
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from lamdb.errors import StoreUnavailable
from lamdb.storage import open_store
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.compaction import Compactor
from lamdb.storage.maintenance.retention import RetentionPolicy, expendable

from .process import Stop


def main(url: str, figures: Path, keep: float) -> None:
    stop, store = Stop(), open_store(url)
    replica, policy = Replica(store), _policy(keep)
    compactor = Compactor(replica)
    counts = {"merges": 0, "deleted": 0}
    while not stop:
        time.sleep(0.2)
        try:
            counts["merges"] += compactor.run(time.monotonic() + 1).merges
            for file in expendable([*all_files(replica)], policy, int(time.time() * 1000)):
                store.delete(file.key)
                counts["deleted"] += 1
        except StoreUnavailable:
            continue
        figures.write_text(json.dumps(counts))


def _policy(keep: float) -> RetentionPolicy:
    return RetentionPolicy(
        transactions=timedelta(seconds=keep), days=timedelta(seconds=keep), grace=timedelta(seconds=keep / 2)
    )


def all_files(replica: Replica) -> Iterator[FileInfo]:
    for entry in replica.store.list():
        file = replica.layout.parse(entry)
        if file is not None:
            yield file


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
