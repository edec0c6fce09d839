"""Numeric defaults: which a schema may have, and what becomes of the others in schemas of imported files."""

import pytest

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.default_numbers import check_defaults, refitted


def schema(field: str) -> list[tuple[str, str]]:
    return [("schema.prisma", f"model A {{\n  id Int @id\n  {field}\n}}\n")]


@pytest.mark.parametrize(
    "field",
    [
        "n Int @default(2147483647)",
        "n Int @default(-2147483648)",
        "n BigInt @default(3000000000)",
        "n Float @default(0.1234567890123456789)",
        "n Decimal @default(0.30000000000000004)",
        "n Decimal? @default(9007199254740993)",
        'n Decimal @default("1.50")',
        'n Json @default("[12345678901234567890123]")',
        'n String @default("12345678901234567890.123")',
        "n Int // @default(3000000000)",
        r'n String @default("\\u0000")',
        r'n Json @default("\"\\u0000\"")',
        r'n String @default("\u0001\n")',
    ],
)
def test_defaults_that_fit(field: str) -> None:
    check_defaults(schema(field))


@pytest.mark.parametrize(
    "field",
    [
        "n Int @default(2147483648)",
        "n Int? @unique @default(-2147483649)",
        f"n Float @default(1{'0' * 309})",
        "n Decimal @default(12345678901234567890.123)",
        'n Decimal @map("m") @default(0.1234567890123456789)',
        'n Json @default("12345678901234567890123")',
        r'n String @default("\u0000")',
        r'n String? @unique @default("a\\\"\u0000b")',
    ],
)
def test_defaults_that_do_not(field: str) -> None:
    with pytest.raises(SchemaError, match=r"schema.prisma:3") as caught:
        check_defaults(schema(field))
    assert caught.value.code == "P1012"


@pytest.mark.parametrize(
    ("kind", "default", "expected"),
    [
        ("Int", "@default(3000000000)", ("BigInt", "@default(3000000000)")),
        ("Int", "@default(3)", ("Int", "@default(3)")),
        (
            "Decimal",
            "@default(12345678901234567890.5)",
            ("Decimal", '@default(dbgenerated("12345678901234567890.5"))'),
        ),
        ("String", '@default("3000000000")', ("String", '@default("3000000000")')),
        ("Float", "", ("Float", "")),
    ],
)
def test_defaults_of_imported_files(kind: str, default: str, expected: tuple[str, str]) -> None:
    assert refitted(kind, default) == expected
