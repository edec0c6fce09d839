"""The short form of `tests.soak.sql`."""

import pytest

from ...soak.sql import Faults, soak


@pytest.mark.parametrize("seed", range(3))
def test_no_commit_is_lost_doubled_or_out_of_order(seed: int) -> None:
    done = soak(400, seed=seed, faults=Faults(lost=0.05, death=0.01, zombie=0.05))
    assert done["kept"] > 100
    assert min(done[name] for name in ("lost", "deaths", "zombies", "conflicts")) > 0
