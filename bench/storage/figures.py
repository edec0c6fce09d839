"""The figures of a scenario."""

from dataclasses import dataclass
from statistics import median, quantiles

DIRECTORY = "directory"

LAMDB = "lamDB"
RESTORE = "litestream restore"
VFS = "litestream-vfs"
BARE_PUT = "a bare put of as many bytes"


def on_s3(latency_ms: float) -> str:
    """The name of the S3 store at a latency, in figures."""
    return f"S3, {latency_ms:g} ms"


@dataclass(frozen=True)
class Figure:
    """One line of a table. None: it was not measured, or has no meaning; `note` says which.

    `ms` is the median of `runs`; `requests` and `bytes_read` are of one run.
    """

    scenario: str
    case: str
    store: str
    contender: str
    ms: float | None = None
    p99_ms: float | None = None
    requests: float | None = None
    bytes_read: float | None = None
    runs: int = 1
    note: str = ""


def p99(values: list[float]) -> float | None:
    """None of too few values."""
    return quantiles(values, n=100)[-1] if len(values) >= 100 else None


def middle(values: list[float]) -> float:
    return median(values)
