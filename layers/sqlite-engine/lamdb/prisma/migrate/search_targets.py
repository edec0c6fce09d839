"""The searches of what the schema engine compares: a schema, a history of migrations, or nothing."""

from collections.abc import Sequence
from contextlib import closing

import apsw

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.rebuild import Keeper
from lamdb.prisma.migrate.scripts import run_steps
from lamdb.prisma.migrate.searches import Searches, declared, present
from lamdb.search.definition import OWN_PREFIX


def searches_of(target: PrismaSchema | Sequence[Migration] | None) -> Searches:
    """Returns the searches that a schema declares or that a history makes."""
    if target is None:
        return {}
    if isinstance(target, PrismaSchema):
        return declared(target.searches)
    if not any(OWN_PREFIX in migration.sql for migration in target):
        return {}
    with closing(apsw.Connection(":memory:")) as connection:
        for migration in sorted(target):
            for _ in run_steps(connection, Keeper(connection, migration.sql)):
                pass
        return present(connection)
