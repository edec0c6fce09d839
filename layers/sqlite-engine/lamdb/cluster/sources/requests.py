"""GraphQL in messages: executed in the transaction of a batch, once for each message."""

from collections.abc import Callable
from typing import NoReturn

import apsw
import orjson

from lamdb.cluster.sources.records import Request
from lamdb.cluster.sources.savepoint import savepoint_of_event
from lamdb.errors import EventError, StorageError
from lamdb.graphql.api import Api
from lamdb.graphql.idempotency import EVENT_SECONDS, KeyOrigin, Once


def execute(api: Api, connection: apsw.Connection, content: Request) -> bool:
    """Executes a mutation; False if that was done before.

    Raises `EventError` with what the response's first error says, and `StorageError`.
    """
    if api.operation_kind(content.request) != "mutation":
        raise EventError("The message does not contain a mutation.")
    here = InTransaction(connection)
    once = Once.of(content.key, content.request, EVENT_SECONDS, KeyOrigin.EVENT)
    result = api.execute(here, content.request, once=once)
    if here.failure is not None:
        raise here.failure
    if result.replayed:
        return False
    answer = orjson.loads(result.body)
    for error in answer.get("errors", ()):
        raise EventError(error["message"], code=error["extensions"]["code"], hint="")
    return True


class InTransaction:
    """A database to an `Api` whose mutation is a part of a transaction that has begun."""

    txid = 0

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.failure: StorageError | None = None
        """Raised for an error that fails the whole transaction, not only this mutation."""

    def write[T](self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            with savepoint_of_event(self._connection):
                return work(self._connection)
        except StorageError as error:
            self.failure = error
            raise

    def reader(self, min_txid: int = 0) -> NoReturn:
        raise EventError("The message does not contain a mutation.")
