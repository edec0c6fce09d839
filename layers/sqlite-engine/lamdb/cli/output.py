"""The output of commands: figures for people, JSON for programs, and a progress bar on the terminal."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lamdb.prisma.migrate.settling import Settled

# The commands print what these modules log.
for _name in ("lamdb.server", "lamdb.deployment", "lamdb.operator"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def size_in_words(size: float) -> str:
    """`size` in bytes, to three digits."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.3g} {_UNITS[unit]}"


def moment_in_words(text: str) -> str:
    """A moment in ISO 8601 and UTC, as people read it."""
    return text.replace("T", " ").replace("Z", " UTC")


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def print_values(values: Iterable[Settled]) -> None:
    """The columns whose values were not in the form of their type."""
    for column in values:
        print(f"{'warning: ' if column.left else ''}{column}")


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal; it yields a callback (bytes done, bytes in
    all)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def waiting(what: str, *, quiet: bool) -> Iterator[None]:
    """A spinner on standard error, if that is a terminal, for work of unknown length."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        progress.add_task(what, total=None)
        yield
