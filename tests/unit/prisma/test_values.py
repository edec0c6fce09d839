"""Values into SQLite and out again."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import apsw
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamdb.errors import QueryError
from lamdb.prisma.values import (
    datetime_to_text,
    decimal_text,
    decode_boolean,
    decode_decimal,
    decode_hex,
    decode_int,
    decode_json,
    decoder,
    encode_datetime,
    encoder,
    number_text,
)

ENUMS = {"Role": {"adm": "ADMIN", "1": "ONE"}}


def decode(kind: str, value: Any, **more: Any) -> Any:
    convert = decoder({"type": kind, "arity": "optional", **more}, ENUMS)
    return value if convert is None else convert(value)


def encode(kind: str, value: Any) -> Any:
    convert = encoder({"scalarType": kind, "arity": "scalar"})
    return value if convert is None else convert(value)


def stored(column: str, value: Any) -> Any:
    """The value read back after it was bound into a column of this declared type."""
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE t (v {column})")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    return connection.execute("SELECT v FROM t").get


# --- there and back -------------------------------------------------------------------------------


@given(st.integers(-(2**63), 2**63 - 1))
def test_bigints_survive(number: int) -> None:
    assert decode("bigint", stored("BIGINT", encode("bigint", str(number)))) == str(number)


@given(st.integers(-(2**31), 2**31 - 1))
def test_ints_survive(number: int) -> None:
    assert decode("int", stored("INTEGER", encode("int", number))) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive(number: float) -> None:
    assert decode("float", stored("REAL", encode("float", number))) == number


@given(st.binary(max_size=50))
def test_bytes_survive(data: bytes) -> None:
    text = decode("bytes", data, encoding="array")
    assert stored("BLOB", encode("bytes", text)) == data


@given(st.text())
def test_text_survives(text: str) -> None:
    assert decode("string", stored("TEXT", encode("string", text))) == text


@pytest.mark.parametrize("flag", [True, False])
def test_booleans_survive(flag: bool) -> None:
    assert decode("boolean", stored("BOOLEAN", encode("boolean", flag))) is flag


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones))
def test_moments_survive_to_the_millisecond(moment: datetime) -> None:
    text = stored("DATETIME", encode("datetime", moment.isoformat()))
    assert text.endswith("+00:00")
    assert len(text) == 29
    found = datetime.fromisoformat(decode("datetime", text))
    assert found == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9))
def test_decimals_of_a_double_survive(number: Decimal) -> None:
    assert Decimal(decode("decimal", stored("DECIMAL", encode("decimal", str(number))))) == number


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(json_values)
def test_json_survives(value: Any) -> None:
    text = orjson.dumps(value).decode()
    assert decode("json", stored("JSONB", encode("json", text))) == text


# --- numbers as JavaScript writes them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (12.5, "12.5"),
        (-12.5, "-12.5"),
        (1e15, "1000000000000000"),
        (123456789012345680.0, "123456789012345680"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1.5e-6, "0.0000015"),
        (1e-7, "1e-7"),
        (1.25e-7, "1.25e-7"),
        (5e-324, "5e-324"),
        (9007199254740993, "9007199254740993"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(number: float, text: str) -> None:
    assert number_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_texts_read_back(number: float) -> None:
    assert float(number_text(number)) == number


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ("12.3400", "12.34"),
        ("-0.50", "-0.5"),
        ("1E+3", "1000"),
        ("0.000", "0"),
        ("-0", "0"),
        ("100", "100"),
        ("1e21", "1e+21"),
        ("0.00000012", "1.2e-7"),
        ("123456789012345678901.5", "123456789012345678901.5"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("Infinity", "Infinity"),
    ],
)
def test_decimal_texts(given_: str, text: str) -> None:
    assert decimal_text(Decimal(given_)) == text
    if Decimal(given_).is_finite():
        assert decode_decimal(given_) == text
    else:
        with pytest.raises(QueryError) as caught:
            decode_decimal(given_)
        assert caught.value.code == "P2023"


# --- timestamps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("2024-02-03T04:05:06.789+00:00", "2024-02-03T04:05:06.789Z"),
        ("2024-02-03T04:05:06.789Z", "2024-02-03T04:05:06.789Z"),
        ("2024-02-03T04:05:06Z", "2024-02-03T04:05:06.000Z"),
        ("2024-02-03T04:05:06.123456Z", "2024-02-03T04:05:06.123Z"),
        ("2024-02-03 04:05:06", "2024-02-03T04:05:06.000Z"),
        ("2024-02-03 04:05:06.789+00:00", "2024-02-03T04:05:06.789Z"),
        ("2024-02-03T04:05:06+02", "2024-02-03T02:05:06.000Z"),
        ("2024-02-03T04:05:06-0230", "2024-02-03T06:35:06.000Z"),
        ("2024-02-03", "2024-02-03T00:00:00.000Z"),
        ("04:05:06", "1970-01-01T04:05:06.000Z"),
        ("0000-01-01T00:00:00.000+00:00", "0000-01-01T00:00:00.000Z"),
        (1700000000123, "2023-11-14T22:13:20.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_timestamps_of_every_form(found: Any, text: str) -> None:
    assert datetime_to_text(found) == text


@pytest.mark.parametrize("found", ["", "soon", "2024-13-01T00:00:00Z", 10**20, b"x"])
def test_what_is_no_timestamp_is_inconsistent(found: Any) -> None:
    with pytest.raises(QueryError) as caught:
        datetime_to_text(found)
    assert caught.value.code == "P2023"


def test_timestamps_are_stored_in_utc() -> None:
    assert encode_datetime("2024-02-03T04:05:06+02:00") == "2024-02-03T02:05:06.000+00:00"
    assert encode_datetime("2024-02-03T04:05:06.789Z") == "2024-02-03T04:05:06.789+00:00"
    assert encode_datetime(None) is None
    now = datetime.now(UTC)
    assert encode_datetime(now.isoformat()) == now.isoformat(timespec="milliseconds")
    for bad in ("soon", "0000-01-01T00:00:00+05:00", "9999-12-31T23:59:59-00:01"):
        with pytest.raises(QueryError) as caught:
            encode_datetime(bad)
        assert caught.value.code == "P2007"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0001-01-01T00:00:00+01:00", "0000-12-31T23:00:00.000+00:00"),
        ("0000-02-29T12:00:00-05:00", "0000-02-29T17:00:00.000+00:00"),
        ("0000-12-31T23:59:59-01:00", "0001-01-01T00:59:59.000+00:00"),
        ("0001-12-31T23:59:59-01:00", "0002-01-01T00:59:59.000+00:00"),
        ("9999-12-31T23:59:59+14:00", "9999-12-31T09:59:59.000+00:00"),
    ],
)
def test_offsets_at_the_first_and_last_year(given: str, stored: str) -> None:
    assert encode_datetime(given) == stored
    assert datetime_to_text(stored) == stored[:-6] + "Z"


@pytest.mark.parametrize(
    "text", ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.000Z", "2016-12-31T23:59:60.500+00:00"]
)
def test_leap_seconds_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match="leap second") as caught:
        encode_datetime(text)
    assert caught.value.code == "P2007"


# --- what the database may hold besides -----------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "wanted"),
    [(1, True), (0, False), (2, False), (1.0, True), ("true", True), ("TRUE", True), ("1", True),
     ("false", False), ("FALSE", False), ("0", False), (b"\x00\x01", True), (b"\x00", False), (b"", False)],
)  # fmt: skip
def test_booleans_of_every_form(found: Any, wanted: bool) -> None:
    assert decode_boolean(found) is wanted


@pytest.mark.parametrize(("found", "wanted"), [(3, 3), (3.9, 3), (-3.9, -3), ("7", 7), ("7.5", 7)])
def test_ints_of_every_form(found: Any, wanted: int) -> None:
    assert decode_int(found) == wanted


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("string", b"x"),
        ("int", "one"),
        ("int", b"1"),
        ("int", math.inf),
        ("bigint", b"1"),
        ("bigint", "1_0"),
        ("bigint", "\u0661"),
        ("bigint", "9223372036854775808"),
        ("float", "much"),
        ("float", b"1"),
        ("decimal", "much"),
        ("decimal", b"1"),
        ("boolean", "yes"),
        ("boolean", None),
        ("bytes", None),
        ("json", "{"),
        ("enum", "USER"),
        ("unknown enum", "adm"),
    ],
)
def test_what_the_schema_does_not_allow_is_p2023(kind: str, found: Any) -> None:
    name = "Nobody" if kind == "unknown enum" else "Role"
    with pytest.raises(QueryError) as caught:
        decode(kind.split()[-1], found, encoding="array", name=name)
    assert caught.value.code == "P2023"


@pytest.mark.parametrize(
    ("kind", "found", "wanted"),
    [("string", 1, "1"), ("string", -0.5, "-0.5"), ("bytes", "é", "w6k="), ("bytes", 12, "MTI=")],
)
def test_what_others_put_among_texts_and_blobs_is_read(kind: str, found: Any, wanted: str) -> None:
    assert decode(kind, found, encoding="array") == wanted


def test_other_decodings() -> None:
    assert decode("enum", "adm", name="Role") == "ADMIN"
    assert decode("enum", 1, name="Role") == "ONE"
    assert decode("bigint", 12.9) == "12"
    assert decode("bigint", "12") == "12"
    assert decode("float", "1.5") == 1.5
    assert decode("float", 3) == 3
    assert decode("unsupported", b"x") == b"x"
    assert decode("object", {"a": [1]}) == '{"a":[1]}'
    assert decode("bytes", "eA==", encoding="base64") == "eA=="
    assert decode_hex("\\x00ff") == "AP8="
    for bad in ("00ff", "\\xzz", b"\\x00"):
        with pytest.raises(QueryError):
            decode_hex(bad)


@pytest.mark.parametrize(
    ("found", "text"),
    [('{ "a" : [1, 2.50] }', '{"a":[1,2.5]}'), ("null", "null"), (12.5, "12.5"), (12, "12"), ('"é"', '"é"')],
)
def test_json_texts_are_compact(found: Any, text: str) -> None:
    assert decode_json(found) == text


def test_encodings() -> None:
    assert encode("int", "5") == 5
    assert encode("float", "5") == 5.0
    assert isinstance(encode("decimal", 5), float)
    assert encode("decimal", None) is None
    assert encode("json", {"a": 1}) == '{"a":1}'
    assert encode("json", [1]) == "[1]"
    assert encode("bytes", b"x") == b"x"
