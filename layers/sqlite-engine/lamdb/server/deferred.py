"""Mutations that the server executes after it has answered (`Prefer: respond-async`), and their states.

What was accepted is in the server's memory until it is executed; the state of what was executed is in the
database. So another server on the same store knows the latter only.
"""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace

from lamdb.errors import LamdbError, MethodNotAllowed, NotFound
from lamdb.graphql.transport import deferred, http, outcomes
from lamdb.graphql.transport.http import Call, HttpOptions, HttpRequest, HttpResponse
from lamdb.graphql.transport.wire import IDEMPOTENCY_HEADERS, idempotency_key
from lamdb.rules.caller import Caller
from lamdb.server.instance import Instance
from lamdb.storage.waiting import about_to_wait

log = logging.getLogger("lamdb.server")


class Deferred:
    """The mutations of one server that clients do not wait for.

    Its methods belong to the event loop, but `run` and `state`, which wait for the store in a thread.
    """

    def __init__(self, instance: Instance, options: HttpOptions) -> None:
        self._instance = instance
        self._options = options
        self._pending: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def wants(self, call: Call) -> bool:
        """True if a request is a mutation whose client does not wait."""
        is_asked = call.method == "POST" and deferred.prefers_async(call.headers)
        return is_asked and http.is_mutation(self._instance.api, call)

    def prepared(self, call: Call) -> tuple[str, Call, str]:
        """The key of a mutation, generated if the client gave none; what to execute; the query of its path.

        Raises `MalformedRequest`.
        """
        given = idempotency_key(call.headers)
        key = given or str(uuid.uuid4())
        query = deferred.told_apart(call.parameters) if given else ""
        left_out = {"accept-encoding", *IDEMPOTENCY_HEADERS}
        headers = {name: text for name, text in call.headers.items() if name not in left_out}
        return key, replace(call, headers={**headers, "idempotency-key": key}), query

    def accept(self, key: str, query: str, execution: Awaitable[HttpResponse]) -> HttpResponse:
        """The answer while `execution` goes on."""
        self._pending[key] += 1
        task = asyncio.get_running_loop().create_task(self._finish(key, execution))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return deferred.accepted(key, query=query)

    def run(self, key: str, response: HttpResponse, caller: Caller | None) -> None:
        """Keeps the response to a mutation that was executed, unless its own transaction did."""
        database = self._instance.database
        executed = response.status == 200
        if executed and not response.failed:
            with database.reader() as connection:
                if outcomes.find(connection, key, None) is not None:
                    return
        outcome = outcomes.MutationOutcome(response.status, response.body, refused=response.early)
        sending = outcomes.Sending(key, key, caller, self._options.idempotency_seconds)
        database.write(lambda connection: outcomes.keep(connection, sending, outcome))

    def is_pending(self, request: HttpRequest) -> bool:
        """True if the write that a request asks for waits or is executed here. Raises `LamdbError`."""
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed("The state of a write can only be read, by GET.", allow=["GET", "HEAD"])
        return deferred.key_of(request.path) in self._pending

    def state(self, request: HttpRequest) -> HttpResponse:
        """The state of a write that was executed. Raises `NotFound`, `MalformedRequest`, `StorageError`."""
        about_to_wait()
        key = deferred.key_of(request.path)
        _, digest = deferred.asked(request.query)
        database = self._instance.database
        for attempt in range(2):
            if attempt:
                database.refresh()
            with database.reader() as connection:
                found = outcomes.find(connection, key, request.caller, request=digest)
            if found is not None:
                return deferred.done(found.status, found.body, refused=found.refused)
        raise NotFound(
            "No write with this key is known.",
            hint="It was not sent to this server, or was sent too long ago.",
        )

    async def _finish(self, key: str, execution: Awaitable[HttpResponse]) -> None:
        try:
            await execution
        except LamdbError as error:
            log.warning("a write that was accepted is lost", extra={"code": error.code})
        except Exception:
            log.exception("internal error while executing a write that was accepted")
        finally:
            self._pending[key] -= 1
            if not self._pending[key]:
                del self._pending[key]
