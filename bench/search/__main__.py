"""`python -m bench.search`: print how good, how quick and how costly full-text search is."""

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import apsw

from bench.search import cold, collection, fuzz, http, warm, writes
from bench.search.contenders import contenders
from bench.search.corpus import Corpus
from bench.search.judged import Half, Kind, judged, quality
from bench.search.packages import DEFINITION, Package, build, fetch_lists, read_packages

DATA = Path(__file__).parents[2] / "build" / "bench-search"
SCENARIOS = ("quality", "warm", "http", "cold", "writes", "fuzz")
_TEXTS = 100_000


def main() -> None:
    options = _options()
    folder: Path = options.data.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.collection:
        for source in options.collection:
            print(*collection.report(source, folder / "minisearch"), sep="\n", end="\n\n", flush=True)
        return
    fetch_lists(folder / "lists")
    packages = read_packages(folder / "lists")
    print(f"{len(packages)} packages; load average {os.getloadavg()[0]:.1f}\n")
    with build(folder / "packages.db", packages) as connection:
        connection.execute("PRAGMA cache_size = -200000")
        for scenario in options.only or SCENARIOS:
            print(f"## {scenario}\n")
            for line in _run(scenario, connection, packages, folder, options.half):
                print(line, flush=True)
            print()


def _run(
    scenario: str, connection: apsw.Connection, packages: list[Package], folder: Path, half: Half
) -> Iterator[str]:
    if scenario == "quality":
        yield from _quality(connection, packages, folder, half)
    elif scenario == "warm":
        yield from _rows("CPU ms", "searches", "p50", "p90", "most")
        for times in warm.measure(connection):
            numbers = (f"{number:.1f}" for number in times[2:])
            yield from _rows(times.what, str(times.searches), *numbers, head=False)
    elif scenario == "http":
        yield from _rows("searches per second", "FTS5 by hand", "lamDB", "ratio")
        for rate in http.measure(packages, folder):
            cells = f"{rate.floor:,.0f}", f"{rate.lamdb:,.0f}", f"{rate.lamdb / rate.floor:.2f}"
            yield from _rows(rate.what, *cells, head=False)
    elif scenario == "cold":
        yield from cold.report(packages, folder)
    elif scenario == "fuzz":
        yield from _rows(f"the slowest of {_TEXTS} texts", "CPU ms")
        for slow in fuzz.run(connection, _TEXTS):
            yield from _rows(ascii(slow.text).replace("|", "&#124;"), f"{slow.milliseconds:.0f}", head=False)
    else:
        yield from _rows("LTX bytes per inserted row", "p50", "p90", "most")
        for each in writes.single_rows(packages, folder):
            yield from _rows(each.what, *map(str, each[1:]), head=False)
        filled = writes.bulk(connection)
        yield ""
        yield (
            f"{filled.documents} documents indexed in {filled.seconds:.1f} s of CPU; "
            f"the process grew by {filled.mebibytes:.0f} MiB."
        )


def _quality(connection: apsw.Connection, packages: list[Package], folder: Path, half: Half) -> Iterator[str]:
    queries = judged(half)
    yield f"{len(queries)} queries, {half.name.lower()} half: % first / % in ten / mean reciprocal place\n"
    yield from _rows("engine", *(kind.value for kind in Kind))
    names = dict(connection.execute("SELECT id, name FROM Package"))
    corpus = Corpus(connection, DEFINITION, names)
    for name, search in contenders(corpus, folder / "minisearch").items():
        yield from _rows(name, *(str(quality(queries, kind, search)) for kind in Kind), head=False)


def _rows(*cells: str, head: bool = True) -> Iterable[str]:
    yield f"| {' | '.join(cells)} |"
    if head:
        yield f"|{'---|' * len(cells)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--only", action="append", choices=SCENARIOS)
    parser.add_argument(
        "--collection",
        type=Path,
        action="append",
        help="judge the engines by a collection in the form of BEIR: corpus.jsonl, queries.jsonl, qrels.tsv",
    )
    parser.add_argument("--data", type=Path, default=DATA, help="where lists and databases are kept")
    parser.add_argument(
        "--half", type=lambda name: Half[name.upper()], default=Half.REPORTED, help="tuning or reported"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
