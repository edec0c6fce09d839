"""The database under test: what a write changes, and what must hold of every state.

A write appends an entry, counts it in another table, and moves a unit between two accounts; so a state that
is torn anywhere shows it. The same tables serve plain SQL and the GraphQL API.
"""

import hashlib
import random
from collections.abc import Iterable

import apsw

from lamdb.storage import Database

from .history import Row

ACCOUNTS = 64
BALANCE = 1000

SCHEMA = """
generator client {
  provider = "prisma-client"
}

datasource db {
  provider = "sqlite"
}

model Entry {
  id      Int    @id @default(autoincrement())
  client  String
  number  Int
  txid    Int?
  padding String

  @@unique([client, number])
}

model Total {
  id      Int @id
  entries Int
}

model Account {
  id      Int @id
  balance Int
}
"""

_RECENT = 40


def fill(url: str) -> int:
    """Puts into the tables what is there at the beginning; the TXID of that."""
    with Database.open(url) as database:
        with database.writer() as connection:
            connection.execute("INSERT INTO Total VALUES(1, 0)")
            connection.executemany(
                "INSERT INTO Account VALUES(?, ?)", [(number, BALANCE) for number in range(ACCOUNTS)]
            )
        return database.txid


def padding(client: str, number: int) -> str:
    """Mostly little, at times some pages full; it can be told from the entry's name."""
    length = random.Random(f"{client}/{number}").choice([5] * 70 + [300] * 20 + [2000] * 9 + [30_000])
    unit = f"{client}/{number} "
    return (unit * (length // len(unit) + 1))[:length]


def append(connection: apsw.Connection, client: str, number: int, txid: int) -> int:
    """The write; the new entry's id."""
    connection.execute(
        "INSERT INTO Entry(client, number, txid, padding) VALUES(?, ?, ?, ?)",
        (client, number, txid, padding(client, number)),
    )
    id = connection.last_insert_rowid()
    connection.execute("UPDATE Total SET entries = entries + 1 WHERE id = 1")
    for account, change in accounts(id):
        connection.execute("UPDATE Account SET balance = balance + ? WHERE id = ?", (change, account))
    return id


def accounts(seed: int) -> list[tuple[int, int]]:
    """Two accounts, and how each changes."""
    one, other = random.Random(seed).sample(range(ACCOUNTS), 2)
    return [(one, -1), (other, 1)]


def look(connection: apsw.Connection, txid: int, *, thoroughly: bool = False) -> tuple[int, str]:
    """The newest entry of a state, and what is wrong with that state, if anything."""
    total = connection.execute("SELECT entries FROM Total").get
    newest = connection.execute("SELECT coalesce(max(id), 0) FROM Entry").get
    recent = connection.execute(
        "SELECT id, client, number, txid, padding FROM Entry ORDER BY id DESC LIMIT ?", (_RECENT,)
    ).fetchall()
    balance = connection.execute("SELECT sum(balance) FROM Account").get
    wrong = []
    if total != newest:
        wrong.append(f"{total} entries counted, the newest is {newest}")
    if [row[0] for row in recent] != list(range(newest, max(0, newest - _RECENT), -1)):
        wrong.append("there is a gap among the last entries")
    if balance != ACCOUNTS * BALANCE:
        wrong.append(f"the accounts add up to {balance}")
    if any(row[3] is not None and row[3] > txid for row in recent):
        wrong.append(f"there are entries from after transaction {txid}")
    if any(row[4] != padding(row[1], row[2]) for row in recent):
        wrong.append("an entry has another's content")
    for id, client, number, *_ in recent[:3]:
        found = connection.execute(
            "SELECT id FROM Entry WHERE client = ? AND number = ?", (client, number)
        ).get
        if found != id:
            wrong.append(f"the index leads from entry {id} to {found}")
    if thoroughly:
        counted = connection.execute("SELECT count(*) FROM Entry").get
        if counted != newest:
            wrong.append(f"there are {counted} entries, the newest is {newest}")
        if (answer := connection.execute("PRAGMA quick_check").get) != "ok":
            wrong.append(f"quick_check: {answer}")
    return newest, "; ".join(wrong)


def rows(connection: apsw.Connection) -> list[Row]:
    found = connection.execute("SELECT id, client, number, txid FROM Entry ORDER BY id").fetchall()
    return [Row(*values) for values in found]


type Content = dict[str, str]


def content(connection: apsw.Connection, *, entries: int = -1) -> Content:
    """A digest of each table, to compare; of the first so many entries (-1: all)."""
    queries = {
        "Entry": f"SELECT * FROM Entry ORDER BY id LIMIT {entries}",
        "Total": "SELECT * FROM Total",
        "Account": "SELECT * FROM Account ORDER BY id",
    }
    return {table: _digest(connection.execute(query)) for table, query in queries.items()}


def _digest(rows: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()
