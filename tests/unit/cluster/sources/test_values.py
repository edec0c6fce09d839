"""Numbers of events: kept digit by digit, or an error that names the field."""

import json
from decimal import Decimal
from typing import Any

import pytest

from lamdb.cluster.sources.values import protocol
from lamdb.errors import EventError
from lamdb.prisma.datamodel.mirrors import MirroredColumn


def converted(kind: str, value: Any) -> Any:
    return protocol(MirroredColumn("total", kind, ("total",), required=True, has_default=False), value)


@pytest.mark.parametrize(
    "text", ["0.1", "0.30000000000000004", "9223372036854775807", "-12345678.9", "1E+22", "9007199254740993"]
)
def test_decimals_that_are_kept(text: str) -> None:
    for value in (text, Decimal(text)):
        found = converted("Decimal", value)
        assert found["$type"] == "Decimal"
        assert Decimal(found["value"]) == Decimal(text)


@pytest.mark.parametrize(
    "text",
    ["12345678901234567890.123456789012345678", "0.12345678901234567891", "1E+400", "123456789012345678901"],
)
def test_decimals_that_are_refused(text: str) -> None:
    for value in (text, Decimal(text)):
        with pytest.raises(EventError, match="'total' is no Decimal"):
            converted("Decimal", value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"N": Decimal("123456789012345678901234567890")}, '{"N":123456789012345678901234567890}'),
        ([Decimal("0.12345678901234567891"), Decimal(5), 2**70], f"[0.12345678901234567891,5,{2**70}]"),
        ({"a": Decimal("1E+400")}, '{"a":1E+400}'),
        (Decimal("0.30000000000000004"), "0.30000000000000004"),
        (2**53 + 1, "9007199254740993"),
        (True, "true"),
    ],
)
def test_json_keeps_every_digit(value: Any, text: str) -> None:
    found = converted("Json", value)["value"]
    assert found == text
    json.loads(found)


@pytest.mark.parametrize("value", [Decimal("123456789012345678901234567890"), 2**70, Decimal("NaN")])
def test_a_json_number_by_itself_is_exact_or_refused(value: Any) -> None:
    with pytest.raises(EventError):
        converted("Json", value)


def test_a_json_value_has_no_nan() -> None:
    with pytest.raises(EventError):
        converted("Json", {"a": Decimal("NaN")})


@pytest.mark.parametrize("value", ["1e999", Decimal("1E+999"), float("inf")])
def test_floats_beyond_their_range(value: Any) -> None:
    with pytest.raises(EventError):
        converted("Float", value)
