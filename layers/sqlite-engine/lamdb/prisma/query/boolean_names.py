"""Aggregates over columns that are named `true` or `false`.

SQLite renames such a column of a subquery (`sqlite3ColumnsFromExprList`), even if the name is quoted or an
alias. Prisma aggregates over a subquery:

    SELECT SUM(`true`) AS … FROM (SELECT `main`.`T`.`true` FROM …) AS `sub`

so the column gets a generated name there.
"""

import re
from typing import Any, Final

_SOURCE: Final = " FROM (SELECT "
_IN_SCHEMA: Final = re.compile(r'^\s*(?:true|false)\s|@map\((?:name:\s*)?"(?:true|false)"', re.I | re.M)
_AGGREGATED: Final = re.compile(r"\(`(true|false)`\)", re.IGNORECASE)
_SELECTED: Final = re.compile(r"\.`(true|false)`(?=, |$)", re.IGNORECASE)


def has_boolean_names(schema: str) -> bool:
    """True if a schema's text may contain a column with such a name."""
    return _IN_SCHEMA.search(schema) is not None


def rename_in(plan: Any) -> None:
    """Renames the columns in the subqueries of a query plan, in place."""
    if isinstance(plan, list):
        for each in plan:
            rename_in(each)
    elif isinstance(plan, dict):
        chunk = plan.get("chunk")
        if isinstance(chunk, str):
            plan["chunk"] = _renamed(chunk)
        for each in plan.values():
            rename_in(each)


def _renamed(sql: str) -> str:
    outer, source, rest = sql.partition(_SOURCE)
    if not source or not _AGGREGATED.search(outer):
        return sql
    columns, middle, rest = rest.partition(" FROM ")
    outer = _AGGREGATED.sub(r"(`lamdb_\1`)", outer)
    columns = _SELECTED.sub(r".`\1` AS `lamdb_\1`", columns)
    return f"{outer}{source}{columns}{middle}{rest}"
