"""`lamdb migrate`: from the schema to migrations, from migrations to the store."""

from pathlib import Path
from typing import Annotated

import typer

from lamdb.cli.options import Database, Store, load

app = typer.Typer(
    help="Create migrations, apply them, see where a store stands.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the migration does, in a few words.")],
    database: Database = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write a migration even if nothing changed, to be filled by hand.")
    ] = False,
) -> None:
    """Write the migration that brings the tables to the schema."""
    from lamdb.prisma.migrate import MIGRATIONS_DIRECTORY
    from lamdb.prisma.migrate import create as write
    from lamdb.prisma.migrations import MIGRATION_FILE

    directory = Path(load(database=database).database)
    migration = write(directory, name, draft=draft)
    if migration is None:
        print("The migrations already lead to the schema: there is nothing to create.")
    else:
        print(f"Created {directory / MIGRATIONS_DIRECTORY / migration.name / MIGRATION_FILE}")


@app.command()
def deploy(store: Store = None, database: Database = None) -> None:
    """Apply the migrations that the store does not have yet."""
    from lamdb.server import deploy as deployment
    from lamdb.server.instance import open_database
    from lamdb.server.project import Project

    settings = load(store=store, database=database)
    project = Project.at(settings.database)
    with open_database(settings) as opened:
        for name in deployment.deploy(opened, project).names:
            print(f"applied {name}")
        print(f"The store is up to date, at transaction {opened.txid}.")


@app.command()
def status(store: Store = None, database: Database = None) -> None:
    """Compare the store's history with the migrations; fails unless they agree."""
    from lamdb.server.deploy import read_status
    from lamdb.server.instance import open_database
    from lamdb.server.project import Project

    settings = load(store=store, database=database)
    project = Project.at(settings.database)
    with open_database(settings, create=False) as opened:
        found = read_status(opened, project.migrations)
    marks = [
        *((name, "applied") for name in found.applied),
        *((name, "pending") for name in found.pending),
        *((name, "failed") for name in found.failed),
    ]
    problems = {**dict.fromkeys(found.edited, "edited since"), **dict.fromkeys(found.missing, "file missing")}
    for name, mark in marks:
        note = f", {problems[name]}" if name in problems else ""
        print(f"{mark}{note}: {name}")
    unmigrated = project.unmigrated() is not None
    if unmigrated:
        print("The schema has changes that no migration has: run `lamdb migrate create NAME`.")
    if found.pending or found.failed or problems or unmigrated:
        raise typer.Exit(1)
    print("The store, the migrations and the schema agree.")
