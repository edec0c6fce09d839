"""A picture of the bills by traffic, as SVG."""

import math
from pathlib import Path
from typing import Any, Final

from lamdb.cost.bill import Bill, bill
from lamdb.cost.prices import Prices
from lamdb.cost.rivals import ALL
from lamdb.cost.workload import Workload
from lamdb.errors import SettingsError, TargetError

FACTORS: Final = tuple(10 ** (step / 4) for step in range(-8, 13))
"""Factors of the traffic, from a hundredth to a thousandfold."""


def series(work: Workload, prices: Prices) -> dict[str, list[tuple[float, float]]]:
    """Returns, by the name of each database, requests in a month and what they cost."""
    found: dict[str, list[tuple[float, float]]] = {}
    for factor in FACTORS:
        scaled = work.scaled(factor)
        bills: list[Bill] = [bill(scaled, prices), *(rival(scaled, prices) for rival in ALL)]
        for each in bills:
            found.setdefault(each.name, []).append((scaled.requests, each.total))
    return found


def write(path: str, work: Workload, prices: Prices) -> None:
    """Writes the picture.

    Raises `SettingsError` without the library, `TargetError` if the file cannot be written.
    """
    pygal = _library()
    drawn = series(work, prices)
    chart = pygal.XY(
        js=[],
        title=f"{prices.currency} a month by requests a month ({prices.region})",
        x_title="requests a month",
        y_title=f"{prices.currency} a month",
        xrange=(
            math.log10(max(1.0, work.requests * FACTORS[0])),
            math.log10(max(10.0, work.requests * FACTORS[-1])),
        ),
        x_value_formatter=_power,
        value_formatter=_power,
        dots_size=1.5,
    )
    for name, points in drawn.items():
        # The library has a logarithmic scale for one axis only: both are given as logarithms.
        chart.add(name, [(math.log10(max(1.0, x)), math.log10(max(0.01, y))) for x, y in points])
    try:
        Path(path).write_bytes(chart.render())
    except OSError as error:
        raise TargetError(f"the chart cannot be written: {error}") from None


def _power(exponent: float) -> str:
    value: float = 10**exponent
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _library() -> Any:
    try:
        import pygal  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise SettingsError(
            "pygal, which draws --chart, is not installed",
            hint="Install it: pip install 'lamdb[charts]'",
        ) from None
    return pygal
