"""The tables of a database as a script: what the schema engine can compare, and read, without the data."""

import apsw

from lamdb.prisma.migrations import MIGRATIONS_TABLE, Migration
from lamdb.prisma.schema import PrismaSchema
from lamdb.prisma.schema_engine import RESERVED_PREFIX, Introspected, SchemaEngine

_OWN = """
SELECT o.sql FROM sqlite_master AS o
LEFT JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = o.tbl_name
WHERE o.sql IS NOT NULL AND o.tbl_name NOT GLOB ? AND o.tbl_name <> ? AND o.tbl_name NOT GLOB 'sqlite_*'
AND t.type IS NOT 'shadow'
ORDER BY CASE o.type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, o.rowid
"""


def snapshot(connection: apsw.Connection) -> Migration:
    """One migration that makes all tables, indexes, views and triggers but those of Prisma and lamDB."""
    statements = connection.execute(_OWN, (f"{RESERVED_PREFIX}*", MIGRATIONS_TABLE))
    return Migration("0_snapshot", "".join(f"{sql};\n" for (sql,) in statements))


def introspect(connection: apsw.Connection, schema: PrismaSchema | None = None) -> Introspected:
    """The Prisma schema of a database's tables; `schema` keeps its names and comments.

    Raises MigrationError P4001 if there are none.
    """
    with SchemaEngine() as engine:
        engine.connection.execute(snapshot(connection).sql)
        return engine.introspect(schema)
