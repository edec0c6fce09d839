"""Prices, each with its source and its date, from a JSON file.

The file has the currency, `regions` (AWS's prices by region) and `everywhere` (other vendors' prices). An
entry is

    {"key": "s3.put", "unit": "PUT or LIST", "price": 5e-6,
     "source": URL, "date": "2026-11-28", "seen": "vendor"}

`tiers` in place of `price` are pairs of an upper bound and a price, the last bound null. `free` is the
permanent monthly allowance of each AWS account; `included` is what the vendor's plan contains.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from lamdb.errors import SettingsError

DEFAULT_REGION: Final = "us-east-1"

SEEN: Final = {
    "vendor": "read in the vendor's own documentation",
    "third party": "read on another's page that quotes the vendor",
    "not seen": "not verified: no page with this figure could be read",
}
"""How a price was verified."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one unit; the bounds of `tiers` are units in a month, the last is infinite."""

    key: str
    unit: str
    tiers: tuple[tuple[float, float], ...]
    source: str
    date: str
    seen: str
    free: float = 0.0
    included: float = 0.0

    @property
    def first(self) -> float:
        """The price of a unit in the first tier."""
        return self.tiers[0][1]

    def of(self, quantity: float, *, free_tier: bool = False) -> float:
        """Returns what a month's `quantity` costs."""
        left = max(0.0, quantity - self.included - (self.free if free_tier else 0.0))
        amount, below = 0.0, 0.0
        for bound, price in self.tiers:
            amount += max(0.0, min(left, bound) - below) * price
            below = bound
        return amount


@dataclass(frozen=True, slots=True)
class Prices:
    region: str
    currency: str
    by_key: Mapping[str, Price]

    def __getitem__(self, key: str) -> Price:
        return self.by_key[key]


def load(region: str = DEFAULT_REGION, path: str | None = None) -> Prices:
    """Returns the prices of a region, from lamDB's own file or from another of the same form.

    Raises `SettingsError` if the file cannot be read, lacks a price, or does not have the region.
    """
    own = _parsed(files("lamdb.cost").joinpath("prices.json").read_text())
    given = own if path is None else _parsed(_text(path))
    regions = given.get("regions", {})
    if not isinstance(regions, dict) or region not in regions:
        known = ", ".join(sorted(regions)) or "none"
        raise SettingsError(
            f"there are no prices of the region {region}",
            hint=f"Known: {known}. Give a file with others by --prices; docs/cost.md describes its form.",
        )
    entries = [*regions[region], *given.get("everywhere", own["everywhere"])]
    found = {price.key: price for price in map(_price, entries)}
    wanted = {each["key"] for each in [*own["regions"][DEFAULT_REGION], *own["everywhere"]]}
    if missing := sorted(wanted - found.keys()):
        raise SettingsError(f"the prices of {region} lack {', '.join(missing)}")
    return Prices(region, str(given.get("currency", "USD")), found)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the prices cannot be read: {error}") from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"the file of prices is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise SettingsError("the file of prices is not a JSON object")
    return parsed


def _price(entry: Any) -> Price:
    try:
        pairs = entry.get("tiers") or [[None, entry["price"]]]
        tiers = tuple((math.inf if bound is None else float(bound), float(price)) for bound, price in pairs)
        allowances = (float(entry.get("free", 0)), float(entry.get("included", 0)))
        texts = [str(entry[name]) for name in ("key", "unit", "source", "date", "seen")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"a price is incomplete or has no number: {entry!r} ({error})") from None
    bounds = [bound for bound, _ in tiers]
    numbers = [*(price for _, price in tiers), *allowances]
    usable = all(math.isfinite(number) and number >= 0 for number in numbers)
    if not usable or bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
        raise SettingsError(f"a price is negative, or its tiers do not rise to null: {entry!r}")
    key, unit, source, date, seen = texts
    if seen not in SEEN:
        raise SettingsError(f"the price {key} is seen as {seen!r}", hint=f"Use one of: {', '.join(SEEN)}.")
    return Price(key, unit, tiers, source, date, seen, *allowances)
