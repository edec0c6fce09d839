"""Deploys a project to a store; `lamdb.deployment.apply` changes the database."""

from lamdb.deployment import apply
from lamdb.deployment.apply import Applied, Deployment, in_transaction, mark_applied, mark_rolled_back, push
from lamdb.deployment.project import Project
from lamdb.errors import MigrationError
from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.schema_text import Claims
from lamdb.prisma.migrate import migrate
from lamdb.storage import Database

__all__ = [
    "Applied",
    "Deployment",
    "deploy",
    "in_transaction",
    "mark_applied",
    "mark_rolled_back",
    "push",
    "push_project",
    "require_migrated",
    "reset",
]


def deploy(
    database: Database, project: Project, *, dry_run: bool = False, accept_loss: bool = False
) -> Deployment:
    """Apply the project's pending migrations and store its schema, all in one transaction.

    Raises `MigrationError` with nothing changed, `SchemaError`, `StorageError`.
    """
    if not project.has_migrations:
        raise MigrationError(
            f"{project.directory} has no migrations.",
            hint=f"Create the first: lamdb migrate create init --database {project.directory}\n"
            "Or try a schema out without migrations: lamdb serve --push",
        )
    return apply.deploy(
        database, project.migrations, project.schema, dry_run=dry_run, accept_loss=accept_loss
    )


def require_migrated(database: Database, project: Project) -> None:
    """Raises `MigrationError` if a deployment would publish a schema that has what no migration makes.

    The clients of every server on the store would see it at once. Nothing is computed if the database carries
    the project's schema already.
    """
    database.refresh()
    with database.reader() as connection:
        waiting = migrate.pending(connection, project.migrations)
        if not waiting and apply.is_current(connection, project.schema):
            return
        carried = stored_schema.read_files(connection) or {}
    project.require_migrated(Claims.of(tuple(carried.items())).tables)


def push_project(database: Database, project: Project, *, is_private: bool = False) -> None:
    """Push the schema of a project that has no migrations; `is_private`: of any project, because no other
    process sees the database. Raises `MigrationError`.
    """
    if project.has_migrations and not is_private:
        raise MigrationError(
            f"{project.directory} has migrations: pushing would go past them.",
            hint="Leave out --push, and create a migration for what you changed: lamdb migrate dev\n"
            "Or push to a database of this process alone: lamdb serve --store memory: --push",
        )
    push(database, project.schema)


def reset(database: Database, project: Project) -> Deployment:
    """Drop everything, then deploy to the empty database, in one transaction. Raises `MigrationError`."""
    return apply.reset(database, project.migrations, project.schema)
