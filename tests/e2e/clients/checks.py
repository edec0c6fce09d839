"""Named checks of one client, run in turn; what each found is printed as one JSON object."""

import json
import traceback
from collections.abc import Callable

BIG = 2**62 + 1
BYTES = bytes([0, 1, 2, 253, 254, 255])
ROWS = 10_000


def run(checks: list[Callable[[], None]]) -> None:
    """Prints null or the error for each check, by the name of its function."""
    found = {}
    for check in checks:
        try:
            check()
            found[check.__name__] = None
        except Exception:  # noqa: BLE001
            found[check.__name__] = traceback.format_exc()
    print(json.dumps(found))


def fails(work: Callable[[], object], part: str) -> None:
    """Expects an error that has `part` in its text."""
    try:
        work()
    except Exception as error:
        if part in str(error):
            return
        raise AssertionError(f"{part!r} is not in {error!r}") from error
    raise AssertionError(f"nothing failed where {part!r} was expected")
