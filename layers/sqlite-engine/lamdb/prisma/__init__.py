"""Prisma inside Python: its three engines through wasmtime, and its query plans on SQLite.

What is public is named here and imported on first use: a process that only runs queries needs neither the
schema engine nor, before the first uncached query, WebAssembly.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamdb.prisma.datamodel.schema import PrismaSchema
    from lamdb.prisma.migrate.migrations import Migration, read_migrations
    from lamdb.prisma.migrate.schema_engine import SchemaEngine
    from lamdb.prisma.query.compiler import QueryCompiler
    from lamdb.prisma.query.engine import QueryEngine

__all__ = [
    "Migration",
    "PrismaSchema",
    "QueryCompiler",
    "QueryEngine",
    "SchemaEngine",
    "read_migrations",
]

_HOMES = {
    "QueryEngine": "query.engine",
    "Migration": "migrate.migrations",
    "PrismaSchema": "datamodel.schema",
    "QueryCompiler": "query.compiler",
    "SchemaEngine": "migrate.schema_engine",
    "read_migrations": "migrate.migrations",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
