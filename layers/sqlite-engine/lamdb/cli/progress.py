"""Progress of long commands on standard error, if that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def ignored(done: int, total: int) -> None:
    """A callback that shows nothing."""


@contextmanager
def bar(task: str, *, of_bytes: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; yields a callback (done, in all), in bytes or whatever is counted."""
    console = Console(stderr=True)
    counter = DownloadColumn() if of_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counter, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = progress.add_task(task, total=None)
        yield lambda done, total: progress.update(shown, completed=done, total=total)


@contextmanager
def spinner(task: str) -> Iterator[None]:
    """A spinner, for work of unknown length."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(task, total=None)
        yield
