"""Values on the command line: durations and JSON objects."""

import json
import re
from typing import Any, Final

from lamdb.errors import UsageError

_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")


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
