"""The names that `lamdb.prisma` offers; importing one does not load the others."""

import subprocess
import sys

import pytest

import lamdb.prisma


def test_the_public_names_are_these() -> None:
    assert lamdb.prisma.__all__ == [
        "Migration",
        "PrismaSchema",
        "QueryCompiler",
        "QueryEngine",
        "SchemaEngine",
        "read_migrations",
    ]
    for name in lamdb.prisma.__all__:
        assert getattr(lamdb.prisma, name).__name__ == name


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lamdb.prisma.nonsense  # noqa: B018


def test_the_package_itself_loads_no_engine() -> None:
    code = "import sys, lamdb.prisma; print([m for m in ('wasmtime', 'apsw', 'orjson') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
