"""SQL on a target: statements, and transactions that last from one to the next.

client = SqlClient(target)
result = client.execute("SELECT name FROM Tag WHERE id = ?", [7])
result.rows  # [["news"]]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from lamdb.cli.targets.sql import PIPELINE, SqlTarget
from lamdb.errors import QueryError, UsageError
from lamdb.graphql.transport.wire import TXID_HEADER
from lamdb.hrana.statements.text import CONTROL, Kind, many
from lamdb.hrana.statements.values import SqlValue, decode, encode

type Arguments = Sequence[SqlValue] | Mapping[str, SqlValue]
type Json = dict[str, Any]

_OPENING: Final = frozenset({Kind.BEGIN, Kind.BEGIN_IMMEDIATE, Kind.BEGIN_READ_ONLY, Kind.SAVEPOINT})
_INSERTING: Final = frozenset({"INSERT", "REPLACE", "WITH"})
_CHANGING: Final = _INSERTING | {"UPDATE", "DELETE"}
_CLOSE: Final[Json] = {"type": "close"}


@dataclass(frozen=True, slots=True)
class StatementResult:
    """The result of a statement: rows, and the number of rows that it changed.

    - `rowid`: of the row that was inserted last; None unless the statement inserts.
    - `is_change`: whether the statement changes rows, be it none: neither a query, nor DDL, nor BEGIN.
    """

    columns: list[str]
    rows: list[list[SqlValue]]
    changes: int
    rowid: int | None
    is_change: bool = True


class SqlClient:
    """Statements on one database, one after the other. `headers` go along with each request."""

    def __init__(self, target: SqlTarget, headers: Mapping[str, str] | None = None) -> None:
        self._target = target
        self._headers = dict(headers or {})
        self._baton: str | None = None
        self.in_transaction = False
        self.txid: str | None = None
        """The newest transaction seen, if it was told."""

    def execute(self, sql: str, arguments: Arguments = ()) -> StatementResult:
        """Returns what one statement gives. Raises `QueryError`, and as `SqlTarget.send`."""
        asked: list[Json] = [{"type": "execute", "stmt": _statement(sql, arguments)}]
        lasts = self.in_transaction or _opens(sql)
        asked.append({"type": "get_autocommit"} if lasts else _CLOSE)
        answered = self._send(asked)
        if lasts:
            self.in_transaction = not _response(answered[1])["is_autocommit"]
            if not self.in_transaction:
                self.close()
        return _result(_response(answered[0])["result"], sql)

    def script(self, text: str, arguments: Arguments = ()) -> list[StatementResult]:
        """Returns what each statement of a script gives; the script is one transaction.

        A script that begins or ends transactions itself is executed as it is, up to the first error.
        Raises `QueryError`, `UsageError`, and as `SqlTarget.send`.
        """
        statements = many(text)
        if not statements:
            raise UsageError("there is no statement", hint="Give SQL such as `SELECT 1`.")
        if len(statements) == 1:
            return [self.execute(statements[0].text, arguments)]
        if arguments:
            raise UsageError("--params are for one statement, and there are several")
        if any(each.kind in CONTROL or each.word == "PRAGMA" for each in statements):
            return [self.execute(each.text) for each in statements]
        return self._in_transaction([each.text for each in statements])

    def close(self) -> None:
        """Ends the stream, and rolls back what is open in it."""
        if self._baton is not None:
            self._send([_CLOSE])
        self.in_transaction = False

    def _in_transaction(self, statements: Sequence[str]) -> list[StatementResult]:
        every = ["BEGIN", *statements, "COMMIT"]
        steps = [
            {"stmt": _statement(sql, ()), "condition": {"type": "ok", "step": index - 1} if index else None}
            for index, sql in enumerate(every)
        ]
        answered = self._send([{"type": "batch", "batch": {"steps": steps}}, _CLOSE])
        found = _response(answered[0])["result"]
        error = next((each for each in found["step_errors"] if each is not None), None)
        if error is not None:
            raise _failure(error)
        return list(map(_result, found["step_results"][1:-1], statements))

    def _send(self, requests: list[Json]) -> list[Json]:
        headers = dict(self._headers)
        if self.txid is not None:
            headers.setdefault(TXID_HEADER, self.txid)
        body = orjson.dumps({"baton": self._baton, "requests": requests})
        self._baton = None
        try:
            response = self._target.send(PIPELINE, body, headers)
        except Exception:
            self.in_transaction = False
            raise
        self.txid = response.headers.get(TXID_HEADER, self.txid)
        answer = orjson.loads(response.body)
        self._baton = answer["baton"]
        results: list[Json] = answer["results"]
        return results


def _opens(sql: str) -> bool:
    return any(each.kind in _OPENING for each in many(sql))


def _statement(sql: str, arguments: Arguments) -> Json:
    if isinstance(arguments, Mapping):
        named = [{"name": name, "value": _encode(value)} for name, value in arguments.items()]
        return {"sql": sql, "named_args": named}
    return {"sql": sql, "args": [_encode(value) for value in arguments]}


def _encode(value: SqlValue) -> Json:
    return encode(int(value) if isinstance(value, bool) else value)


def _response(answer: Json) -> Json:
    if answer["type"] == "error":
        raise _failure(answer["error"])
    response: Json = answer["response"]
    return response


def _failure(error: Json) -> QueryError:
    message = str(error["message"]).removeprefix("SQLite error: ")
    code = error.get("extended_code") or error.get("code") or "SQLITE_ERROR"
    return QueryError(message, code=str(code), hint="")


def _result(found: Json, sql: str) -> StatementResult:
    rowid = found.get("last_insert_rowid")
    word = next((each.word for each in many(sql)), "")
    return StatementResult(
        columns=[str(column["name"]) for column in found["cols"]],
        rows=[[decode(value) for value in row] for row in found["rows"]],
        changes=int(found["affected_row_count"]),
        rowid=int(rowid) if rowid is not None and word in _INSERTING else None,
        is_change=word in _CHANGING,
    )
