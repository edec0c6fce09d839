"""Prisma inside Python: its three engines through wasmtime, and its query plans on SQLite.

What is public is named here and imported on first use, for a process that only runs queries needs neither the
schema engine nor, before the first uncached query, WebAssembly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamdb.prisma import migrate
    from lamdb.prisma.compiler import QueryCompiler
    from lamdb.prisma.engine import Engine
    from lamdb.prisma.migrations import Migration, read_migrations
    from lamdb.prisma.schema import PrismaSchema
    from lamdb.prisma.schema_engine import SchemaEngine

__all__ = [
    "Engine",
    "Migration",
    "PrismaSchema",
    "QueryCompiler",
    "SchemaEngine",
    "migrate",
    "read_migrations",
]

_HOMES = {
    "Engine": "engine",
    "Migration": "migrations",
    "PrismaSchema": "schema",
    "QueryCompiler": "compiler",
    "SchemaEngine": "schema_engine",
    "read_migrations": "migrations",
}


def __getattr__(name: str) -> Any:
    if name == "migrate":
        return import_module("lamdb.prisma.migrate")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
