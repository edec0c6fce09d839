"""`python -m bench shapes`: query shapes beside hand-written SQL and Prisma Client on Node."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.measure import WrongAnswer
from bench.shapes.data import imported, plain, plain_file
from bench.shapes.measure import Figure, Lamdb, measure, prisma
from bench.shapes.shapes import shapes

_SIZES = (10_000, 1_000_000)
_LIMIT = 3.0
"""Times as long as hand-written SQL, beyond which a shape is marked."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench shapes", description=__doc__)
    parser.add_argument("--posts", type=int, nargs="+", default=_SIZES, help="rows in the largest table")
    parser.add_argument("--seconds", type=float, default=0.3, help="per shape and contender")
    parser.add_argument("--only", help="shapes whose name contains this")
    parser.add_argument("--folder", type=Path, help="keeps the databases here for the next run")
    parser.add_argument("--no-prisma", action="store_true", help="leave Prisma Client on Node out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    report: list[dict[str, Any]] = []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lamdb-shapes-")))
        folder = options.folder or scratch
        folder.mkdir(parents=True, exist_ok=True)
        for posts in options.posts:
            figures = _measured(posts, folder, scratch, options)
            _print(posts, figures)
            report += [_entry(posts, figure) for figure in figures]
    if options.json:
        options.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return 0


def _measured(posts: int, folder: Path, scratch: Path, options: argparse.Namespace) -> list[Figure]:
    path = plain_file(folder, posts)
    chosen = [shape for shape in shapes(posts) if options.only is None or options.only in shape.name]
    with ExitStack() as stack:
        node = None if options.no_prisma else stack.enter_context(prisma(path))
        api = Lamdb(stack.enter_context(imported(path, scratch)))
        db = plain(path)
        stack.callback(db.close)
        return [measure(shape, db, api, node, options.seconds) for shape in chosen]


def _print(posts: int, figures: list[Figure]) -> None:
    table = Table(
        title=f"{posts:,} posts",
        caption="Milliseconds, the least of several batches; all answers were the same.",
    )
    table.add_column("shape")
    for column in ("SQL", "lamDB", "Prisma", "lamDB / SQL", "Prisma / SQL"):
        table.add_column(column, justify="right")
    for one in figures:
        ratio = f"{one.ratio:.2f}"
        table.add_row(
            one.shape.name,
            f"{one.hand:,.3f}",
            f"{one.api:,.3f}",
            "–" if one.prisma is None else f"{one.prisma:,.3f}",
            ratio if one.ratio <= _LIMIT else f"[yellow]{ratio}[/]",
            "–" if one.prisma is None else f"{one.prisma / one.hand:,.1f}",
        )
    console = Console()
    console.width = max(console.width, 110)
    console.print(table)


def _entry(posts: int, one: Figure) -> dict[str, Any]:
    return {
        "posts": posts,
        "shape": one.shape.name,
        "sql_ms": one.hand,
        "lamdb_ms": one.api,
        "prisma_ms": one.prisma,
        "ratio": one.ratio,
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WrongAnswer as error:
        sys.exit(f"An answer is wrong, nothing was measured:\n{error}")
