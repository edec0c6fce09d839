"""The result of `lamdb cost` for one workload, as objects and as text."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from lamdb.cost.bill import Bill, Line, bill
from lamdb.cost.breakeven import Crossover, compare
from lamdb.cost.prices import Prices
from lamdb.cost.rivals import ALL, algolia
from lamdb.cost.workload import Workload

MILLION: Final = 1e6
KINDS: Final = ("reads", "searches", "writes")


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    work: Workload
    prices: Prices
    bill: Bill
    per_million: dict[str, float]
    rivals: tuple[Bill, ...]
    comparisons: tuple[Crossover, ...]


def report(work: Workload, prices: Prices) -> Report:
    compared = [
        *(compare(work, prices, rival, "traffic") for rival in ALL),
        *(compare(work, prices, algolia, varied) for varied in ("searches", "records")),
    ]
    return Report(
        work,
        prices,
        bill(work, prices),
        {kind: per_million(work, prices, kind) for kind in KINDS},
        tuple(rival(work, prices) for rival in ALL),
        tuple(compared),
    )


def per_million(work: Workload, prices: Prices, kind: str) -> float:
    """Returns what a million more reads, searches or writes cost, the month's own being there already."""
    return sum(amount for _, amount in more(work, prices, kind))


def more(work: Workload, prices: Prices, kind: str) -> list[tuple[Line, float]]:
    """Returns the lines that a million more change, each with what it costs more."""
    some = dataclasses.replace(work, **{kind: max(1.0, getattr(work, kind))})
    increased = dataclasses.replace(some, **{kind: getattr(some, kind) + MILLION})
    pairs = zip(bill(some, prices).lines, bill(increased, prices).lines, strict=True)
    return [(line, after.amount - line.amount) for line, after in pairs if after.amount != line.amount]


def as_json(found: Report) -> dict[str, Any]:
    return {
        "region": found.prices.region,
        "currency": found.prices.currency,
        "workload": dataclasses.asdict(found.work),
        "lines": [dataclasses.asdict(line) for line in found.bill.lines],
        "total": found.bill.total,
        "perMillion": found.per_million,
        "rivals": [
            {
                "name": each.name,
                "total": each.total,
                "note": each.note,
                "lines": list(map(dataclasses.asdict, each.lines)),
            }
            for each in found.rivals
        ],
        "breakEven": [dataclasses.asdict(each) for each in found.comparisons],
        "prices": [
            {**dataclasses.asdict(price), "tiers": [[_bound(bound), each] for bound, each in price.tiers]}
            for price in found.prices.by_key.values()
        ],
    }


def lines(found: Report) -> Iterator[str]:
    """The report for people."""
    currency, prices = found.prices.currency, found.prices
    yield f"{currency} a month, list prices of {prices.region}:"
    yield ""
    shown = [line for line in found.bill.lines if line.amount >= 0.005]
    width = max([len(line.name) for line in shown] + [20])
    for line in shown:
        price = prices[line.price]
        yield (
            f"  {line.name:{width}}  {line.amount:12,.2f}   {amount(line.quantity)} × {price.first:.6g}"
            f" per {price.unit}   ({line.formula})"
        )
    rest = found.bill.total - sum(line.amount for line in shown)
    if rest:
        yield f"  {'everything else':{width}}  {rest:12,.2f}"
    yield f"  {'total':{width}}  {found.bill.total:12,.2f}"
    yield ""
    for kind, cost in found.per_million.items():
        yield f"  {f'a million more {kind}':{width}}  {cost:12,.2f}"
    yield ""
    yield "The same work elsewhere:"
    yield ""
    for each in found.rivals:
        yield f"  {each.name:{width}}  {each.total:12,.2f}   {each.note}"
    yield ""
    yield "Break-even:"
    yield ""
    for comparison in found.comparisons:
        yield f"  {sentence(comparison)}"
    unseen = sorted(price.key for price in prices.by_key.values() if price.seen == "not seen")
    if unseen:
        yield ""
        yield f"Prices that could not be verified: {', '.join(unseen)}."


def sentence(comparison: Crossover) -> str:
    """A comparison in words."""
    start = f"{comparison.rival}, by {comparison.varied}: {comparison.at_first} is"
    if not comparison.crossings:
        return f"{start} always cheaper."
    first, *others = comparison.crossings
    parts = [f"{start} cheaper up to {_at(comparison.varied, first.value)}, {first.cheaper} from there"]
    parts += [f"{each.cheaper} from {_at(comparison.varied, each.value)}" for each in others]
    return ", ".join(parts) + "."


def _at(varied: str, value: float) -> str:
    if varied == "traffic":
        return f"{amount(value)} times this traffic"
    return f"{amount(value)} {varied}"


def amount(value: float) -> str:
    """A quantity to three digits, with k, M, G."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return (
                f"{value / factor:.3g}{suffix}"
                if value < 999.5 * factor
                else f"{value / factor:,.0f}{suffix}"
            )
    return f"{value:.3g}"


def _bound(bound: float) -> float | None:
    return None if bound == float("inf") else bound
