"""The schemas that starts are measured with."""

import pytest
from bench.starts import models

from lamdb.prisma.datamodel.schema import PrismaSchema


@pytest.mark.parametrize("count", [1, 2, 9, 20])
def test_a_schema_of_any_size_is_valid(count: int) -> None:
    assert len(PrismaSchema.parse(models(count)).models) == count
