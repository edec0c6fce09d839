"""Several requests at once, as Prisma's client sends them in one tick or one `$transaction([…])`.

The compiler turns several `findUnique` of one shape into one query (a *compacted* batch): its rows are
dealt out to the requests by their unique keys. Anything else is one plan per request.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from lamdb.errors import QueryError
from lamdb.prisma.query.plan import Plan
from lamdb.prisma.query.plan.arguments import is_expression
from lamdb.prisma.query.plan.runtime import Transaction
from lamdb.prisma.query.sql_errors import missing_record_in_batch
from lamdb.prisma.values import decoder, encode_bytes, encode_datetime

type Answers = list[Any]
"""One answer per request, in order; a `QueryError` in place of the answer of a request that failed."""


@dataclass(frozen=True, slots=True)
class MultiBatch:
    """One plan per request."""

    plans: Sequence[Plan]

    def run(self, connection: apsw.Connection, values: Mapping[str, Any], *, atomic: bool) -> Answers:
        if atomic:
            with Transaction(connection):
                return [plan.run(connection, values) for plan in self.plans]
        return [_run_alone(plan, connection, values) for plan in self.plans]


def _run_alone(plan: Plan, connection: apsw.Connection, values: Mapping[str, Any]) -> Any:
    """The plan's answer or its error; an error leaves nothing behind, whatever surrounds the batch."""
    try:
        with connection:  # a savepoint
            return plan.run(connection, values)
    except QueryError as error:
        return error


class CompactedBatch:
    """One plan for several `findUnique`."""

    def __init__(self, compiled: Mapping[str, Any], model: str | None) -> None:
        tree = compiled["plan"]
        self._plan = Plan(tree, model=model)
        fields, enums = tree["args"]["structure"]["fields"], tree["args"]["enums"]
        self._keys: dict[str, Callable[[Any], Any]] = {
            key: _output_of(fields[key]["fieldType"], enums) for key in compiled["keys"]
        }
        self._arguments: list[Mapping[str, Any]] = compiled["arguments"]
        self._selection = set(compiled["nestedSelection"])
        self._required: bool = compiled["expectNonEmpty"]

    def run(self, connection: apsw.Connection, values: Mapping[str, Any], *, atomic: bool) -> Answers:
        rows = self._plan.run(connection, values)
        found = {tuple(row[key] for key in self._keys): row for row in reversed(rows)}
        answers = [self._answer(found.get(self._key(arguments, values))) for arguments in self._arguments]
        if atomic:
            for answer in answers:
                if isinstance(answer, QueryError):
                    raise answer
        return answers

    def _key(self, arguments: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The unique key a request asks for, in the form the rows have it."""
        return tuple(output(_resolve(arguments[key], values)) for key, output in self._keys.items())

    def _answer(self, row: dict[str, Any] | None) -> Any:
        if row is None:
            return missing_record_in_batch() if self._required else None
        return {name: value for name, value in row.items() if name in self._selection}


type Batch = MultiBatch | CompactedBatch


def compile_batch(compiled: Mapping[str, Any], models: Sequence[str | None]) -> Batch:
    """The compiler's output for a batch of requests of these models, ready to run."""
    if compiled["type"] == "compacted":
        return CompactedBatch(compiled, models[0])
    plans = zip(compiled["plans"], models, strict=True)
    return MultiBatch([Plan(tree, model=model) for tree, model in plans])


def _resolve(value: Any, values: Mapping[str, Any]) -> Any:
    return values[value["prisma__value"]["name"]] if is_expression(value) else value


_STORED: dict[str, Callable[[Any], Any]] = {
    "bigint": int,
    "float": float,
    "decimal": str,
    "datetime": encode_datetime,
    "bytes": encode_bytes,
}


def _output_of(field_type: Mapping[str, Any], enums: Mapping[str, Mapping[str, str]]) -> Callable[[Any], Any]:
    """A key as the request has it → as the answer has it."""
    decode = decoder(field_type, enums)
    stored = _STORED.get(field_type["type"])

    def output(value: Any) -> Any:
        value = value if stored is None else stored(value)
        return value if decode is None else decode(value)

    return output
