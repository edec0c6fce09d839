"""Values on the command line: texts in files, durations, JSON objects."""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

from lamdb.errors import UsageError

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")


def text_of(given: str, what: str) -> str:
    """Returns what was given, or the content of the file that it names: `@FILE`, or `-` for standard input.

    Raises `UsageError`, which calls it `what`.
    """
    if given == "-":
        return sys.stdin.read()
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"it is not UTF-8: {error}"
        raise UsageError(
            f"{what} cannot be read from {given[1:]}: {reason}", hint="Check the path and the permissions."
        ) from None


def seconds_of(option: str, text: str) -> int:
    """Returns the seconds of a duration such as 90m, 24h or 30d. Raises `UsageError`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} {text}: it must be minutes, hours or days, such as 90m, 24h, 30d.")
    return int(found[1]) * _UNITS[found[2]]


def object_of(option: str, text: str) -> dict[str, Any]:
    """Returns the JSON object in a text. Raises `UsageError`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: it is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise UsageError(f"{option} {text}: it must be a JSON object.")
    return found
