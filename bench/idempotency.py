"""`python -m bench.idempotency`: keeping a response under a key by Powertools' Idempotency, and by lamDB.

Both keep it in the transaction that makes the change: Powertools through a persistence layer on the same
connection. Measured is processor time: of imports, in processes of their own, beside what a writer has loaded
when it starts; and of each mutation, new and repeated, in a database in memory.
"""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import apsw
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from lamdb.graphql.idempotency import Once
from lamdb.graphql.request import GraphQLRequest

STARTED = "import aws_lambda_powertools.logging, aws_lambda_powertools.metrics, lamdb.cluster.writer, time"
IMPORTS = (
    "aws_lambda_powertools.utilities.idempotency",
    "aws_lambda_powertools.utilities.data_classes",
    "lamdb.cluster.sources.batches",
)
RUNS = 11
RECORDS = 2000
ANSWER = '{"data":{"createOneItem":{"id":1}}}'

type Mutate = Callable[[dict[str, Any]], object]


class InTransaction(BasePersistenceLayer):
    """Powertools' records on the connection of the open transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._connection = connection
        connection.execute("CREATE TABLE kept(key TEXT PRIMARY KEY, status, expires, answer, hash)")

    def _get_record(self, idempotency_key: str) -> DataRecord:
        sql = "SELECT status, expires, answer, hash FROM kept WHERE key = ?"
        row = self._connection.execute(sql, (idempotency_key,)).fetchone()
        if row is None:
            raise IdempotencyItemNotFoundError
        return DataRecord(idempotency_key, row[0], row[1], None, row[2] or "", payload_hash=row[3])

    def _put_record(self, data_record: DataRecord) -> None:
        sql = "INSERT OR IGNORE INTO kept VALUES(?, ?, ?, ?, ?)"
        self._connection.execute(sql, (data_record.idempotency_key, *_columns(data_record)))
        if not self._connection.changes():
            raise IdempotencyItemAlreadyExistsError

    def _update_record(self, data_record: DataRecord) -> None:
        sql = "UPDATE kept SET status = ?, expires = ?, answer = ?, hash = ? WHERE key = ?"
        self._connection.execute(sql, (*_columns(data_record), data_record.idempotency_key))

    def _delete_record(self, data_record: DataRecord) -> None:
        self._connection.execute("DELETE FROM kept WHERE key = ?", (data_record.idempotency_key,))


def _columns(record: DataRecord) -> tuple[Any, ...]:
    return record.status, record.expiry_timestamp, record.response_data, record.payload_hash


def main() -> None:
    warnings.simplefilter("ignore")  # Powertools misses the invocation's context.
    for module in IMPORTS:
        times = [_import(module) for _ in range(RUNS)]
        print(f"import {module}: {min(times):.0f}; {median(times):.0f} ms")
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE item(name)")
    for name, mutate in (("Powertools", _by_powertools(connection)), ("lamDB", _by_lamdb(connection))):
        new, repeated = (min(_each(connection, mutate, run) for run in runs) for runs in (range(3), [0] * 3))
        print(f"{name}: {new:.1f} µs for a new one, {repeated:.1f} µs for a repeated one")


def _import(module: str) -> float:
    code = f"{STARTED}\nt = time.process_time()\nimport {module}\nprint(time.process_time() - t)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout) * 1000


def _by_powertools(connection: apsw.Connection) -> Mutate:
    config = IdempotencyConfig(event_key_jmespath="key", payload_validation_jmespath="[query, variables]")
    layer = InTransaction(connection)

    @idempotent_function(data_keyword_argument="request", persistence_store=layer, config=config)  # type: ignore[untyped-decorator]
    def mutate(*, request: dict[str, Any]) -> str:
        connection.execute("INSERT INTO item VALUES(?)", (request["variables"]["name"],))
        return ANSWER

    return lambda request: mutate(request=request)


def _by_lamdb(connection: apsw.Connection) -> Mutate:
    def mutate(request: dict[str, Any]) -> object:
        once = Once.of(request["key"], GraphQLRequest(request["query"], request["variables"], None))
        found = once.find(connection)
        if found is None:
            connection.execute("INSERT INTO item VALUES(?)", (request["variables"]["name"],))
            found = ANSWER.encode()
            once.keep(connection, found)
        return found

    return mutate


def _each(connection: apsw.Connection, mutate: Mutate, run: int) -> float:
    query = "mutation($name: String!) { createOneItem(data: {name: $name}) { id } }"
    begun = time.process_time()
    with connection:
        for number in range(RECORDS):
            mutate({"key": f"{run}-{number}", "query": query, "variables": {"name": str(number)}})
    return (time.process_time() - begun) / RECORDS * 1e6


if __name__ == "__main__":
    main()
