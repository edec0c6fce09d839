"""Random schemas and operations get the same answers from lamDB and from Prisma's engine on Node.

The short form of `python -m tests.oracles.fuzz`: the same operations in each run.
"""

import json
import shutil
from pathlib import Path
from random import Random

import pytest
from tests.oracles.fuzz import campaign
from tests.oracles.fuzz.documents import STYLES, document, request
from tests.oracles.fuzz.operations import Operations
from tests.oracles.fuzz.schemas import random_schema
from tests.oracles.fuzz.shrink import described, shrink

from lamdb.prisma.datamodel.schema import PrismaSchema

FOLDER = Path(__file__).parent / "prisma_node"

pytestmark = [
    pytest.mark.node,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / ".installed").exists(), reason="needs `make oracle` (npm packages)"
    ),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_same_answers_to_random_operations(seed: int) -> None:
    report = campaign.run(seed, 800, per_schema=270, stop_at=3)
    found = [described(shrink(each, attempts=60)) for each in report.unexplained]
    assert not found, json.dumps(found, indent=2, ensure_ascii=False)
    assert report.data > report.operations / 3, "most operations come to nothing"
    assert len(report.actions) >= 14


def test_a_wrong_answer_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer sees a fault that only some values show."""
    answer = campaign.Ours.run

    def faulty(self: campaign.Ours, made: object) -> dict[str, object]:
        given = answer(self, made)  # type: ignore[arg-type]
        return json.loads(json.dumps(given).replace("false", "true"))  # type: ignore[no-any-return]

    monkeypatch.setattr(campaign.Ours, "run", faulty)
    report = campaign.run(3, 400, per_schema=200, stop_at=1)
    assert report.unexplained
    first = report.unexplained[0]
    small = shrink(first, attempts=60)
    assert "False on Node, True here" in " ".join(small.found)
    assert len(small.steps) <= len(first.steps)
    assert len(small.steps[-1].document.query) <= len(first.steps[-1].document.query)


def test_a_seed_makes_the_same_operations() -> None:
    def made() -> list[object]:
        random = Random(7)
        schema = random_schema(random)
        operations = Operations(random, PrismaSchema.parse(schema).dmmf)
        each = [operations.one() for _ in range(50)]
        return [schema, *(request(one) for one in each), *(document(one, STYLES[1]) for one in each)]

    assert made() == made()
