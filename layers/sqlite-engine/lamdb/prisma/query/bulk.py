"""`createMany` with many rows: one plan for all rows with the same fields, run for each row.

Prisma's compiler creates one statement for the whole list, with a placeholder for every value. This plan is
as long as the data. It cannot be used for another request, which has nulls in other positions, and takes
milliseconds per row to compile. A plan for a single row is compiled once and cached, and a prepared INSERT
takes microseconds.

Both ways write the same rows, with these differences:

- Rows are written in the order of the list here, so generated ids ascend. Prisma's plan groups rows with the
  same fields, and the order of the groups is not fixed.
- The error is that of the first faulty row. The rows before it are undone.
- Foreign keys are checked after all rows, so rows may refer to each other, as in one statement.
- Related records in the answer are read after each row here, and after all rows in Prisma's plan. Therefore
  short lists whose answer contains related records use Prisma's plan.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import apsw

from lamdb.prisma.query import generators
from lamdb.prisma.query.parameters import ABSENT, Request, TemplateVariable
from lamdb.prisma.query.plan import Plan
from lamdb.prisma.query.plan.runtime import NOW, Transaction
from lamdb.prisma.query.sql_errors import foreign_key_violation
from lamdb.storage.budget import checkpoint

type Row = Mapping[str, Any]
type Bound = tuple[Plan, dict[str, Any]]

_ACTIONS: Final = frozenset({"createMany", "createManyAndReturn"})
_FEW_ROWS: Final = 20
"""Largest list that uses Prisma's plan, which is as fast. Such short lists often have the same shapes."""
_MAX_TEMPLATES: Final = 100
_ROW_PREFIX: Final = "row."
"""Separates the variables of a row's fields from those of the request. No GraphQL name contains a dot."""


class Binder(Protocol):
    """The result of `Engine.prepare_template`."""

    def bind(self, variables: Mapping[str, Any]) -> Bound: ...


def creates_many(request: Request) -> bool:
    """True if a request may be one for this module."""
    return request["action"] in _ACTIONS and request.get("modelName") is not None


def rows_of(request: Request, variables: Mapping[str, Any]) -> list[Row] | None:
    """Returns the rows of such a request if there are many, or if their fields differ. None leaves the
    request
    to Prisma's plan, which would write rows with different fields in an order that is not fixed.
    """
    data = _resolved(request["query"]["arguments"].get("data"), variables)
    if not isinstance(data, list) or len(data) < 2:
        return None
    if not all(isinstance(row, dict) and "$type" not in row for row in data):
        return None
    if len(data) <= _FEW_ROWS and (_selects_relations(request) or _same_fields(data)):
        return None
    return data


def _same_fields(rows: Sequence[Row]) -> bool:
    return all(row.keys() == rows[0].keys() for row in rows)


def _selects_relations(request: Request) -> bool:
    """True if the answer contains related records, which Prisma's plan reads after all rows are written."""
    return any(isinstance(below, dict) for below in request["query"].get("selection", {}).values())


def _resolved(data: Any, variables: Mapping[str, Any]) -> Any:
    """Returns the list with the values of its variables; rows contain only the given fields."""
    if isinstance(data, TemplateVariable):
        return variables.get(data.name)
    if not isinstance(data, list):
        return data
    return [_resolved_row(row, variables) for row in data]


def _resolved_row(row: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(row, TemplateVariable):
        return variables.get(row.name)
    if not isinstance(row, dict):
        return row
    values = (
        (name, variables.get(value.name, ABSENT) if isinstance(value, TemplateVariable) else value)
        for name, value in row.items()
    )
    return {name: value for name, value in values if value is not ABSENT}


class RowPlans:
    """The plans for single rows of one request, by the fields of a row and the types of its values.

    The selection of the request may contain variables, which are bound with each row.
    """

    def __init__(self, prepare: Callable[[Request], Binder], request: Request) -> None:
        self._prepare = prepare
        self._request = request
        self._templates: dict[tuple[str, ...], Binder] = {}

    def bind(self, row: Row, variables: Mapping[str, Any]) -> Bound:
        """Returns the plan that writes the row, and its values. Raises `QueryError` for an invalid row."""
        fields = tuple(row)
        template = self._templates.get(fields)
        if template is None:
            if len(self._templates) >= _MAX_TEMPLATES:
                self._templates.clear()
            template = self._templates[fields] = self._prepare(self._one_row(fields))
        return template.bind({**variables, **{_ROW_PREFIX + name: value for name, value in row.items()}})

    def _one_row(self, fields: Sequence[str]) -> Request:
        query = self._request["query"]
        data = [{name: TemplateVariable(_ROW_PREFIX + name) for name in fields}]
        return {**self._request, "query": {**query, "arguments": {**query["arguments"], "data": data}}}


class ManyRows(Plan):
    """Writes rows one by one, and gives the same answer as one plan for all of them."""

    def __init__(
        self, plans: RowPlans, rows: Sequence[Row], variables: Mapping[str, Any], model: str | None
    ) -> None:
        """`variables`: the values of the request's variables."""
        super().__init__({}, model=model)
        self._plans = plans
        self._rows = rows
        self._variables = variables
        if len(rows) <= _FEW_ROWS:
            # An invalid row is refused before anything is written, as with one plan for all of them.
            for row in rows:
                plans.bind(row, variables)

    def run(self, connection: apsw.Connection, values: Mapping[str, Any]) -> Any:
        now = generators.now()
        answer: Any = None
        with Transaction(connection), _keys_checked_at_the_end(connection, self.model):
            for row in self._rows:
                checkpoint()
                plan, bound = self._plans.bind(row, self._variables)
                bound[NOW] = now
                answer = _joined(answer, plan.run(connection, bound))
        return answer

    run_json = run


@contextmanager
def _keys_checked_at_the_end(connection: apsw.Connection, model: str | None) -> Iterator[None]:
    """Checks foreign keys after the block, inside a transaction. Raises `QueryError` P2003.

    Does nothing if an earlier part of the transaction has deferred foreign keys.
    """
    deferred = connection.execute("PRAGMA defer_foreign_keys").get
    if deferred or _violates_keys(connection):
        yield
        return
    connection.execute("PRAGMA defer_foreign_keys = ON")
    try:
        yield
        if _violates_keys(connection):
            error = foreign_key_violation()
            error.meta.setdefault("modelName", model)
            raise error
    finally:
        # This forgets violations, too: after an error the rows of the block are undone.
        connection.execute("PRAGMA defer_foreign_keys = OFF")


def _violates_keys(connection: apsw.Connection) -> bool:
    return bool(connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0])


def _joined(answer: Any, row_answer: Any) -> Any:
    """Lists of created records grow, counts add up; `__typename` stays."""
    if answer is None:
        return row_answer
    if isinstance(answer, list):
        answer += row_answer
        return answer
    return {
        key: value + row_answer[key] if isinstance(value, int) else value for key, value in answer.items()
    }
