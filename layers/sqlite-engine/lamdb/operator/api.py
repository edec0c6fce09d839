"""The operator API: takes an HTTP request, returns its response.

    api = OperatorApi(OperatorContext(database, apis, settings))
    response = api.handle(HttpRequest("POST", "/admin/graphql", "", headers, body))

The caller decides who may use it: this module checks no credentials.
"""

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from graphql import execute as graphql_execute
from graphql import parse
from graphql.execution import ExecutionResult

from lamdb.errors import DocumentInvalid, LamdbError, MethodNotAllowed, OperatorUnavailable, ReadOnly
from lamdb.graphql.errors import INTERNAL_MESSAGE, detailed
from lamdb.graphql.transport.wire import (
    TXID_HEADER,
    Call,
    HttpRequest,
    HttpResponse,
    receive,
    refusal,
    with_charset,
)
from lamdb.operator import engine
from lamdb.operator.guard import Admitted, Safe, admit
from lamdb.operator.routing import READING_MUTATIONS
from lamdb.operator.schema import operator_schema
from lamdb.operator.session import OperatorContext, OperatorSession
from lamdb.storage.budget import NEVER, Deadline

__all__ = ["OperatorApi", "OperatorContext"]

log = logging.getLogger("lamdb.operator")


class OperatorApi:
    """Answers operators' requests. Safe to use from several threads, none of which runs an event loop."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    def handle(
        self, request: HttpRequest, *, direct: bool = False, deadline: Deadline = NEVER
    ) -> HttpResponse:
        """The response to a request; never raises for what a client sent or for what the store did.

        `direct` requests, those of lamDB's own commands, are answered without tartiflette if it is not
        installed. `deadline`: the time by which the response must be ready; work that can be cancelled stops
        then.
        """
        if request.method != "POST":
            return refusal(
                MethodNotAllowed(f"The operator API does not allow {request.method}.", allow=["POST"])
            )
        call = receive(request)
        if isinstance(call, HttpResponse):
            return call
        with detailed():
            return self._answer_or_refuse(call, direct, deadline)

    def _answer_or_refuse(self, call: Call, direct: bool, deadline: Deadline) -> HttpResponse:
        try:
            return self._answer(call, direct, deadline)
        except DocumentInvalid as error:
            return refusal(error, call.media_type)
        except LamdbError as error:
            return refusal(error, call.media_type)
        except Exception:
            log.exception("internal error while answering an operator")
            return refusal(LamdbError(INTERNAL_MESSAGE), call.media_type)

    def _answer(self, call: Call, direct: bool, deadline: Deadline) -> HttpResponse:
        """Raises `RequestError`, `ReadOnly`, `OperatorUnavailable`."""
        admitted = admit(call.parameters)
        changes = admitted.kind == "mutation" and not READING_MUTATIONS.issuperset(admitted.fields)
        if changes and self._context.read_only:
            raise ReadOnly("The operator API executes no mutations here.")
        answer = self._execute(admitted, direct, deadline)
        _log(admitted, answer)
        headers = {
            "content-type": with_charset(call.media_type),
            "cache-control": "no-store",
            "vary": "accept",
            TXID_HEADER: str(self._context.database.txid),
        }
        return HttpResponse(200, headers, orjson.dumps(answer), failed="errors" in answer)

    def _execute(self, admitted: Admitted, direct: bool, deadline: Deadline) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if admitted.introspection is not None:
            data.update(_introspect(admitted.introspection))
        if admitted.safe is None:
            return {"data": {key: data[key] for key in admitted.keys}}
        with OperatorSession(self._context, deadline) as session:
            done = _executed(admitted.safe, session, direct)
        errors = done.get("errors") or []
        for each in errors:
            if places := admitted.locations(each.get("path") or ()):
                each["locations"] = places
        if done["data"] is None:
            return {"errors": errors, "data": None}
        data.update(done["data"])
        ordered = {key: data[key] for key in admitted.keys}
        return {"errors": errors, "data": ordered} if errors else {"data": ordered}


def _executed(safe: Safe, session: OperatorSession, direct: bool) -> dict[str, Any]:
    """Raises `OperatorUnavailable`, before anything was executed."""
    try:
        engine.load()
    except OperatorUnavailable:
        if not direct:
            raise
        from lamdb.operator import direct as without_tartiflette

        return without_tartiflette.execute(safe, session)
    return engine.execute(safe, session)


def _introspect(safe: Safe) -> Mapping[str, Any]:
    result = graphql_execute(operator_schema(), parse(safe.text), variable_values=safe.variables)
    assert isinstance(result, ExecutionResult)
    if result.errors:
        raise result.errors[0]
    return result.data or {}


def _log(admitted: Admitted, answer: Mapping[str, Any]) -> None:
    """Every mutation is logged, whatever its result; its arguments are not, because they may hold any
    data."""
    if admitted.kind == "mutation" and admitted.fields:
        codes = [each["extensions"]["code"] for each in answer.get("errors", ())]
        extra: dict[str, Any] = {"operation": admitted.fields[0]}
        log.info("operator's mutation", extra={**extra, "code": codes[0]} if codes else extra)
