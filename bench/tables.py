"""The tables of README.md and docs/performance.md, made of the recorded runs: `python -m bench.tables`.

`python -m bench --json bench/recorded/requests.json` and `python -m bench shapes --json
bench/recorded/shapes.json` record a run. A test compares the documents with what this module makes.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

ROOT: Final = Path(__file__).parents[1]
RECORDED: Final = ROOT / "bench/recorded"
DOCUMENTS: Final = ("README.md", "docs/performance.md")

_PLACE: Final = re.compile(r"(<!-- bench: (?P<table>\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def main() -> None:
    """Writes the tables into the documents."""
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(with_tables(path.read_text()))


def with_tables(text: str) -> str:
    """The text of a document with the tables of the recorded runs between its marks."""
    return _PLACE.sub(lambda found: f"{found[1]}{_TABLES[found['table']]()}\n{found[3]}", text)


def readme() -> str:
    """Returns the costs of requests, in short."""
    rows = [
        (one["request"], _microseconds(one["floor"]), _microseconds(one["api"]), f"{one['ratio']:.1f}")
        for one in _requests()
    ]
    return _markdown(("request", "floor", "lamDB", "ratio"), rows)


def requests() -> str:
    """Returns the same with the size of the answers and the aims."""
    rows = [
        (
            one["request"],
            f"{one['bytes']:,} bytes",
            _microseconds(one["floor"]),
            _microseconds(one["api"]),
            f"{one['ratio']:.1f}",
            "–" if one["aim"] is None else f"≤ {one['aim']:g}",
        )
        for one in _requests()
    ]
    return _markdown(("request", "answer", "floor", "API", "API / floor", "aim"), rows)


def shapes() -> str:
    """Returns the table of query shapes: milliseconds, and multiples of hand-written SQL."""
    figures = orjson.loads((RECORDED / "shapes.json").read_bytes())
    sizes = sorted({one["posts"] for one in figures})
    names = list(dict.fromkeys(one["shape"] for one in figures))
    found = {(one["shape"], one["posts"]): one for one in figures}
    head = ["shape"]
    for size in sizes:
        head += [f"SQL, {size:,}", "lamDB", "lamDB / SQL", "Prisma / SQL"]
    rows = []
    for name in names:
        row = [name]
        for size in sizes:
            one = found[name, size]
            theirs = one["prisma_ms"]
            row += [
                _milliseconds(one["sql_ms"]),
                _milliseconds(one["lamdb_ms"]),
                _times(one["ratio"]),
                "–" if theirs is None else _times(theirs / one["sql_ms"]),
            ]
        rows.append(tuple(row))
    return _markdown(head, rows)


_TABLES: Final = {"readme": readme, "requests": requests, "shapes": shapes}


def _requests() -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = orjson.loads((RECORDED / "requests.json").read_bytes())["microseconds"]
    return recorded


def _microseconds(value: float) -> str:
    return f"{value:.1f} µs" if value < 30 else f"{value:,.0f} µs"


def _milliseconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}" if ratio < 100 else f"{ratio:,.0f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
