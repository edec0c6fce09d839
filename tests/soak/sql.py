"""Transactions over batons, in chaos: `python -m tests.soak.sql --transactions 100000`.

Many clients, whose requests come in any order, move money between accounts (the bank) and count a register
up. Streams are carried in batons. Between two requests the head moves, environments are replaced, a second
writer wakes up that has missed commits, and answers get lost, so that clients send a request again. All
of it runs in one thread and from one seed, so that a run can be repeated.

Afterwards each transfer whose COMMIT was answered is in the journal once, each other at most once, balances
are those that the journal gives, and the register has gone through each number once, in the order of commits.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.hrana.endpoint import NEEDS_WRITER, SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.routing import needs_writer
from lamdb.hrana.statements.authorizer import Role
from lamdb.hrana.streams.stateless import CarriedStreams
from lamdb.hrana.transaction.replay import ReplayingExecution
from lamdb.storage import Database, ObjectStore
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.retention import RetentionPolicy
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import StoreWrapper

type Json = dict[str, Any]

ACCOUNTS = 30
BALANCE = 1000
SCHEMA = f"""
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INT NOT NULL CHECK (balance >= 0));
CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
  source INT, target INT, amount INT);
CREATE TABLE register (value INT NOT NULL);
CREATE TABLE count (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, value INT NOT NULL);
INSERT INTO register VALUES (0);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS})
INSERT INTO account SELECT i, {BALANCE} FROM n;
"""


class Shared(StoreWrapper):
    """A store that outlives the databases that use it."""

    def close(self) -> None:
        pass


@dataclass
class Faults:
    """Probabilities, per request."""

    lost: float = 0.03
    death: float = 0.002
    zombie: float = 0.01


@dataclass
class World:
    """The store, environments of reader and writer, and what happens to them."""

    chance: random.Random
    faults: Faults
    store: ObjectStore = field(default_factory=lambda: Shared(memory_store()))
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.readers = [self._environment(can_write=False) for _ in range(3)]
        self.writers = [self._environment(can_write=True) for _ in range(2)]
        with self.writers[0].engine.database.writer() as connection:
            connection.execute(SCHEMA).fetchall()

    def post(self, body: Json) -> Json:
        """The answer of the proxy; it may get lost, and is asked for again."""
        content = json.dumps(body).encode()
        while True:
            self._meanwhile()
            response = self._ask(content)
            self.done["requests"] += 1
            if response.status == 503:
                self.done["fenced"] += 1
                continue
            if self.chance.random() < self.faults.lost:
                self.done["lost"] += 1
                continue
            return {"status": response.status, **json.loads(response.body)}

    def _ask(self, content: bytes) -> HttpResponse:
        request = HttpRequest("POST", "/v3/pipeline", "", {}, content)
        if not needs_writer(content):
            response = _answered(self.chance.choice(self.readers), request)
            if response.status != NEEDS_WRITER:
                return response
        # Lambda lets one environment write, but one that was frozen may come back.
        second = self.chance.random() < self.faults.zombie
        self.done["zombies"] += second
        return _answered(self.writers[second], request)

    def _meanwhile(self) -> None:
        if self.chance.random() < self.faults.death:
            self.done["deaths"] += 1
            environments = self.chance.choice([self.readers, self.writers])
            place = self.chance.randrange(len(environments))
            environments[place].engine.database.close()
            environments[place] = self._environment(can_write=environments is self.writers)
        if self.chance.random() < self.faults.death / 10:
            pages = self.writers[0].engine.database.pages
            Maintenance(pages, RetentionPolicy.of_days(7, 30)).run(0.2)

    def _environment(self, *, can_write: bool) -> SqlEndpoint:
        database = Database(self.store, group_seconds=0)
        engine = SqlEngine(database, can_write=can_write)
        options = HttpOptions(max_staleness=0.05)
        return SqlEndpoint(engine, CarriedStreams(b"key"), options, ReplayingExecution, strong=True)

    def close(self) -> None:
        for endpoint in self.readers + self.writers:
            endpoint.engine.database.close()


def _answered(endpoint: SqlEndpoint, request: HttpRequest) -> HttpResponse:
    asked = endpoint.receive(request, Role.WRITE)
    return asked if isinstance(asked, HttpResponse) else endpoint.answer(asked)


@dataclass
class Client:
    """One transaction after another, a request at a time: `step` is called in any order of clients."""

    name: str
    world: World
    kept: list[str] = field(default_factory=list)
    """Transactions whose COMMIT was answered."""
    tried: int = 0

    def run(self) -> Iterator[None]:
        while True:
            self.tried += 1
            name = f"{self.name}-{self.tried}"
            work = self._transfer(name) if self.world.chance.random() < 0.7 else self._count(name)
            yield from work

    def _transfer(self, name: str) -> Iterator[None]:
        chance = self.world.chance
        source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
        amount = chance.randrange(1, 50)
        stream = _Stream(self.world)
        (found,) = stream.run("BEGIN", f"SELECT balance FROM account WHERE id = {source}")[1:]
        yield
        if found is None or int(found[0][0]["value"]) < amount:
            stream.run("ROLLBACK")
            return
        stream.run(
            f"UPDATE account SET balance = balance - {amount} WHERE id = {source}",
            f"UPDATE account SET balance = balance + {amount} WHERE id = {target}",
        )
        yield
        values = f"'{name}', {source}, {target}, {amount}"
        if stream.commit(f"INSERT INTO journal (name, source, target, amount) VALUES ({values})"):
            self.kept.append(name)
        yield

    def _count(self, name: str) -> Iterator[None]:
        stream = _Stream(self.world)
        _, found = stream.run("BEGIN", "SELECT value FROM register")
        yield
        value = int(found[0][0]["value"]) + 1
        stream.run(f"UPDATE register SET value = {value}")
        yield
        if stream.commit(f"INSERT INTO count (name, value) VALUES ('{name}', {value})"):
            self.kept.append(name)
        yield


class _Stream:
    def __init__(self, world: World) -> None:
        self._world = world
        self._baton: str | None = None

    def run(self, *statements: str) -> list[Any]:
        """The rows of each statement; None for one that failed."""
        results = self._post(*statements)
        return [
            result["response"]["result"]["rows"] if result["type"] == "ok" else None for result in results
        ]

    def commit(self, statement: str) -> bool:
        """True if the transaction was kept: what failed is rolled back."""
        results = self._post(statement, "COMMIT")
        if all(result["type"] == "ok" for result in results):
            return True
        codes = {result["error"]["code"] for result in results if result["type"] == "error"}
        assert codes == {"SQLITE_BUSY"}, codes
        self._world.done["conflicts"] += 1
        self._post("ROLLBACK")
        return False

    def _post(self, *statements: str) -> list[Json]:
        requests = [{"type": "execute", "stmt": {"sql": each}} for each in statements]
        answer = self._world.post({"baton": self._baton, "requests": requests})
        assert answer["status"] == 200, answer
        self._baton = answer["baton"]
        results: list[Json] = answer["results"]
        return results


def soak(transactions: int, *, clients: int = 6, seed: int = 1, faults: Faults | None = None) -> Counter[str]:
    """Returns what happened, once it is checked. Raises `AssertionError`."""
    chance = random.Random(seed)
    world = World(chance, faults or Faults())
    people = [Client(f"c{number}", world) for number in range(clients)]
    running = [person.run() for person in people]
    while sum(person.tried for person in people) < transactions:
        next(chance.choice(running))
    _check(world, people)
    world.done["transactions"] = sum(person.tried for person in people)
    world.done["kept"] = sum(len(person.kept) for person in people)
    world.close()
    return world.done


def _check(world: World, people: list[Client]) -> None:
    database = world.writers[0].engine.database
    database.refresh()
    with database.reader() as connection:
        balances = dict(connection.execute("SELECT id, balance FROM account").fetchall())
        journal = connection.execute(
            "SELECT name, source, target, amount FROM journal ORDER BY id"
        ).fetchall()
        counts = connection.execute("SELECT name, value FROM count ORDER BY id").fetchall()
        register = connection.execute("SELECT value FROM register").get
    names = [name for name, *_ in journal] + [name for name, _ in counts]
    assert len(names) == len(set(names)), "a transaction was committed twice"
    kept = {name for person in people for name in person.kept}
    assert kept <= set(names), "a transaction whose COMMIT was answered is lost"
    tried = {f"{person.name}-{number}" for person in people for number in range(1, person.tried + 1)}
    assert set(names) <= tried
    unknown = set(names) - kept
    assert len(unknown) <= len(people), "transactions were kept, and their clients told otherwise"
    expected = dict.fromkeys(balances, BALANCE)
    for _, source, target, amount in journal:
        expected[source] -= amount
        expected[target] += amount
        assert expected[source] >= 0
    assert balances == expected, "balances are not those that the journal gives"
    assert [value for _, value in counts] == list(range(1, register + 1)), "counts were lost or doubled"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.sql", description=__doc__)
    parser.add_argument("--transactions", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.monotonic()
    done = soak(options.transactions, clients=options.clients, seed=options.seed)
    print(f"{time.monotonic() - begun:.0f} s: {dict(done)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
