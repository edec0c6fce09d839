"""The price of a measured run: `tests.lambda.costs`."""

import importlib

import pytest

costs = importlib.import_module("tests.lambda.costs")  # `lambda` is a keyword


@pytest.mark.parametrize(
    ("used", "total"),
    [
        ({"sqs.fifo": 2.0}, 1.0),
        ({"api.rest": 1.0}, 3.5),
        ({"s3.put": 1.0, "s3.get": 1.0}, 5.4),
        ({"lambda.request": 2.0, "lambda.x86_64": 0.1}, 0.4 + 1.66667),
        ({}, 0.0),
    ],
)
def test_a_million_writes_cost_quantities_times_prices(used: dict[str, float], total: float) -> None:
    assert costs.dollars(used)["total"] == pytest.approx(total)


def test_a_run_is_counted_from_its_beginning_and_by_write() -> None:
    before, after = {"s3.put": 5.0}, {"s3.put": 11.0, "s3.get": 3.0}
    assert costs.per_write(before, after, 3) == {"s3.put": 2.0, "s3.get": 1.0}
    assert costs.per_write(before, after, 0) == {}


def test_the_memory_is_the_templates() -> None:
    assert costs.MEMORY == {"proxy": 512, "reader": 1769, "writer": 1769}
