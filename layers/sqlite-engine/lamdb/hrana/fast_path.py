"""The request that clients send most, answered in one go: one query, on a stream that is closed after it.

It is answered as any other, but without a stream, a plan and its steps, which take longer than the query.
What is not this request, or fails, is left to the usual way, which begins anew: a query has changed nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import apsw
import orjson

from lamdb.access.identity import Role
from lamdb.errors import LamdbError
from lamdb.graphql.transport.wire import (
    AS_OF_HEADER,
    CONSISTENCY_HEADER,
    TIMEOUT_HEADER,
    TXID_HEADER,
    HttpResponse,
)
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.protocol.error_responses import JSON
from lamdb.hrana.statements import text as texts
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import SqlFailure
from lamdb.hrana.statements.guarding import require_no_rules
from lamdb.hrana.statements.run import bind, run
from lamdb.hrana.statements.values import decode
from lamdb.hrana.transaction.session import restore_rowid

_OTHERWISE: Final = frozenset({AS_OF_HEADER, CONSISTENCY_HEADER, TIMEOUT_HEADER, TXID_HEADER})
"""Headers with which a request takes the usual way."""
_CLOSE: Final = {"type": "close"}
_BEFORE: Final = (
    b'{"baton":null,"base_url":null,"results":[{"type":"ok","response":{"type":"execute","result":'
)
_AFTER: Final = b'}},{"type":"ok","response":{"type":"close"}}]}'


def query_of(body: Any) -> dict[str, Any] | None:
    """Returns the statement of a request that contains only one query; None for all others."""
    if type(body) is not dict or body.get("baton") is not None:
        return None
    requests = body.get("requests")
    if type(requests) is not list or len(requests) != 2 or requests[1] != _CLOSE:
        return None
    first = requests[0]
    if type(first) is not dict or first.get("type") != "execute":
        return None
    stmt = first.get("stmt")
    is_plain = type(stmt) is dict and type(stmt.get("sql")) is str and not stmt.get("named_args")
    return stmt if is_plain else None


def answer(
    engine: SqlEngine, role: Role, stmt: Mapping[str, Any], headers: Mapping[str, str]
) -> HttpResponse | None:
    """Returns the response; None if the request takes the usual way. May raise `WouldWait`."""
    if not _OTHERWISE.isdisjoint(headers):
        return None
    try:
        sql = texts.one(stmt["sql"])
        if sql.word != "SELECT" or "sql_id" in stmt or stmt.get("want_rows") is False:
            return None
        bindings = bind(sql, [decode(value) for value in stmt.get("args") or ()], {})
        lease = engine.readers(role).lease()
        with lease as connection:
            if isinstance(guard := connection.authorizer, Guard):
                require_no_rules(connection, guard)
            restore_rowid(connection, 0)
            result = run(connection, sql, bindings)
    except (apsw.Error, SqlFailure, LamdbError, TypeError):
        return None
    body = b"".join((_BEFORE, orjson.dumps(result), _AFTER))
    named = {"content-type": JSON, "cache-control": "no-store", TXID_HEADER: str(lease.txid)}
    return HttpResponse(200, named, body)
