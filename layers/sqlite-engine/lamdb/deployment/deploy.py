"""Deploys a project to a store; `lamdb.deployment.apply` changes the database."""

from lamdb.deployment import apply
from lamdb.deployment.apply import Applied, Deployment, in_transaction, mark_applied, mark_rolled_back, push
from lamdb.deployment.project import Project
from lamdb.errors import MigrationError
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


def push_project(database: Database, project: Project) -> None:
    """Push the schema of a project that has no migrations. Raises `MigrationError`."""
    if project.has_migrations:
        raise MigrationError(
            f"{project.directory} has migrations: pushing would go past them.",
            hint="Leave out --push, and create a migration for what you changed.",
        )
    push(database, project.schema)


def reset(database: Database, project: Project) -> Deployment:
    """Drop everything, then deploy to the empty database, in one transaction. Raises `MigrationError`."""
    return apply.reset(database, project.migrations, project.schema)
