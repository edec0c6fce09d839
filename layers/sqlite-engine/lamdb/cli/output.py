"""The output of commands: text for people, or JSON for programs (`--json`)."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from lamdb.prisma.migrate.settling import SettledColumn

# The commands print what these modules log.
for _name in ("lamdb.server", "lamdb.deployment", "lamdb.operator"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_UNITS = ("bytes", "KB", "MB", "GB", "TB")

type Progress = Callable[[int, int], None]
"""A callback: (bytes done, bytes in all)."""


class CommandOutput:
    """The output of one command. `is_json`: one JSON object and nothing else."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json

    def result(self, value: object, text: str | Iterable[str]) -> None:
        """Prints the result: `value` as JSON, or the lines of `text`."""
        if self.is_json:
            print_json(value)
            return
        for line in [text] if isinstance(text, str) else text:
            print(line)

    def announce(self, lines: Iterable[str]) -> None:
        """Prints lines that come before the result, and are no part of it."""
        if not self.is_json:
            for line in lines:
                print(line)

    def progress_bar(self, task: str, *, of_bytes: bool = True) -> AbstractContextManager[Progress]:
        """Returns a progress bar on standard error, if that is a terminal; of records unless `of_bytes`."""
        from lamdb.cli import progress  # rich takes a while to load

        return nullcontext(progress.ignored) if self.is_json else progress.bar(task, of_bytes=of_bytes)

    def waiting(self, task: str) -> AbstractContextManager[None]:
        """Returns a spinner on standard error, if that is a terminal, for work of unknown length."""
        from lamdb.cli import progress

        return nullcontext() if self.is_json else progress.spinner(task)


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


def fields_of(record: "DataclassInstance") -> dict[str, object]:
    """The fields of a dataclass as JSON has them: names in camelCase."""
    return {_camel(name): value for name, value in asdict(record).items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def lines_of_values(values: "Iterable[SettledColumn]") -> Iterator[str]:
    """The columns whose values were not in the form of their type."""
    for column in values:
        yield f"{'warning: ' if column.left else ''}{column}"
