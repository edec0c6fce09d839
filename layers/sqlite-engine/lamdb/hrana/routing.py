"""Chooses the function for a request of SQL over HTTP by its texts.

A proxy has to know no more, and loads nothing for it. A reader that cannot answer a request reports it, so a
wrong guess costs only one more invocation.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

PROBES: Final = re.compile(r"(?:/[^?]*)?/v[23]/?")
"""Paths by which clients find out which versions are known."""
PATHS: Final = re.compile(r"(?:/[^?]*)?/(?:v[23]/?|v[23]/pipeline|v3/cursor|v1/execute|v1/batch)")
"""Those of SQL over HTTP."""

_BLANK: Final = r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))"
_FIRST: Final = re.compile(rf"{_BLANK}*;?{_BLANK}*([A-Za-z]+)(?:{_BLANK}+([A-Za-z]+))?", re.DOTALL)
_WRITING: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER", "REINDEX", "ANALYZE"}
)
_WITH: Final = re.compile(r"\b(?:insert|update|delete|replace)\b", re.IGNORECASE)


def needs_writer(body: bytes) -> bool:
    """Returns whether a request should go to the writer: it will commit something."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if not isinstance(request, dict):
        return False
    baton = request.get("baton")
    mark = baton.split(".", 2)[1] if isinstance(baton, str) and baton.count(".") >= 2 else "i"
    in_transaction, written = mark in "rw", mark == "w"
    for text in _texts(request):
        first, second = _words(text)
        if first in ("BEGIN", "SAVEPOINT") and not in_transaction:
            in_transaction, written = True, False
        elif first in ("COMMIT", "END", "RELEASE") and in_transaction:
            if written:
                return True
            in_transaction = False
        elif first == "ROLLBACK" and second != "TO":
            in_transaction = False
        elif first in _WRITING or (first == "WITH" and _WITH.search(text)):
            if not in_transaction:
                return True
            written = True
    return False


def _texts(request: dict[str, Any]) -> Iterator[str]:
    """The statements of a request, as far as they are in it."""
    stored: dict[Any, str] = {}
    for each in _requests(request):
        match each:
            case {"type": "store_sql", "sql_id": number, "sql": str(text)}:
                stored[str(number)] = text
            case {"type": "sequence"}:
                for script in _text(each, stored):
                    yield from script.split(";")
            case {"type": "execute", "stmt": dict(stmt)}:
                yield from _text(stmt, stored)
            case {"type": "batch", "batch": {"steps": list(steps)}}:
                for step in steps:
                    if isinstance(step, dict) and isinstance(step.get("stmt"), dict):
                        yield from _text(step["stmt"], stored)


def _requests(request: dict[str, Any]) -> list[Any]:
    if "stmt" in request:
        return [{"type": "execute", "stmt": request["stmt"]}]
    if "batch" in request:
        return [{"type": "batch", "batch": request["batch"]}]
    found = request.get("requests")
    return found if isinstance(found, list) else []


def _text(stmt: dict[str, Any], stored: dict[Any, str]) -> Iterator[str]:
    text = stmt.get("sql") or stored.get(str(stmt.get("sql_id")))
    if isinstance(text, str):
        yield text


def _words(text: str) -> tuple[str, str]:
    found = _FIRST.match(text[:4096])
    return ("", "") if found is None else (found[1].upper(), (found[2] or "").upper())
