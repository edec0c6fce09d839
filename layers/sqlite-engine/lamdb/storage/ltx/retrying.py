"""Reading files that compaction may delete between their listing and their reading."""

from collections.abc import Callable
from typing import Final

from lamdb.errors import StorageError
from lamdb.storage.ltx.replica import FileGone

ATTEMPTS: Final = 5
"""Attempts to list and read files. Each one fails only if compaction is quicker, which is rare."""


def retry_gone[T](read: Callable[[], T], failed: Callable[[FileGone], StorageError]) -> T:
    """Returns the result of `read`, which lists and reads files and is repeated if one of them is deleted.

    Raises the error that `failed` returns for the last failure.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except FileGone:
            continue
    try:
        return read()
    except FileGone as error:
        raise failed(error) from error
