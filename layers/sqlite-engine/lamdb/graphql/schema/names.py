"""Names that every schema has: its scalars and its root types."""

from collections.abc import Mapping
from typing import Final, Literal

type Operation = Literal["query", "mutation"]

CUSTOM_SCALARS: Final[Mapping[str, str]] = {
    "BigInt": "A 64-bit integer. Answered as a string; accepts an integer or a string of digits.",
    "Bytes": "Binary data, as a base64 string.",
    "DateTime": "A point in time, as an ISO 8601 string with a time zone (2024-05-17T08:30:00.000Z).",
    "Decimal": "A decimal number. Answered as a string; accepts a number or a string.",
    "Json": "Any JSON value. Answered as a string of JSON text; accepts such a string, or a literal.",
}
SPECIFICATIONS: Final[Mapping[str, str]] = {
    "BigInt": "https://tc39.es/ecma262/#sec-numeric-types-bigint-tostring",
    "Bytes": "https://www.rfc-editor.org/rfc/rfc4648#section-4",
    "DateTime": "https://www.rfc-editor.org/rfc/rfc3339#section-5.6",
    "Decimal": "https://tc39.es/ecma262/#sec-numeric-types-number-tostring",
    "Json": "https://www.rfc-editor.org/rfc/rfc8259",
}
"""The specifications of the forms in which these scalars are answered, for `@specifiedBy`."""
BUILT_IN_SCALARS: Final = ("Boolean", "Float", "ID", "Int", "String")
ALWAYS_THERE: Final = ("Boolean", "Int", "String")
"""The built-in scalars that every schema of this kind refers to; `ID` none does."""
ROOT_TYPES: Final[Mapping[Operation, str]] = {"query": "Query", "mutation": "Mutation"}
