"""PRAGMA foreign_keys, which belongs to a stream: its statements are executed on connections of others."""

import re
from typing import Any, Final

from lamdb.access.identity import Role
from lamdb.hrana.statements.errors import refused
from lamdb.hrana.statements.text import StatementText
from lamdb.hrana.statements.values import encode

_FOREIGN_KEYS: Final = re.compile(
    r"PRAGMA\s+(?:main\s*\.\s*)?foreign_keys\s*(?:=\s*(['\"]?\w+['\"]?)|\(\s*(['\"]?\w+['\"]?)\s*\))?\s*;?\s*",
    re.IGNORECASE,
)
_ON: Final = frozenset({"1", "on", "true", "yes"})


class Pragmas:
    """The settings of one stream."""

    __slots__ = ("foreign_keys", "role")

    def __init__(self, role: Role) -> None:
        self.role = role
        self.foreign_keys = True

    def answer(self, sql: StatementText, in_transaction: bool) -> dict[str, Any] | None:
        """Returns the result of a PRAGMA that belongs to the stream; None for all others.

        As in SQLite, setting it has no effect in a transaction. Raises `SqlFailure`.
        """
        found = _FOREIGN_KEYS.fullmatch(sql.text.strip())
        if found is None:
            return None
        given = found[1] or found[2]
        if given is None:
            return _result(int(self.foreign_keys))
        on = given.strip("'\"").lower() in _ON
        if not on and self.role is not Role.ADMIN:
            raise refused("not authorized: turning off foreign keys requires the role admin")
        if not in_transaction:
            self.foreign_keys = on
        return _result(None)


def _result(value: int | None) -> dict[str, Any]:
    columns = [{"name": "foreign_keys", "decltype": None}] if value is not None else []
    return {
        "cols": columns,
        "rows": [[encode(value)]] if value is not None else [],
        "affected_row_count": 0,
        "last_insert_rowid": None,
        "rows_read": 0,
        "rows_written": 0,
        "query_duration_ms": 0.0,
    }
