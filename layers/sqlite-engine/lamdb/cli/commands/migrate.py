"""Declares the commands of `lamdb migrate`.

What makes migrations works on a store for development; what deploys them, on any database.
"""

from typing import Annotated

import typer

from lamdb.cli.app import CommandApp, examples
from lamdb.cli.options import Database, Out, ProjectAndDatabase, Store, load, load_with_store

app = CommandApp("Create and apply migrations, and show their state.")

DEVELOPMENT = "Development"
DEPLOYMENT = "Deployment"

AcceptDataLoss = Annotated[
    bool, typer.Option("--accept-data-loss", help="Apply changes that lose data, without asking.")
]


@app.command(
    rich_help_panel=DEVELOPMENT, epilog=examples("lamdb migrate dev --name init --store file:///tmp/dev")
)
def dev(
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="A short description of the migration.")
    ] = None,
    store: Store = None,
    database: Database = None,
    create_only: Annotated[
        bool, typer.Option("--create-only", help="Write the migration, and do not apply it.")
    ] = False,
    accept_data_loss: AcceptDataLoss = False,
    output: Out,
) -> None:
    """Create a migration from the changes in the schema, and apply it to a development store.

    Migrations that the store lacks are applied first. Changes that lose data are announced first.
    """
    from lamdb.cli.migrate import dev as run

    settings = load_with_store(store=store, database=database)
    run(settings, name, create_only=create_only, accept=accept_data_loss, output=output)


@app.command(rich_help_panel=DEVELOPMENT, epilog=examples("lamdb migrate create add_sizes"))
def create(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A short description of the migration.")],
    database: Database = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write a migration even if nothing changed, to be edited by hand.")
    ] = False,
    output: Out,
) -> None:
    """Write the migration that brings the tables to the schema. No store is used."""
    from lamdb.cli.migrate import create as run

    run(load(database=database), name, draft=draft, output=output)


@app.command(
    rich_help_panel=DEPLOYMENT,
    epilog=examples(
        "lamdb migrate deploy --dry-run --store file:///srv/shop",
        "lamdb migrate deploy --stack shop",
        "lamdb migrate deploy --function shop-writer:live --database database",
    ),
)
def deploy(
    *,
    located: ProjectAndDatabase,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run the migrations on the real data, then roll them back.")
    ] = False,
    allow_unmigrated: Annotated[
        bool,
        typer.Option(
            "--allow-unmigrated", help="Deploy even if the schema has changes that no migration has."
        ),
    ] = False,
    accept_data_loss: Annotated[
        bool,
        typer.Option(
            "--accept-data-loss",
            help="Deploy even if a script removes triggers, constraints or views that cannot be kept.",
        ),
    ] = False,
    output: Out,
) -> None:
    """Apply the migrations that the database does not have yet, and store the schema, in one transaction."""
    from lamdb.cli.migrate import deploy as run

    run(
        located,
        dry_run=dry_run,
        allow_unmigrated=allow_unmigrated,
        accept=accept_data_loss,
        output=output,
    )


@app.command(
    rich_help_panel=DEPLOYMENT,
    epilog=examples(
        "lamdb migrate status --store file:///srv/shop", "lamdb migrate status --stack shop --json"
    ),
)
def status(
    *,
    located: ProjectAndDatabase,
    output: Out,
) -> None:
    """Compare the database with the migrations and the schema; fails unless they agree."""
    from lamdb.cli.migrate import status as run

    if not run(located, output=output):
        raise typer.Exit(1)


@app.command(
    rich_help_panel=DEVELOPMENT,
    epilog=examples("lamdb migrate diff --from file:///srv/shop --to database --script"),
)
def diff(
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STATE",
            help="`empty`, a schema (file or directory), a migrations directory or a store's URL. "
            "[default: the migrations]",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="STATE", help="The same. [default: the schema]")
    ] = None,
    database: Database = None,
    script: Annotated[bool, typer.Option("--script", help="Print SQL in place of a summary.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 2 if there is a difference.")
    ] = False,
    output: Out,
) -> None:
    """Show the difference between two states of the tables."""
    from lamdb.cli.migrate import diff as run

    differs = run(load(database=database), source, target, script=script, output=output)
    if differs and exit_code:
        raise typer.Exit(2)


@app.command(
    rich_help_panel=DEPLOYMENT,
    epilog=examples("lamdb migrate resolve --applied 20260101000000_init --stack shop"),
)
def resolve(
    *,
    applied: Annotated[
        str | None, typer.Option("--applied", metavar="NAME", help="Record a migration as applied.")
    ] = None,
    rolled_back: Annotated[
        str | None,
        typer.Option("--rolled-back", metavar="NAME", help="Record a failed migration as rolled back."),
    ] = None,
    located: ProjectAndDatabase,
    output: Out,
) -> None:
    """Correct the database's history, without touching its tables."""
    from lamdb.cli.migrate import resolve as run

    run(located, applied, rolled_back, output=output)


@app.command(
    rich_help_panel=DEPLOYMENT, epilog=examples("lamdb migrate reset --store file:///tmp/dev --force")
)
def reset(
    *,
    located: ProjectAndDatabase,
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
    skip_seed: Annotated[bool, typer.Option("--skip-seed", help="Leave the tables empty.")] = False,
    output: Out,
) -> None:
    """Drop everything, apply all migrations and the seed. The previous state can be restored."""
    from lamdb.cli.migrate import reset as run

    run(located, force=force, skip_seed=skip_seed, output=output)


@app.command(rich_help_panel=DEVELOPMENT, epilog=examples("lamdb migrate push --store file:///tmp/dev"))
def push(
    *,
    store: Store = None,
    database: Database = None,
    accept_data_loss: AcceptDataLoss = False,
    force_reset: Annotated[
        bool, typer.Option("--force-reset", help="Drop everything in the store first.")
    ] = False,
    output: Out,
) -> None:
    """Create the tables from the schema alone, without migrations: for prototypes."""
    from lamdb.cli.migrate import push as run

    settings = load_with_store(store=store, database=database)
    run(settings, accept=accept_data_loss, force_reset=force_reset, output=output)
