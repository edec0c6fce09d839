"""Transactions over batons, in chaos: `python -m tests.soak.sql --transactions 100000`.

Many clients, whose requests come in any order, move money between accounts (the bank), count a register up,
and add up all accounts. Streams are carried in batons. Between two requests the head moves, environments are
replaced, a second writer wakes up that has missed commits, and answers get lost, so that clients send a
request again. All of it runs in one thread, without HTTP, on a store in memory, and from one seed, so that a
run can be repeated. After a thousand transactions the state is checked, and the next ones have a new store.

Checked are, in the order of commits:

- Each transaction whose COMMIT was answered is there once, each other at most once.
- What each transaction has read is what the ones before it have left: they are serialisable. A transaction
  sees those whose COMMIT was answered before it began.
- The balances are those that the transfers give.
"""

import argparse
import bisect
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from lamdb.access.identity import Role
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.hrana.endpoint import NEEDS_WRITER, SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.routing import needs_writer
from lamdb.hrana.streams.log_parts import LogParts
from lamdb.hrana.streams.stateless import CarriedStreams
from lamdb.hrana.transaction.replay import ReplayingExecution
from lamdb.storage import Database, ObjectStore
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.retention import RetentionPolicy
from lamdb.storage.stores.objectstore import ObjectInfo

type Json = dict[str, Any]
type Statement = tuple[Any, ...]
"""SQL and its arguments."""

ACCOUNTS = 30
BALANCE = 1000
TRANSACTIONS_OF_A_WORLD = 1000
"""Files of a store are kept for days, in which a run would make very many."""
SCHEMA = f"""
CREATE TABLE account (id INTEGER PRIMARY KEY, balance INT NOT NULL CHECK (balance >= 0));
CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
  source INT, target INT, amount INT, seen INT);
CREATE TABLE register (value INT NOT NULL);
CREATE TABLE count (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, value INT NOT NULL);
INSERT INTO register VALUES (0);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ACCOUNTS})
INSERT INTO account SELECT i, {BALANCE} FROM n;
"""


class SharedStore:
    """A store of a dict, which outlives the databases that use it. For one thread at a time that writes."""

    url = "memory:"
    own_clock = True
    level_folder = "{:04x}/"

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, int]] = {}
        self._keys: list[str] = []

    def get(self, key: str) -> bytes | None:
        found = self._objects.get(key)
        return None if found is None else found[0]

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        body = self.get(key)
        return None if body is None else body[offset : offset + length]

    def get_suffix(self, key: str, length: int) -> bytes | None:
        body = self.get(key)
        return None if body is None else body[-length:]

    def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        if key in self._objects:
            return False
        self._objects[key] = body, int(time.time() * 1000)
        bisect.insort(self._keys, key)
        return True

    def require_create_only(self) -> None:
        pass

    def upload(self, key: str, *, timestamp_ms: int) -> "_Upload":
        return _Upload(self, key, timestamp_ms)

    def head(self, key: str) -> ObjectInfo | None:
        found = self._objects.get(key)
        return None if found is None else ObjectInfo(key, len(found[0]), found[1])

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        keys = self._keys[bisect.bisect_left(self._keys, max(prefix, after)) :]
        for key in itertools.takewhile(lambda key: key.startswith(prefix), keys):
            info = self.head(key)
            if key > after and info is not None:
                yield info

    def delete(self, key: str) -> None:
        if self._objects.pop(key, None) is not None:
            del self._keys[bisect.bisect_left(self._keys, key)]

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Upload:
    def __init__(self, store: SharedStore, key: str, timestamp_ms: int) -> None:
        self._store, self._key, self._timestamp_ms = store, key, timestamp_ms
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self._pieces.append(bytes(piece))

    def finish(self) -> bool:
        return self._store.put_new(self._key, b"".join(self._pieces), timestamp_ms=self._timestamp_ms)

    def abort(self) -> None:
        self._pieces.clear()


@dataclass
class Faults:
    """Probabilities, per request."""

    lost: float = 0.03
    death: float = 0.002
    zombie: float = 0.01
    maintenance: float = 0.002


@dataclass
class World:
    """The store, environments of reader and writer, and what happens to them."""

    chance: random.Random
    faults: Faults
    store: ObjectStore = field(default_factory=SharedStore)
    acknowledged: int = 0
    """The newest value of the register whose COMMIT was answered."""
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.keeps_logs = self.chance.random() < 0.3
        """Whether statements are kept in the store, as those of transactions that are too long for batons."""
        self.readers = [self._environment(can_write=False) for _ in range(2)]
        self.writers = [self._environment(can_write=True) for _ in range(2)]
        with self.writers[0].engine.database.writer() as connection:
            connection.execute(SCHEMA).fetchall()

    def post(self, body: Json) -> Json:
        """The answer of the proxy; it may get lost, and is asked for again."""
        content = orjson.dumps(body)
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
            return {"status": response.status, **orjson.loads(response.body)}

    def _ask(self, content: bytes) -> HttpResponse:
        request = HttpRequest("POST", "/v3/pipeline", "", {}, content)
        if not needs_writer(content):
            response = _answered(self.chance.choice(self.readers), request)
            if response.status != NEEDS_WRITER:
                return response
            self.done["misdirected"] += 1
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
        if self.chance.random() < self.faults.maintenance:
            self.done["maintenance"] += 1
            pages = self.writers[0].engine.database.pages
            Maintenance(pages, RetentionPolicy.of_days(7, 30)).run()

    def _environment(self, *, can_write: bool) -> SqlEndpoint:
        database = Database(self.store, group_seconds=0)
        engine = SqlEngine(database, can_write=can_write)
        options = HttpOptions(max_staleness=0.05)
        parts = None
        if self.keeps_logs:
            replica = database.pages.replica
            limits = {"most_bytes": 1_000_000, "longest_baton": 500, "smallest": 1}
            parts = LogParts(replica, b"key", can_write=can_write, **limits)
        return SqlEndpoint(engine, CarriedStreams(b"key", parts), options, ReplayingExecution, strong=True)

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
            chance = self.world.chance.random()
            if chance < 0.65:
                yield from self._transfer(name)
            elif chance < 0.92:
                yield from self._count(name)
            else:
                yield from self._audit()

    def _transfer(self, name: str) -> Iterator[None]:
        chance = self.world.chance
        source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
        amount = chance.randrange(1, 50)
        stream = _Stream(self.world)
        _, found = stream.run(("BEGIN",), ("SELECT balance FROM account WHERE id = ?", source))
        yield
        seen = int(found[0][0]["value"])
        if seen < amount:
            stream.run(("ROLLBACK",))
            return
        moves: list[Statement] = [
            ("UPDATE account SET balance = balance - ? WHERE id = ?", amount, source),
            ("UPDATE account SET balance = balance + ? WHERE id = ?", amount, target),
        ]
        if chance.random() < 0.2:
            stream.run(*moves)
            moves = []
            yield
        entry = "INSERT INTO journal (name, source, target, amount, seen) VALUES (?, ?, ?, ?, ?)"
        if stream.commit(*moves, (entry, name, source, target, amount, seen)):
            self.kept.append(name)
        yield

    def _count(self, name: str) -> Iterator[None]:
        stream = _Stream(self.world)
        acknowledged = self.world.acknowledged
        _, found = stream.run(("BEGIN",), ("SELECT value FROM register",))
        yield
        seen = int(found[0][0]["value"])
        assert seen >= acknowledged, "a transaction does not see one that was committed before it began"
        value = seen + 1
        steps: list[Statement] = [("UPDATE register SET value = ?", value)]
        if self.world.chance.random() < 0.2:
            stream.run(*steps)
            steps = []
            yield
        if stream.commit(*steps, ("INSERT INTO count (name, value) VALUES (?, ?)", name, value)):
            self.kept.append(name)
            self.world.acknowledged = max(self.world.acknowledged, value)
        yield

    def _audit(self) -> Iterator[None]:
        """Adds up all accounts, in two requests."""
        stream = _Stream(self.world)
        half = ACCOUNTS // 2
        _, lower = stream.run(("BEGIN",), ("SELECT sum(balance) FROM account WHERE id <= ?", half))
        yield
        (upper,) = stream.run(("SELECT sum(balance) FROM account WHERE id > ?", half))
        total = sum(int(rows[0][0]["value"]) for rows in (lower, upper))
        assert total == ACCOUNTS * BALANCE, "a transaction sees two states"
        self.world.done["audits"] += 1
        yield
        stream.run(("COMMIT",))


class _Stream:
    def __init__(self, world: World) -> None:
        self._world = world
        self._baton: str | None = None

    def run(self, *statements: Statement) -> list[Any]:
        """The rows of each statement; None for one that failed."""
        results = self._post(*statements)
        return [
            result["response"]["result"]["rows"] if result["type"] == "ok" else None for result in results
        ]

    def commit(self, *statements: Statement) -> bool:
        """True if the transaction was kept: what failed is rolled back."""
        results = self._post(*statements, ("COMMIT",))
        if all(result["type"] == "ok" for result in results):
            return True
        codes = {result["error"]["code"] for result in results if result["type"] == "error"}
        assert codes == {"SQLITE_BUSY"}, codes
        self._world.done["conflicts"] += 1
        if self._world.chance.random() < 0.3:
            # Others just leave the stream.
            self._post(("ROLLBACK",))
        return False

    def _post(self, *statements: Statement) -> list[Json]:
        requests = [
            {"type": "execute", "stmt": {"sql": sql, "args": [_value(each) for each in args]}}
            for sql, *args in statements
        ]
        answer = self._world.post({"baton": self._baton, "requests": requests})
        assert answer["status"] == 200, answer
        self._baton = answer["baton"]
        results: list[Json] = answer["results"]
        return results


def _value(plain: int | str) -> Json:
    if isinstance(plain, str):
        return {"type": "text", "value": plain}
    return {"type": "integer", "value": str(plain)}


def soak(transactions: int, *, clients: int = 6, seed: int = 1, faults: Faults | None = None) -> Counter[str]:
    """Returns what happened, once it is checked. Raises `AssertionError`."""
    done: Counter[str] = Counter()
    chance = random.Random(seed)
    while (left := transactions - done["transactions"]) > 0:
        done += _soak(min(left, TRANSACTIONS_OF_A_WORLD), clients, chance, faults or Faults())
    return done


def _soak(transactions: int, clients: int, chance: random.Random, faults: Faults) -> Counter[str]:
    """One store's part."""
    world = World(chance, faults)
    people = [Client(f"c{number}", world) for number in range(clients)]
    running = [person.run() for person in people]
    try:
        while sum(person.tried for person in people) < transactions:
            next(chance.choice(running))
        _check(world, people)
    finally:
        world.close()
    world.done["transactions"] = sum(person.tried for person in people)
    world.done["kept"] = sum(len(person.kept) for person in people)
    return world.done


def _check(world: World, people: list[Client]) -> None:
    database = world.writers[0].engine.database
    database.refresh()
    with database.reader() as connection:
        balances = dict(connection.execute("SELECT id, balance FROM account").fetchall())
        journal = connection.execute(
            "SELECT name, source, target, amount, seen FROM journal ORDER BY id"
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
    for name, source, target, amount, seen in journal:
        assert expected[source] == seen, f"{name} has read another balance than those before it left"
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
    begun, cpu = time.monotonic(), time.process_time()
    done = soak(options.transactions, clients=options.clients, seed=options.seed)
    cpu = time.process_time() - cpu
    print(f"{time.monotonic() - begun:.0f} s, {cpu:.0f} s of CPU: {dict(done)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
