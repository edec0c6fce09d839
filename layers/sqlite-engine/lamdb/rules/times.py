"""Times as DateTime columns store them: ISO 8601 in UTC with milliseconds."""

import re
from datetime import UTC, datetime
from typing import Final

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?")


def stored_time(text: str) -> str | None:
    """Returns a time as a DateTime is stored; None if the text is none. Without an offset it is in UTC."""
    if not _TIME.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.isoformat(timespec="milliseconds")
