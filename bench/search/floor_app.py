"""FTS5 by hand behind HTTP: an RSGI application that answers the searches of `bench.search.http`.

All words must occur, the last may be unfinished. The database is the file that the environment variable
`BENCH_FLOOR` names.
"""

import os
import re
from typing import Any

import apsw
import orjson

_HEADERS = [("content-type", "application/json")]

_connection = apsw.Connection(os.environ["BENCH_FLOOR"], flags=apsw.SQLITE_OPEN_READONLY)
_connection.execute("PRAGMA cache_size = -65536")

_FOUND = (
    " FROM Package_search JOIN Package p ON p.id = Package_search.rowid WHERE Package_search MATCH ?"
    " AND rank MATCH 'bm25(4.0, 4.0, 1.0)' ORDER BY rank LIMIT ?"
)
_COUNT = "SELECT count(*) FROM Package_search WHERE Package_search MATCH ?"
_HITS = f"SELECT p.name, p.summary{_FOUND}"
_FULL = (
    "SELECT p.name, p.summary, highlight(Package_search, 1, '<mark>', '</mark>'),"
    f" snippet(Package_search, 2, '<mark>', '</mark>', '…', 24){_FOUND}"
)
_FACET = (
    "SELECT s.{0}, count(*) FROM Package_search JOIN _lamdb_search_Package_side s"
    " ON s.docid = Package_search.rowid WHERE Package_search MATCH ? GROUP BY 1 ORDER BY 2 DESC LIMIT 10"
)
_FACETS = ("section", "priority")


def answer(body: bytes) -> bytes:
    """Returns the response to a request."""
    request = orjson.loads(body)
    words = re.findall(r"\w+", request["variables"]["query"].lower())
    match = " AND ".join(f'"{word}"' for word in words) + "*"
    found: dict[str, Any] = {"totalCount": _connection.execute(_COUNT, (match,)).get}
    if request["query"].startswith("query Full"):
        found["facets"] = [
            {
                "field": name,
                "values": [
                    {"value": value, "count": count}
                    for value, count in _connection.execute(_FACET.format(name), (match,))
                ],
            }
            for name in _FACETS
        ]
        rows = _connection.execute(_FULL, (match, 20))
        found["hits"] = [
            {"node": {"name": name, "summary": summary}, "highlight": marked, "snippet": snippet}
            for name, summary, marked, snippet in rows
        ]
    else:
        rows = _connection.execute(_HITS, (match, 10))
        found["hits"] = [{"node": {"name": name, "summary": summary}} for name, summary in rows]
    return orjson.dumps({"data": {"searchPackage": found}})


async def app(_scope: Any, wire: Any) -> None:
    wire.response_bytes(200, _HEADERS, answer(await wire()))
