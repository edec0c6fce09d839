"""Searches per second over HTTP: `lamdb serve`, and FTS5 by hand behind granian, one process each, under wrk.

16 connections ask the judged queries in turn. What FTS5 does by hand is in `bench.search.floor_app`: less,
since it knows no misspelt words and orders by its own rank alone. lamDB keeps the results of recent searches.
So there are two rates: of searches that were asked before, and of new ones, which differ from each other in
spaces that mean nothing.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import apsw
import httpx
import orjson

from bench.search.judged import Kind, judged
from bench.search.packages import Package, build
from bench.serve import CannotMeasure, load_script, requests_per_second, serving_app, serving_lamdb
from lamdb.search.upkeep import settle

_MEMORY: Final = "256MiB"
"""lamDB's budget for caches, in which the whole database fits, as it fits into the other's memory."""
_SECONDS: Final = 4.0
_TURNS: Final = 3
_WARM_UP: Final = 60
_VARIANTS: Final = 20
"""Spellings of each query: more are asked between two equal ones than lamDB keeps results."""
_SCHEMA: Final = """
datasource db {
  provider = "sqlite"
}

/// @lamdb.search name^4 summary^4 description
/// @lamdb.search.facets section priority
/// @lamdb.search.rank dependants
/// @lamdb.search.language en
model Package {
  id          Int     @id @default(autoincrement())
  name        String
  summary     String?
  description String?
  section     String?
  priority    String?
  installed   Int?
  dependants  Int?
}
"""
_INSERT: Final = (
    "INSERT INTO Package (name, summary, description, section, priority, installed, dependants)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_HITS: Final = (
    "query Hits($query: String!) { searchPackage(query: $query, take: 10)"
    " { totalCount hits { node { name summary } } } }"
)
_FULL: Final = (
    "query Full($query: String!) { searchPackage(query: $query, take: 20, facets: ["
    "{ field: section }, { field: priority }]) { totalCount facets { field values { value count } }"
    " hits { highlight(field: summary) snippet(field: description, words: 24) node { name summary } } } }"
)


class Rate(NamedTuple):
    """Searches per second."""

    what: str
    floor: float
    lamdb: float


def measure(packages: Sequence[Package], folder: Path) -> Iterator[Rate]:
    """Yields the rates of each kind of search; both servers take turns. Raises `CannotMeasure`."""
    if shutil.which("wrk") is None:
        raise CannotMeasure("wrk is not installed (apt-get install wrk)")

    def fill(connection: apsw.Connection) -> None:
        connection.executemany(_INSERT, packages)
        settle(connection)

    with ExitStack() as stack:
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="http-", dir=folder)))
        build(own / "floor.db", packages).close()
        lamdb = stack.enter_context(serving_lamdb(_SCHEMA, fill, own, LAMDB_MEMORY=_MEMORY)).url
        floor = stack.enter_context(serving_app("bench.search.floor_app:app", own / "floor.db")).url
        for what, document, kind, variants in (
            ("10 hits, new", _HITS, Kind.CLEAN, _VARIANTS),
            ("10 hits, asked before", _HITS, Kind.CLEAN, 1),
            ("20 hits, two facets, highlights, new", _FULL, Kind.CLEAN, _VARIANTS),
            ("the same, asked before", _FULL, Kind.CLEAN, 1),
            ("the same, new and misspelt", _FULL, Kind.MISSPELT, _VARIANTS),
        ):
            bodies = [
                orjson.dumps({"query": document, "variables": {"query": " " * spaces + each.text(kind)}})
                for spaces in range(variants)
                for each in judged()
            ]
            _require_hits(lamdb, floor)
            for url in (floor, lamdb):
                for body in bodies[:_WARM_UP]:
                    httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=60)
            script = load_script(own, "searches", bodies)
            rates: dict[str, list[float]] = {lamdb: [], floor: []}
            for url in (floor, lamdb) * _TURNS:
                rates[url].append(requests_per_second(url, script, _SECONDS))
            yield Rate(what, median(rates[floor]), median(rates[lamdb]))


def _require_hits(*urls: str) -> None:
    """Raises `CannotMeasure` unless all find a spell checker, and facets."""
    for url in urls:
        for document in (_HITS, _FULL):
            body = {"query": document, "variables": {"query": "spell checker"}}
            answer = httpx.post(url, json=body).raise_for_status().json()
            found = answer.get("data", {}).get("searchPackage", {})
            names = [hit["node"]["name"] for hit in found.get("hits", ())]
            if not any("spell" in name for name in names):
                raise CannotMeasure(f"{url} does not find a spell checker: {str(answer)[:300]}")
            if document == _FULL and not found["facets"][0]["values"]:
                raise CannotMeasure(f"{url} counts no facets")
