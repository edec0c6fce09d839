"""Whether what clients were told is what the store has, and whether the store is whole."""

import os
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw

from lamdb.storage import Database

from .clients import Record, Write
from .cluster import CREATE, Cluster

LITESTREAM = Path(sysconfig.get_path("scripts")) / "litestream"


def violations(cluster: Cluster, record: Record, folder: Path) -> list[str]:
    """Everything that should not be, in words. First, what nobody knows is asked again under its key."""
    resolved = [_resolved(cluster, write) for write in record.writes]
    with Database.open(cluster.s3.url, create=False) as database:
        with database.reader() as connection:
            checks = connection.execute("PRAGMA integrity_check").fetchall()
            stored = _items(connection)
        wrong = [f"integrity: {checks[:5]}"] if checks != [("ok",)] else []
    restored = _restored(cluster.s3.url, folder / "restored.db")
    if isinstance(restored, str):
        wrong.append(f"Litestream does not restore it: {restored}")
    elif restored != stored:
        wrong.append("Litestream restores something else")
    return [*record.faults, *wrong, *_writes(resolved, stored)]


def _resolved(cluster: Cluster, write: Write) -> Write:
    """A write with a key, whatever became of it, can be sent again until it is there."""
    if write.key is None or write.outcome == "ok":
        return write
    for _ in range(5):
        reply = cluster.post(CREATE, {"name": write.name}, idempotency_key=write.key)
        if reply.status == 200:
            return Write(write.name, write.key, "ok", reply.body["data"]["createOneItem"]["id"])
    return write


def _writes(writes: list[Write], stored: list[tuple[int, str]]) -> Iterator[str]:
    ids = {name: id for id, name in stored}
    wanted = {write.name for write in writes}
    for name, times in Counter(name for _, name in stored).items():
        if times > 1:
            yield f"{name} is there {times} times"
        if name not in wanted:
            yield f"nobody wanted {name}"
    for write in writes:
        if write.outcome == "ok" and write.name not in ids:
            yield f"lost: {write}"
        elif write.outcome == "ok" and ids[write.name] != write.id:
            yield f"it is {ids[write.name]}: {write}"
        elif write.key is not None and write.outcome != "ok":
            yield f"not resolved: {write}"


def _items(connection: apsw.Connection) -> list[tuple[int, str]]:
    return list(connection.execute('SELECT id, name FROM "Item" ORDER BY id'))


def _restored(url: str, target: Path) -> list[tuple[int, str]] | str:
    """The items that Litestream restores, or what it says."""
    source = f"{url}?endpoint={os.environ['AWS_ENDPOINT_URL_S3']}"
    command = [LITESTREAM, "restore", "-integrity-check", "full", "-o", target, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr or done.stdout
    connection = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return _items(connection)
    finally:
        connection.close()
