"""Writers in other processes that are killed and frozen: nothing acknowledged is lost, nothing is torn."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lamdb.storage import Database

from .history import ask

WRITER = """
import sys
from lamdb.errors import Fenced
from lamdb.storage import Database
url, name, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Database.open(url, stale_after=0.3) as database:
    for number in range(first, 10**9):
        try:
            with database.writer() as connection:
                connection.execute("INSERT INTO entry(writer, number) VALUES(?, ?)", (name, number))
                connection.execute("UPDATE total SET entries = entries + 1")
        except Fenced:
            continue
        print(number, flush=True)
"""


def start(url: str, name: str, first: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, name, str(first)], stdout=subprocess.PIPE, text=True
    )


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    url, source = (tmp_path / "store").as_uri(), random.Random(11)
    with Database.open(url) as database, database.writer() as connection:
        connection.execute("CREATE TABLE entry(id INTEGER PRIMARY KEY, writer TEXT, number INTEGER)")
        connection.execute("CREATE INDEX by_writer ON entry(writer, number)")
        connection.execute("CREATE TABLE total(entries INTEGER)")
        connection.execute("INSERT INTO total VALUES(0)")
    acknowledged: set[tuple[str, int]] = set()
    watcher, seen = Database.open(url), 0
    for round_ in range(4):
        writers = {name: start(url, name, 1_000_000 * round_) for name in "ab"}
        for action in ("freeze", "run", "kill"):
            end = time.monotonic() + source.uniform(0.4, 0.7)
            victim = writers[source.choice("ab")]
            if action == "freeze":
                victim.send_signal(signal.SIGSTOP)
            while time.monotonic() < end:
                watcher.refresh()
                [(entries, total)] = ask(
                    watcher, "SELECT (SELECT count(*) FROM entry), (SELECT entries FROM total)"
                )
                assert entries == total >= seen
                seen = entries
            victim.send_signal(signal.SIGCONT)
        for name, writer in writers.items():
            writer.kill()
            lines, _ = writer.communicate(timeout=20)
            acknowledged |= {(name, int(line)) for line in lines.split()}
    watcher.close()
    with Database.open(url) as database:
        found = ask(database, "SELECT writer, number FROM entry")
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert ask(database, "SELECT entries FROM total") == [(len(found),)]
        assert database.txid == 1 + len(found)
    assert len(found) == len(set(found))
    assert acknowledged <= set(found)
    assert len(set(found) - acknowledged) <= 8  # A writer killed between its commit and its answer.
    assert len(acknowledged) > 100
    assert {name for name, _ in acknowledged} == {"a", "b"}
