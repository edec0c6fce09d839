"""The requests of a pipeline, read into the steps that are to be executed one after another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lamdb.errors import MalformedRequest
from lamdb.hrana.protocol.conditions import check_condition
from lamdb.hrana.statements import text as texts
from lamdb.hrana.statements.errors import SqlFailure
from lamdb.hrana.statements.rows import RowSink
from lamdb.hrana.statements.run import Bindings, bind
from lamdb.hrana.statements.text import Kind, StatementText
from lamdb.hrana.statements.values import SqlValue, decode

type Json = dict[str, Any]

_WRITES: Final = (Kind.BEGIN_IMMEDIATE, Kind.WRITE)

MOST_STEPS: Final = 20_000
"""Statements of one HTTP request."""
_MOST_STORED: Final = 256
_MOST_STORED_CHARACTERS: Final = 1024 * 1024


@dataclass(slots=True)
class Step:
    """One thing to do: a statement, or (`asks`) a question about one or about the stream.

    `request` is the number of the request in the pipeline, `number` that of the step in its batch or script.
    `failure`: what is known to be wrong before it is executed. `sink`: where its rows go, if not into its
    result.
    """

    request: int
    number: int
    sql: StatementText | None = None
    bindings: Bindings = ()
    want_rows: bool = True
    condition: Json | None = None
    is_script: bool = False
    asks: str = ""
    sink: RowSink | None = None
    failure: SqlFailure | None = None


@dataclass(slots=True)
class ParsedPipeline:
    """A pipeline: its requests by type, and all their steps."""

    types: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    closes: bool = False
    digest: bytes = b""
    """Digest of the request that it was read from."""
    failures: dict[int, SqlFailure] = field(default_factory=dict)
    """Failures of requests that have no steps, by number."""

    def looks_written(self) -> bool:
        """True if a statement writes, as far as that can be told from its text."""
        return any(
            step.sql is not None and (step.sql.writes or step.sql.kind in _WRITES) for step in self.steps
        )

    def key(self) -> str:
        """The text of the first statement, for statistics."""
        first = self.steps[0].sql if self.steps else None
        return first.text if first is not None else ""


def read_pipeline(requests: Any, stored: dict[int, str]) -> ParsedPipeline:
    """Returns the plan of a pipeline; `stored` are the stream's SQL texts, which it may change.

    Raises `MalformedRequest`.
    """
    if not isinstance(requests, list):
        raise MalformedRequest("`requests` must be a list.", hint="")
    plan = ParsedPipeline()
    for number, request in enumerate(requests):
        if not isinstance(request, dict) or not isinstance(request.get("type"), str):
            raise MalformedRequest(f"Request {number} has no type.", hint="")
        if plan.closes:
            raise MalformedRequest("`close` must be the last request.", hint="")
        plan.types.append(request["type"])
        try:
            plan.steps.extend(_steps(plan, number, request, stored))
        except SqlFailure as failure:
            plan.failures[number] = failure
        if len(plan.steps) > MOST_STEPS:
            raise MalformedRequest(f"A request has {MOST_STEPS} statements at most.", hint="")
    return plan


def read_batch(batch: Any, stored: dict[int, str]) -> ParsedPipeline:
    """Returns the plan of a batch that comes alone. Raises `MalformedRequest`."""
    return read_pipeline([{"type": "batch", "batch": batch}], stored)


def _steps(plan: ParsedPipeline, number: int, request: Json, stored: dict[int, str]) -> Iterator[Step]:
    match request["type"]:
        case "execute":
            yield _statement(number, 0, request.get("stmt"), stored)
        case "batch":
            yield from _batch(plan, number, request.get("batch"), stored)
        case "sequence":
            for index, each in enumerate(texts.many(_text(request, stored))):
                yield Step(number, index, each, is_script=True, want_rows=False)
        case "describe":
            yield Step(number, 0, texts.one(_text(request, stored)), asks="describe")
        case "get_autocommit":
            yield Step(number, 0, asks="get_autocommit")
        case "store_sql":
            _store(request, stored)
        case "close_sql":
            stored.pop(_sql_id(request), None)
        case "close":
            plan.closes = True
        case unknown:
            raise MalformedRequest(f"Requests of type {unknown!r} are unknown.", hint="")


def _batch(plan: ParsedPipeline, number: int, batch: Any, stored: dict[int, str]) -> Iterator[Step]:
    steps = batch.get("steps") if isinstance(batch, dict) else None
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise MalformedRequest("`batch` must be an object with the list `steps`.", hint="")
    for index, each in enumerate(steps):
        step = _statement(number, index, each.get("stmt"), stored)
        if each.get("condition") is not None:
            check_condition(each["condition"], index, 0)
            step.condition = each["condition"]
        yield step


def _statement(number: int, index: int, stmt: Any, stored: dict[int, str]) -> Step:
    if not isinstance(stmt, dict):
        raise MalformedRequest("`stmt` must be an object.", hint="")
    args, named = _arguments(stmt)
    want_rows = stmt.get("want_rows")
    step = Step(number, index, want_rows=want_rows is None or bool(want_rows))
    try:
        step.sql = texts.one(_text(stmt, stored))
        step.bindings = bind(step.sql, args, named)
    except SqlFailure as failure:
        step.failure = failure
    return step


def _arguments(stmt: Json) -> tuple[list[SqlValue], dict[str, SqlValue]]:
    given, named = stmt.get("args"), stmt.get("named_args")
    if not isinstance(given, list | None) or not isinstance(named, list | None):
        raise MalformedRequest("`args` and `named_args` must be lists.", hint="")
    names: dict[str, SqlValue] = {}
    for each in named or ():
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise MalformedRequest("A named argument has a `name` and a `value`.", hint="")
        name = each["name"]
        names[name[1:] if name[:1] in (":", "@", "$") else name] = decode(each.get("value"))
    return [decode(value) for value in given or ()], names


def _text(holder: Json, stored: Mapping[int, str]) -> str:
    """The SQL of a statement or request. Raises `SqlFailure` for an unknown id."""
    sql, sql_id = holder.get("sql"), holder.get("sql_id")
    if (sql is None) == (sql_id is None):
        raise MalformedRequest("Give either `sql` or `sql_id`.", hint="")
    if sql is not None:
        if not isinstance(sql, str):
            raise MalformedRequest("`sql` must be a string.", hint="")
        if "\0" in sql:
            raise SqlFailure("The SQL text has a NUL character.", "SQL_INPUT_ERROR")
        return sql
    if (number := _sql_id(holder)) not in stored:
        raise SqlFailure(f"SQL text {number} not found", "SQL_NOT_FOUND")
    return stored[number]


def _sql_id(holder: Json) -> int:
    sql_id = holder.get("sql_id")
    if not isinstance(sql_id, int) or isinstance(sql_id, bool):
        raise MalformedRequest("`sql_id` must be a whole number.", hint="")
    return sql_id


def _store(request: Json, stored: dict[int, str]) -> None:
    sql, number = request.get("sql"), _sql_id(request)
    if not isinstance(sql, str):
        raise MalformedRequest("`sql` must be a string.", hint="")
    size = len(sql) + sum(len(text) for other, text in stored.items() if other != number)
    if (number not in stored and len(stored) >= _MOST_STORED) or size > _MOST_STORED_CHARACTERS:
        raise SqlFailure("The stream has too many SQL texts stored.", "SQL_STORE_TOO_MANY")
    stored[number] = sql
