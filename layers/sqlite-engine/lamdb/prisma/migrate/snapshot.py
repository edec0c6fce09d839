"""The tables of a database as a script, without data, for comparison by the schema engine."""

import apsw

from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.sqlite.catalog import is_own
from lamdb.search.definition import is_made_by_migrations

BASELINE = "0_init"
"""The name of the migration that stands for what a database had before it had migrations."""

OWN_OBJECTS = """
SELECT o.tbl_name, o.sql FROM sqlite_master AS o
LEFT JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = o.tbl_name
WHERE o.sql IS NOT NULL AND t.type IS NOT 'shadow'
ORDER BY CASE o.type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, o.rowid
"""
"""The statements that make all objects, with their tables, in an order in which they can be executed."""


def snapshot(connection: apsw.Connection, name: str = "0_snapshot") -> Migration:
    """One migration that makes all tables, indexes, views and triggers but those of Prisma and lamDB.

    Those of searches are made too.

    What this SQLite cannot make (a virtual table of a module that it lacks) is in it as a comment.
    """
    scratch = apsw.Connection(":memory:")
    try:
        statements = [
            str(sql)
            for table, sql in connection.execute(OWN_OBJECTS)
            if not is_own(str(table)) or is_made_by_migrations(str(table))
        ]
        return Migration(name, "\n".join(_statement(scratch, sql) for sql in statements))
    finally:
        scratch.close()


def _statement(scratch: apsw.Connection, sql: str) -> str:
    try:
        scratch.execute(sql)
    except apsw.Error as error:
        return "".join(f"-- {line}\n" for line in (f"Not possible here: {error}.", *sql.splitlines()))
    # A comment at the end would hide the semicolon.
    return f"{sql}\n;\n" if "--" in sql.rpartition("\n")[2] else f"{sql};\n"
