"""Many threads with transactions of several requests on one server, beside writes that share commits."""

import random
import threading

from lamdb.access.identity import Role
from lamdb.graphql.transport.http import HttpOptions
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.streams.in_memory import Streams
from lamdb.storage import Database

from .conftest import SqlClient

ACCOUNTS, BALANCE, THREADS, TRANSFERS = 5, 100, 6, 12


def transfer(client: SqlClient, name: str, chance: random.Random, order: str) -> bool:
    """Whether it was committed."""
    source, target = chance.sample(range(ACCOUNTS), 2)
    statements = [
        f"UPDATE account SET balance = balance - 1 WHERE id = {source}",
        f"UPDATE account SET balance = balance + 1 WHERE id = {target}",
        f"INSERT INTO journal VALUES ('{name}', {source}, {target})",
    ]
    if order == "reads first":
        statements.insert(0, "SELECT sum(balance) FROM account")
    client.baton = None
    for statement in ("BEGIN IMMEDIATE" if order == "locks first" else "BEGIN", *statements, "COMMIT"):
        if (code := client.code(statement)) is not None:
            assert code == "SQLITE_BUSY", code
            client.code("ROLLBACK")
            return False
    return True


def test_transactions_are_serialisable() -> None:
    kept: list[str] = []
    failures: list[BaseException] = []
    with Database.open("memory:", group_seconds=0.01) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, balance INT)")
            connection.execute("CREATE TABLE journal (name TEXT UNIQUE, source INT, target INT)")
            rows = [(number, BALANCE) for number in range(ACCOUNTS)]
            connection.executemany("INSERT INTO account VALUES (?, ?)", rows)
        streams = Streams()
        endpoint = SqlEndpoint(SqlEngine(database, busy_seconds=20), streams, HttpOptions())

        def work(number: int) -> None:
            chance = random.Random(number)
            order = ("locks first", "reads first", "writes first")[number % 3]
            try:
                for turn in range(TRANSFERS):
                    name = f"{number}-{turn}"
                    for _ in range(100):
                        if transfer(SqlClient(endpoint, Role.WRITE), name, chance, order):
                            kept.append(name)
                            break
                    database.write(lambda connection: connection.execute("UPDATE account SET id = id"))
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        streams.close()
        assert failures == []
        with database.reader() as connection:
            journal = connection.execute("SELECT * FROM journal").fetchall()
            balances = dict(connection.execute("SELECT * FROM account").fetchall())
    assert sorted(name for name, *_ in journal) == sorted(kept)
    assert len(kept) == THREADS * TRANSFERS
    expected = dict.fromkeys(range(ACCOUNTS), BALANCE)
    for _, source, target in journal:
        expected[source] -= 1
        expected[target] += 1
    assert balances == expected
