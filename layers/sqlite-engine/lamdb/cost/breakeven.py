"""Where two bills are equal while one input grows and the others stay."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from lamdb.cost.bill import Bill, bill
from lamdb.cost.prices import Prices
from lamdb.cost.workload import Workload

LEAST: Final = 1.0
MOST: Final = 1e12
_STEPS_PER_DECADE: Final = 8
_HALVINGS: Final = 60

type Rival = Callable[[Workload, Prices], Bill]


@dataclasses.dataclass(frozen=True, slots=True)
class Crossing:
    """At `value` of the input the bills are equal; `cheaper` is cheaper up to the next crossing."""

    value: float
    cheaper: str


@dataclasses.dataclass(frozen=True, slots=True)
class Crossover:
    """`at_first` is cheaper from the least value of the input up to the first crossing."""

    rival: str
    varied: str
    at_first: str
    crossings: tuple[Crossing, ...]


def compare(work: Workload, prices: Prices, rival: Rival, varied: str) -> Crossover:
    """Returns where lamDB and a rival cost the same while the input `varied` goes from 1 to 10^12.

    `varied` is the name of an input, or `traffic` for reads, writes and searches together, as a factor.
    """
    theirs = rival(work, prices).name

    def difference(value: float) -> float:
        changed = work.scaled(value) if varied == "traffic" else work.with_input(varied, value)
        return bill(changed, prices).total - rival(changed, prices).total

    def cheaper(value: float) -> str:
        return "lamDB" if difference(value) <= 0 else theirs

    steps = range(round(12 * _STEPS_PER_DECADE) + 1)
    # A factor begins far below 1, so that no traffic at all is seen as well.
    start = LEAST / 1e6 if varied == "traffic" else LEAST
    grid = [start * 10 ** (step / _STEPS_PER_DECADE) for step in steps]
    found = []
    for low, high in pairwise(grid):
        if cheaper(low) != cheaper(high):
            found.append(Crossing(_between(difference, low, high), cheaper(high)))
    return Crossover(theirs, varied, cheaper(grid[0]), tuple(found))


def _between(difference: Callable[[float], float], low: float, high: float) -> float:
    rising = difference(low) <= 0
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if (difference(middle) <= 0) == rising:
            low = middle
        else:
            high = middle
    return high
