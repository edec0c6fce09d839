"""In-memory operations of a plan: distinct, cursor, skip, take, reverse, on lists of records and below.

Records are dictionaries keyed by result column. Prisma's compiler leaves these operations to the
interpreter where SQL of one query cannot express them for every parent at once.
"""

from base64 import b64decode
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lamdb.prisma.plan.arguments import Evaluate, Scope, compile_value, is_expression
from lamdb.prisma.plan.runtime import Run
from lamdb.prisma.values import encode_datetime

type Record = dict[str, Any]
type Cursor = Mapping[str, Any]


def record_key(record: Mapping[str, Any], fields: Sequence[str]) -> Hashable:
    return tuple([record.get(field) for field in fields])


# --- comparing a record with a cursor -------------------------------------------------------------


def same_value(stored: Any, wanted: Any) -> bool:
    """Equality that forgives representation: 1 and "1", bytes and their base64, two texts of one moment."""
    if stored == wanted:
        return True
    if stored is None or wanted is None:
        return False
    if isinstance(stored, bytes) and isinstance(wanted, str):
        return stored == b64decode(wanted)
    if isinstance(stored, int | float) != isinstance(wanted, int | float):
        try:
            return int(stored) == int(wanted) if _integral(stored, wanted) else float(stored) == float(wanted)
        except (ValueError, TypeError):
            return False
    return False


def _integral(stored: Any, wanted: Any) -> bool:
    """Whether both sides are integers, which a comparison of doubles would confuse beyond 2^53."""
    return all(
        isinstance(side, int) or (isinstance(side, str) and "." not in side) for side in (stored, wanted)
    )


def matches(record: Mapping[str, Any], cursor: Cursor) -> bool:
    return all(same_value(record.get(field), value) for field, value in cursor.items())


# --- the operations -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operations:
    """One level of operations, evaluated for a run."""

    distinct: Sequence[str] | None
    linking: Sequence[str] | None
    paginated: bool
    cursor: Cursor | None
    take: int | None
    skip: int
    reverse: bool
    nested: Mapping[str, "Operations"]

    def apply(self, value: Any) -> Any:
        """Records in, records out; a single record is a list of at most one."""
        if value is None:
            return None
        if isinstance(value, str):
            return self.apply(orjson.loads(value))
        return self._many(value) if isinstance(value, list) else self._one(value)

    def _one(self, record: Record) -> Record | None:
        if self.paginated:
            if self.skip > 0 or self.take == 0:
                return None
            if self.cursor is not None and not matches(record, self.cursor):
                return None
        return self._below(record)

    def _many(self, records: list[Record]) -> list[Record]:
        if self.distinct is not None:
            records = distinct_by(records, [*self.distinct, *(self.linking or ())])
        if self.paginated:
            records = self._paginate(records)
        if self.reverse:
            records = records[::-1]
        return [self._below(record) for record in records] if self.nested else records

    def _paginate(self, records: list[Record]) -> list[Record]:
        if self.linking is None:
            return self._slice(records)
        groups: dict[Hashable, list[Record]] = {}
        for record in records:
            groups.setdefault(record_key(record, self.linking), []).append(record)
        return [record for group in groups.values() for record in self._slice(group)]

    def _slice(self, records: list[Record]) -> list[Record]:
        cursor, start = self.cursor, 0
        if cursor is not None:
            found = (index for index, record in enumerate(records) if matches(record, cursor))
            position = next(found, None)
            if position is None:
                return []
            start = position
        start += self.skip
        return records[start:] if self.take is None else records[start : start + self.take]

    def _below(self, record: Record) -> Record:
        for field, operations in self.nested.items():
            record[field] = operations.apply(record.get(field))
        return record


def distinct_by(records: list[Record], fields: Sequence[str]) -> list[Record]:
    """The first record of each key, in order."""
    first: dict[Hashable, Record] = {}
    for record in records:
        first.setdefault(record_key(record, fields), record)
    return list(first.values())


# --- compiling ------------------------------------------------------------------------------------


def compile_operations(operations: Mapping[str, Any], scope: Scope) -> Callable[[Run], Operations]:
    """The node's `operations` as a function of the run; only a cursor differs from run to run."""
    pagination = operations["pagination"] or {}
    cursor = pagination.get("cursor")
    nested = {field: compile_operations(below, scope) for field, below in operations["nested"].items()}
    evaluate = None if cursor is None else compile_cursor(cursor, scope)

    def build(run: Run) -> Operations:
        return Operations(
            distinct=operations["distinct"],
            linking=operations["linkingFields"],
            paginated=bool(operations["pagination"]),
            cursor=None if evaluate is None else evaluate(run),
            take=pagination.get("take"),
            skip=pagination.get("skip") or 0,
            reverse=operations["reverse"],
            nested={field: below(run) for field, below in nested.items()},
        )

    return build


def compile_cursor(cursor: Cursor, scope: Scope) -> Callable[[Run], Cursor]:
    fields = {field: _compile_cursor_value(value, scope) for field, value in cursor.items()}
    return lambda run: {field: evaluate(run) for field, evaluate in fields.items()}


def _compile_cursor_value(value: Any, scope: Scope) -> Evaluate:
    evaluate = compile_value(value, scope)
    if is_expression(value) and value["prisma__value"].get("type") == "DateTime":
        return lambda run: encode_datetime(evaluate(run))  # as it is stored
    return evaluate
