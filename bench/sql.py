"""Requests per second of SQL over HTTP: `python -m bench.sql`.

An autocommit query by its key, as clients send it (`execute` and `close` in a pipeline), to `lamdb serve`;
the same query by hand to the floor of `bench.serve`, behind granian. Both take turns under wrk.
"""

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import httpx
import orjson

from bench.data import Size
from bench.serve import CannotMeasure, floor_server, lamdb_server, load_script, requests_per_second
from bench.workloads import WORKLOADS

_BODIES = 200
_SQL = "SELECT id, title, views, published, createdAt, authorId FROM Post WHERE id = ?"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sql", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--posts", type=int, default=Size().posts, help="rows in the table")
    options = parser.parse_args()
    size = Size(posts=options.posts, authors=max(1, min(1_000, options.posts // 10)))
    with tempfile.TemporaryDirectory(prefix="lamdb-bench-") as folder:
        rates = measure(size, options.seconds, options.turns, Path(folder))
    floor, sql = median(rates["floor"]), median(rates["sql"])
    print(f"floor {floor:,.0f}/s, SQL over HTTP {sql:,.0f}/s: {sql / floor:.2f} of the floor")
    return 0


def measure(size: Size, seconds: float, turns: int, folder: Path) -> dict[str, list[float]]:
    """Requests per second of both, turn by turn. Raises `CannotMeasure`."""
    if shutil.which("wrk") is None:
        raise CannotMeasure("wrk is not installed (apt-get install wrk)")
    unique = next(work for work in WORKLOADS if work.field == "findUniquePost")
    documents = unique.bodies(size, _BODIES)
    pipelines = [_pipeline(orjson.loads(body)["variables"]["id"]) for body in documents]
    with ExitStack() as stack:
        lamdb = stack.enter_context(lamdb_server(size, folder)).url.removesuffix("/graphql") + "/v2/pipeline"
        floor = stack.enter_context(floor_server(size, folder)).url
        _compare(lamdb, pipelines[0], floor, documents[0])
        scripts = {
            lamdb: load_script(folder, "sql", pipelines),
            floor: load_script(folder, "floor", documents),
        }
        rates: dict[str, list[float]] = {"floor": [], "sql": []}
        for _ in range(turns):
            rates["floor"].append(requests_per_second(floor, scripts[floor], seconds))
            rates["sql"].append(requests_per_second(lamdb, scripts[lamdb], seconds))
    return rates


def _pipeline(key: int) -> bytes:
    stmt = {"sql": _SQL, "args": [{"type": "integer", "value": str(key)}], "want_rows": True}
    return orjson.dumps({"baton": None, "requests": [{"type": "execute", "stmt": stmt}, {"type": "close"}]})


def _compare(lamdb: str, pipeline: bytes, floor: str, document: bytes) -> None:
    """Raises `CannotMeasure` if the two do not find the same row."""
    headers = {"content-type": "application/json"}
    (only, _) = httpx.post(lamdb, content=pipeline, headers=headers).json()["results"]
    ((key, title, *_),) = only["response"]["result"]["rows"]
    found = httpx.post(floor, content=document, headers=headers).json()["data"]["findUniquePost"]
    if (int(key["value"]), title["value"]) != (found["id"], found["title"]):
        raise CannotMeasure("the servers answer differently")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotMeasure as error:
        sys.exit(str(error))
