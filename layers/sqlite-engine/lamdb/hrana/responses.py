"""The bodies of responses: pipelines, cursors, and Hrana 1."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from lamdb.graphql.transport.wire import HttpResponse, accepts_gzip
from lamdb.hrana.protocol.error_responses import JSON
from lamdb.hrana.protocol.outcomes import StepOutcome
from lamdb.hrana.statements.errors import error_object
from lamdb.hrana.transaction.steps import Steps

type Json = dict[str, Any]

_GZIP_FROM: Final = 4096
_GZIP_LEVEL: Final = 4
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


def results(execution: Steps) -> bytes:
    """Returns the list of a pipeline's results, as JSON."""
    return orjson.dumps(list(_results(execution)))


def _results(execution: Steps) -> Iterator[Json]:
    plan = execution.plan
    steps: dict[int, list[StepOutcome]] = {}
    for step, outcome in zip(plan.steps, execution.outcomes, strict=True):
        steps.setdefault(step.request, []).append(outcome or StepOutcome())
    for number, kind in enumerate(plan.types):
        if number in plan.failures:
            yield {"type": "error", "error": error_object(plan.failures[number])}
        else:
            yield _result(kind, steps.get(number, []))


def _result(kind: str, outcomes: Sequence[StepOutcome]) -> Json:
    response: Json = {"type": kind}
    if kind == "batch":
        response["result"] = _batch(outcomes)
    elif kind == "sequence":
        for outcome in outcomes:
            if outcome.error is not None:
                return {"type": "error", "error": outcome.error}
    elif outcomes:
        (outcome,) = outcomes
        if outcome.error is not None:
            return {"type": "error", "error": outcome.error}
        if kind == "get_autocommit":
            response |= outcome.result or {}
        else:
            response["result"] = outcome.result
    return {"type": "ok", "response": response}


def _batch(outcomes: Sequence[StepOutcome]) -> Json:
    return {
        "step_results": [outcome.result for outcome in outcomes],
        "step_errors": [outcome.error for outcome in outcomes],
    }


def pipeline(baton: str | None, results: bytes) -> bytes:
    """Returns the body of a pipeline's response."""
    return orjson.dumps({"baton": baton, "base_url": None, "results": orjson.Fragment(results)})


def cursor(baton: str | None, results: bytes) -> bytes:
    """Returns the body of a cursor's response: one JSON value a line. `results` are those of one batch."""
    (only,) = orjson.loads(results)
    lines: list[Json] = [{"baton": baton, "base_url": None}]
    if only["type"] == "error":
        lines.append({"type": "error", "error": only["error"]})
    else:
        lines += _entries(only["response"]["result"])
        lines.append({"type": "replication_index", "replication_index": None})
    return b"\n".join(orjson.dumps(line) for line in lines) + b"\n"


def _entries(batch: Json) -> Iterator[Json]:
    for number, (result, error) in enumerate(zip(batch["step_results"], batch["step_errors"], strict=True)):
        yield from entries_of(number, result, error)


def entries_of(number: int, result: Json | None, error: Json | None) -> Iterator[Json]:
    """Returns the entries of a cursor for one step."""
    if error is not None:
        yield {"type": "step_error", "step": number, "error": error}
    elif result is not None:
        yield {"type": "step_begin", "step": number, "cols": result["cols"]}
        for row in result["rows"]:
            yield {"type": "row", "row": row}
        yield {
            "type": "step_end",
            "affected_row_count": result["affected_row_count"],
            "last_insert_rowid": result["last_insert_rowid"],
        }


def hrana1(results: bytes) -> tuple[int, bytes]:
    """Returns status and body of a response of `/v1`. `results` are those of one request."""
    (only,) = orjson.loads(results)
    if only["type"] == "error":
        return 400, orjson.dumps(only["error"])
    return 200, orjson.dumps({"result": only["response"]["result"]})


def response(
    kind: str, results: bytes, baton: str | None, asked: Mapping[str, str], said: Mapping[str, str]
) -> HttpResponse:
    """Returns the response to a request of a kind. `asked`: its headers; `said`: headers of the response."""
    status = 200
    if kind == "pipeline":
        body = pipeline(baton, results)
    elif kind == "cursor":
        body = cursor(baton, results)
    else:
        status, body = hrana1(results)
    return whole(status, body, asked, said)


def whole(status: int, body: bytes, asked: Mapping[str, str], said: Mapping[str, str]) -> HttpResponse:
    """Returns a response of JSON, compressed if it is long."""
    headers = {"content-type": JSON, "cache-control": "no-store", **said}
    if len(body) >= _GZIP_FROM and accepts_gzip(asked):
        headers["content-encoding"] = "gzip"
        body = zlib.compress(body, _GZIP_LEVEL, GZIP_WINDOW)
    return HttpResponse(status, headers, body)
