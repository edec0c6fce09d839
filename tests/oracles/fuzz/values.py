"""Random values of Prisma's scalar types, and how GraphQL and the JSON protocol write them.

Pools are small, so that filters find rows and keys collide; each also has the values at its type's edges.
"""

import base64
import json
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that may vary: a scalar of `kind`, or a value of the enum that `kind` names."""

    kind: str
    value: Any
    is_enum: bool = False

    def protocol(self) -> Any:
        """As Prisma's JSON protocol writes it."""
        if self.kind in {"BigInt", "Decimal"}:
            return {"$type": self.kind, "value": str(self.value)}
        if self.kind in {"DateTime", "Json", "Bytes"}:
            return {"$type": self.kind, "value": self.value}
        return self.value

    def variable(self) -> Any:
        """As the value of a GraphQL variable."""
        return self.value

    def literal(self) -> str:
        """As a GraphQL literal."""
        return str(self.value) if self.is_enum else json.dumps(self.value, ensure_ascii=False)


INTS = (*range(-1, 9), *range(1, 7), 10, 42, 2147483647, -2147483648)
BIG_INTS = (*range(-1, 8), *range(1, 5), 2**31, 2**53 + 1, -(2**53) - 1, 2**62 + 1, 2**63 - 1, -(2**63))
FLOATS = (
    0.0, 1.0, 0.1, 0.2, 0.30000000000000004, -0.5, 2.5, 1e-7, 3.0, 1e21, 123456789.12345678, 0.1 + 0.7,
    5e-324, 1.7976931348623157e308, 9007199254740993.0, 1 / 3, 2 / 3, 100.0, 4.35, 1.005, 1e16, -1e-300,
)  # fmt: skip
DECIMALS = (
    "0",
    "1",
    "0.1",
    "1.5",
    "-2.25",
    "10",
    "0.30",
    "123456.789",
    "1e3",
    "99999999.99",
    "0.000001",
    "7",
)
STRINGS = (
    "", "a", "A", "b", "ab", "aB", "a b", "50%", "a_b", "_", "%", "it's", 'say "x"', "back\\slash", "ä",
    "Ä", "ß",
    "日本語", "😀", "e\u0301", "line\nbreak", "tab\t", " a", "1", "1.0", "null", "true", "zz", "\u200b",
    "[x]", "a*",
)  # fmt: skip
DATE_TIMES = (
    "2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00",
    "2020-01-01T00:00:00.001Z",
    "2020-06-15T12:30:45.123Z", "2020-06-15T12:30:45.123456Z", "2020-06-15T07:30:45.123-05:00",
    "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "1900-02-28T00:00:00Z", "2024-02-29T23:59:59+14:00",
    "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "2020-01-01T00:00:00.5Z",
    "2038-01-19T03:14:08+00:00",
)  # fmt: skip
JSONS = (
    "{}", "[]", "1", "0.1", '"a"', "true", '{"a":1}', '{"a":{"b":[1,2,"x"]}}', "[1,2,3]",
    '[{"a":1},null]', '"it\'s"',
    '{"b":1,"a":2}', "[[]]", '"日本"', "1e21", '{"a b":"50%"}',
)  # fmt: skip
BYTES = tuple(
    base64.b64encode(raw).decode() for raw in (b"", b"\0", b"a", b"abc", b"\xff\xfe", b"hello world", b"''")
)


def random_float(random: Random) -> float:
    """Doubles of few and of many digits, 16 and 17 among them."""
    choice = random.random()
    if choice < 0.6:
        return random.choice(FLOATS)
    if choice < 0.8:
        return random.uniform(-10, 10)
    return random.uniform(1, 10) * 10.0 ** random.randint(-20, 20)


def random_leaf(random: Random, kind: str) -> Leaf:
    """A scalar of Prisma's type `kind`."""
    match kind:
        case "Int":
            return Leaf(kind, random.choice(INTS))
        case "BigInt":
            return Leaf(kind, random.choice(BIG_INTS))
        case "Float":
            return Leaf(kind, random_float(random))
        case "Decimal":
            return Leaf(kind, random.choice(DECIMALS))
        case "Boolean":
            return Leaf(kind, random.random() < 0.5)
        case "DateTime":
            return Leaf(kind, random.choice(DATE_TIMES))
        case "Json":
            return Leaf(kind, random.choice(JSONS))
        case "Bytes":
            return Leaf(kind, random.choice(BYTES))
        case _:
            text = random.choice(STRINGS)
            return Leaf("String", text if random.random() < 0.85 else text + random.choice(STRINGS))
