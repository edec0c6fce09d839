"""`lamdb migrate`: the commands, as they are called."""

from typing import Annotated

import typer

from lamdb.cli.options import Database, Json, Store, load

app = typer.Typer(
    help="Create migrations, apply them, see where a store stands.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AcceptDataLoss = Annotated[
    bool, typer.Option("--accept-data-loss", help="Do what loses data, without asking.")
]


@app.command()
def dev(
    name: Annotated[str | None, typer.Option(help="What the migration does, in a few words.")] = None,
    store: Store = None,
    database: Database = None,
    create_only: Annotated[
        bool, typer.Option("--create-only", help="Write the migration, and do not apply it.")
    ] = False,
    accept_data_loss: AcceptDataLoss = False,
    json: Json = False,
) -> None:
    """Create a migration from what changed in the schema, and apply it to a store for development.

    Migrations that the store lacks are applied first. What would lose data is said beforehand.
    """
    from lamdb.cli.migrating import dev as run

    settings = load(store=store, database=database)
    run(settings, name, create_only=create_only, accept=accept_data_loss, as_json=json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the migration does, in a few words.")],
    database: Database = None,
    draft: Annotated[
        bool, typer.Option("--draft", help="Write a migration even if nothing changed, to be filled by hand.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the migration that brings the tables to the schema. No store plays a part."""
    from lamdb.cli.migrating import create as run

    run(load(database=database), name, draft=draft, as_json=json)


@app.command()
def deploy(
    store: Store = None,
    database: Database = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run the migrations on the real data, and keep nothing of it.")
    ] = False,
    allow_unmigrated: Annotated[
        bool,
        typer.Option(
            "--allow-unmigrated", help="Deploy even if the schema has changes that no migration has."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Apply the migrations that the store does not have yet, and store the schema, in one transaction."""
    from lamdb.cli.migrating import deploy as run

    settings = load(store=store, database=database)
    run(settings, dry_run=dry_run, allow_unmigrated=allow_unmigrated, as_json=json)


@app.command()
def status(store: Store = None, database: Database = None, json: Json = False) -> None:
    """Compare the store with the migrations and the schema; fails unless they agree."""
    from lamdb.cli.migrating import status as run

    if not run(load(store=store, database=database), as_json=json):
        raise typer.Exit(1)


@app.command()
def diff(
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
    script: Annotated[
        bool, typer.Option("--script", help="Print SQL, and not a summary for people.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 2 if there is a difference.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what leads from one state of the tables to another."""
    from lamdb.cli.migrating import diff as run

    differs = run(load(database=database), source, target, script=script, as_json=json)
    if differs and exit_code:
        raise typer.Exit(2)


@app.command()
def resolve(
    applied: Annotated[
        str | None, typer.Option("--applied", metavar="NAME", help="Record a migration as applied.")
    ] = None,
    rolled_back: Annotated[
        str | None,
        typer.Option("--rolled-back", metavar="NAME", help="Record a failed migration as rolled back."),
    ] = None,
    store: Store = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Correct the store's history, without touching its tables."""
    from lamdb.cli.migrating import resolve as run

    run(load(store=store, database=database), applied, rolled_back, as_json=json)


@app.command()
def reset(
    store: Store = None,
    database: Database = None,
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
    skip_seed: Annotated[bool, typer.Option("--skip-seed", help="Leave the tables empty.")] = False,
    json: Json = False,
) -> None:
    """Drop everything in the store, apply all migrations, plant the seed. What was can be restored."""
    from lamdb.cli.migrating import reset as run

    run(load(store=store, database=database), force=force, skip_seed=skip_seed, as_json=json)


@app.command()
def push(
    store: Store = None,
    database: Database = None,
    accept_data_loss: AcceptDataLoss = False,
    force_reset: Annotated[
        bool, typer.Option("--force-reset", help="Drop everything in the store first.")
    ] = False,
    json: Json = False,
) -> None:
    """Make the tables from the schema alone, without migrations: for prototypes."""
    from lamdb.cli.migrating import push as run

    settings = load(store=store, database=database)
    run(settings, accept=accept_data_loss, force_reset=force_reset, as_json=json)
