"""In-memory operations of a plan: distinct, cursor, skip, take, reverse, on lists of records and below.

Records are dictionaries keyed by result column. Prisma's compiler leaves these operations to the interpreter
if one SQL query cannot express them for all parents at once.
"""

from base64 import b64decode
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from lamdb.prisma.query.plan.arguments import Evaluate, Scope, compile_value, is_expression
from lamdb.prisma.query.plan.fetching import COUNTED_AT_ONCE, hold
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.values import encode_datetime

# --- comparing a record with a cursor -------------------------------------------------------------


def same_value(stored: Any, wanted: Any) -> bool:
    """Equality across representations: 1 and "1", bytes and their base64, two texts of one time."""
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
    """True if both sides are integers, which a comparison of doubles would confuse beyond 2^53."""
    return all(
        isinstance(side, int) or (isinstance(side, str) and side.removeprefix("-").isdigit())
        for side in (stored, wanted)
    )


# --- the operations -------------------------------------------------------------------------------

# Reads some columns of a record: what makes two records the same, or members of one group.
type KeyOf = Callable[[Any], Hashable]
# The subscript of a column: its name in a dictionary, its position in a tuple.
type Subscript = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Operations:
    """One level of operations, evaluated for a run."""

    distinct: KeyOf | None
    linking: KeyOf | None
    paginated: bool
    cursor: Sequence[tuple[Any, Any]] | None
    """(subscript, wanted value) of each cursor field."""
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

    def take_from(self, records: Iterator[Any]) -> list[Any]:
        """The same for rows that are read one by one, of no groups: no more are read than it takes."""
        assert self.take is not None
        taken: list[Any] = []
        kept: list[Any] = []
        """Records that were kept, or whose keys were, since they were last counted."""
        seen: set[Hashable] = set()
        found, left = self.cursor is None, self.skip
        for record in records if self.take else ():
            if self.distinct is not None:
                key = self.distinct(record)
                if key in seen:
                    continue
                seen.add(key)
                kept.append(record)
            found = found or self._at_cursor(record)
            if found and left:
                left -= 1
            elif found:
                taken.append(record)
                kept.append(record)
                if len(taken) == self.take:
                    break
            if len(kept) >= COUNTED_AT_ONCE:
                hold(max(len(taken), len(seen)), kept)
                kept.clear()
        hold(max(len(taken), len(seen)), kept)
        return taken[::-1] if self.reverse else taken

    def _one(self, record: Any) -> Any:
        if self.paginated and (self.skip > 0 or self.take == 0 or not self._at_cursor(record)):
            return None
        return self._below(record)

    def _many(self, records: list[Any]) -> list[Any]:
        if self.distinct is not None:
            records = _first_of_each(records, self.distinct)
        if self.paginated:
            records = self._paginate(records)
        if self.reverse:
            records = records[::-1]
        return [self._below(record) for record in records] if self.nested else records

    def _paginate(self, records: list[Any]) -> list[Any]:
        if self.linking is None:
            return self._slice(records)
        key_of = self.linking
        groups: dict[Hashable, list[Any]] = {}
        for record in records:
            groups.setdefault(key_of(record), []).append(record)
        return [record for group in groups.values() for record in self._slice(group)]

    def _slice(self, records: list[Any]) -> list[Any]:
        start = self.skip
        if self.cursor is not None:
            found = (index for index, record in enumerate(records) if self._at_cursor(record))
            position = next(found, None)
            if position is None:
                return []
            start += position
        return records[start:] if self.take is None else records[start : start + self.take]

    def _at_cursor(self, record: Any) -> bool:
        return self.cursor is None or all(same_value(record[at], wanted) for at, wanted in self.cursor)

    def _below(self, record: Any) -> Any:
        for field, operations in self.nested.items():
            record[field] = operations.apply(record.get(field))
        return record


def _first_of_each(records: list[Any], key_of: KeyOf) -> list[Any]:
    """The first record of each key, in order."""
    first: dict[Hashable, Any] = {}
    for record in records:
        first.setdefault(key_of(record), record)
    return list(first.values())


# --- compiling ------------------------------------------------------------------------------------


def compile_operations(
    operations: Mapping[str, Any], scope: Scope, subscript: Subscript = str
) -> Callable[[Run], Operations]:
    """The node's `operations` as a function of the run; only a cursor differs from run to run."""
    pagination = operations["pagination"] or {}
    linking = operations["linkingFields"]
    distinct = operations["distinct"]
    evaluate = _compile_cursor(pagination.get("cursor"), scope, subscript)
    nested = {field: compile_operations(below, scope) for field, below in operations["nested"].items()}
    key_of_distinct = None if distinct is None else _key_of([*distinct, *(linking or ())], subscript)
    key_of_group = None if linking is None else _key_of(linking, subscript)

    def build(run: Run) -> Operations:
        return Operations(
            distinct=key_of_distinct,
            linking=key_of_group,
            paginated=bool(operations["pagination"]),
            cursor=None if evaluate is None else evaluate(run),
            take=pagination.get("take"),
            skip=pagination.get("skip") or 0,
            reverse=operations["reverse"],
            nested={field: below(run) for field, below in nested.items()},
        )

    if evaluate is None and not nested:
        same = build(Run.__new__(Run))
        return lambda run: same
    return build


def _key_of(fields: Sequence[str], subscript: Subscript) -> KeyOf:
    if not fields:
        return lambda record: None
    return itemgetter(*map(subscript, fields))


def _compile_cursor(
    cursor: Mapping[str, Any] | None, scope: Scope, subscript: Subscript
) -> Callable[[Run], list[tuple[Any, Any]]] | None:
    if cursor is None:
        return None
    fields = [(subscript(field), _compile_cursor_value(value, scope)) for field, value in cursor.items()]
    return lambda run: [(at, evaluate(run)) for at, evaluate in fields]


def _compile_cursor_value(value: Any, scope: Scope) -> Evaluate:
    evaluate = compile_value(value, scope)
    if is_expression(value) and value["prisma__value"].get("type") == "DateTime":
        return lambda run: encode_datetime(evaluate(run))  # as it is stored
    return evaluate
