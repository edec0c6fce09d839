"""How long a first search takes in a process that has nothing: opening, hits, rows, two facets.

Over a small S3 that answers each request after some milliseconds. The larger database has every package three
times, the second and third time with the words of its texts shuffled.
"""

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.search.packages import DEFINITION, Package, build
from bench.storage.s3 import DATA, S3Server, serving
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, HighlightRequest, SearchRequest
from lamdb.storage import Database
from lamdb.storage.backup.importing import import_file

_FACETS: Final = (FacetRequest("section"), FacetRequest("priority"))
_SNIPPETS: Final = (HighlightRequest("name"), HighlightRequest("description", words=24))
_QUERIES: Final = {
    "two words": "spell checker",
    "two common words": "python library",
    "any of three": "network OR scanner OR tool",
    "misspelt": "terminl emulater",
    "one common word": "library",
    "as you type": "edi",
    "a question": "which program lets me edit photos and draw pictures with layers",
}
_ROUNDS: Final = 3
_COPIES: Final = 3


class Cold(NamedTuple):
    """The best of several first searches."""

    milliseconds: float
    gets: int
    mebibytes: float


def report(packages: Sequence[Package], folder: Path) -> Iterator[str]:
    """Yields the lines of a table for each database and time per request."""
    with serving(folder / "s3") as server:
        for copies in (1, _COPIES):
            documents = copies * len(packages)
            url = server.url(f"search-{documents}", DATA)
            _prepare(server, url, folder, list(_copied(packages, copies)))
            for latency in (20, 63):
                server.set_latency(latency)
                yield f"{documents} documents, {latency} ms per request: ms / GETs / MiB"
                yield ""
                yield "| search | opening alone | hits, 20 rows, 2 facets | and snippets |"
                yield "|---|---|---|---|"
                for name, text in _QUERIES.items():
                    opened = _best(server, url, None)
                    plain = _best(server, url, SearchRequest(text, facets=_FACETS))
                    full = _best(server, url, SearchRequest(text, facets=_FACETS, highlights=_SNIPPETS))
                    yield f"| {name} | {' | '.join(map(_cell, (opened, plain, full)))} |"
                yield ""
            server.set_latency(0)


def _prepare(server: S3Server, url: str, folder: Path, packages: Sequence[Package]) -> None:
    server.set_latency(0)
    path = folder / "cold.db"
    build(path, packages).close()
    with Database.open(url) as database:
        if not database.txid:
            import_file(database, path, folder)


def _copied(packages: Sequence[Package], copies: int) -> Iterator[Package]:
    chance = random.Random(1)
    yield from packages
    for number in range(1, copies):
        for package in packages:
            summary, description = (text.split() for text in (package.summary, package.description))
            chance.shuffle(summary)
            chance.shuffle(description)
            yield package._replace(
                name=f"{package.name}-v{number}", summary=" ".join(summary), description=" ".join(description)
            )


def _best(server: S3Server, url: str, request: SearchRequest | None) -> Cold:
    return min(_once(server, url, request) for _ in range(_ROUNDS))


def _once(server: S3Server, url: str, request: SearchRequest | None) -> Cold:
    server.reset()
    started = time.perf_counter()
    with Database.open(url, create=False) as database, database.reader() as connection:
        if request is None:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
        else:
            result = SearchEngine(DEFINITION).search(connection, request)
            rowids = ", ".join(str(hit.rowid) for hit in result.hits)
            connection.execute(f"SELECT * FROM Package WHERE id IN ({rowids})").fetchall()
        taken = (time.perf_counter() - started) * 1e3
    counts = server.counts()
    return Cold(taken, counts.requests["GET"], counts.bytes_read / 2**20)


def _cell(cold: Cold) -> str:
    return f"{cold.milliseconds:.0f} / {cold.gets} / {cold.mebibytes:.1f}"
