"""The statement that finds the records of a filter, for use inside other statements."""

import re
from collections.abc import Mapping
from typing import Any, Final

import apsw

from lamdb.errors import EngineError
from lamdb.prisma.query.plan import Plan
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.statements import compile_statement

_COLUMN: Final = r"(?:`[^`]*`\.)*`[^`]*`"
_SELECTED: Final = re.compile(rf"^SELECT (?P<table>(?:`[^`]*`\.)*)`[^`]*`(?:, {_COLUMN})*(?= FROM )")
"""The columns that a plan selects: the fields asked for and the whole id, which may have several."""


class RecordQuery:
    """A plan that reads one field of one model's records, as SQL."""

    def __init__(self, plan: Plan, rowid: str) -> None:
        """`rowid` is the column to select instead.

        Raises `EngineError` if the plan has several statements.
        """
        tree: Any = plan.tree
        while tree["type"] != "query":
            tree = tree["args"].get("expr") if isinstance(tree["args"], dict) else None
            if tree is None:
                raise EngineError("A filter needs more than one statement.")
        self._render = compile_statement(tree["args"], {})
        self._rowid = rowid

    def statement(
        self, connection: apsw.Connection, values: Mapping[str, Any]
    ) -> tuple[str, tuple[Any, ...]]:
        """Returns a SELECT of one column, the records' rowids, with the values to bind."""
        rendered = self._render(Run(connection, values, 0))
        if len(rendered) != 1:
            raise EngineError("A filter has more values than SQLite can bind.")
        sql, bound = rendered[0]
        name = self._rowid.replace("`", "``")
        made, replaced = _SELECTED.subn(lambda found: f"SELECT {found['table']}`{name}`", sql)
        if not replaced:
            raise EngineError("A filter selects something other than columns.")
        return made, tuple(bound)
