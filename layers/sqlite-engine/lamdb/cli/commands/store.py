"""Declares `lamdb backups`, `restore`, `verify`, `repair`, `export`, `import` and `compact`."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lamdb.cli.app import STORE, CommandApp, examples
from lamdb.cli.options import (
    AnyDatabase,
    Database,
    DatabaseByStore,
    Names,
    Out,
    ScanRows,
    Store,
    StoreFiles,
    load_with_store,
    store_of,
)
from lamdb.errors import UsageError
from lamdb.settings import specs

At = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="The state at this time, such as 2026-01-31T12:00:00Z; UTC if it names no zone."
    ),
]
Txid = Annotated[str | None, typer.Option(metavar="N", help="The state after transaction N.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")]
Scratch = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Directory with room for a copy. [default: the system's]"),
]


def register(app: CommandApp) -> None:
    """Makes these commands of `app`."""
    for command, *lines in (
        (backups, "lamdb backups --store file:///srv/shop", "lamdb backups --stack shop --limit 0 --json"),
        (
            restore,
            "lamdb restore --at 2026-01-31T12:00:00Z --to then.db --store file:///srv/shop",
            "lamdb restore --txid 1041 --in-place --yes --stack shop",
        ),
        (repair, "lamdb repair --store file:///srv/shop --dry-run", "lamdb repair --stack shop"),
        (verify, "lamdb verify --store file:///srv/shop --litestream", "lamdb verify --stack shop"),
        (export, "lamdb export copy.db --stack shop"),
        (compact, "lamdb compact --dry-run --store file:///srv/shop"),
    ):
        app.command(rich_help_panel=STORE, epilog=examples(*lines))(command)
    app.command(
        "import",
        rich_help_panel=STORE,
        epilog=examples(
            "lamdb import old.db --store file:///srv/shop --database shop",
            "lamdb import dump.sql --store file:///srv/shop --database shop",
        ),
    )(import_)


def backups(
    *,
    limit: Annotated[
        str, typer.Option(metavar="N", help="How many to list, the newest; 0 for all. [default: 20]")
    ] = "20",
    output: Out,
    located: AnyDatabase,
) -> None:
    """List the states that can be restored: transaction, time, size of the database.

    Fails (exit code 1), after the list, if a transaction is missing between others.
    """
    from lamdb.cli.backup import list_backups

    if not list_backups(located, _whole("--limit", limit) or None, output=output):
        raise typer.Exit(1)


def restore(
    *,
    at: At = None,
    txid: Txid = None,
    to: Annotated[str | None, typer.Option("--to", metavar="FILE", help="Write a SQLite file.")] = None,
    to_store: Annotated[
        str | None, typer.Option("--to-store", metavar="URL", help="Fill an empty store.")
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option(
            "--in-place", help="Restore the state in the store itself, as a new transaction; requires --yes."
        ),
    ] = False,
    overwrite: Overwrite = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm --in-place.")] = False,
    scratch: Scratch = None,
    output: Out,
    located: DatabaseByStore,
) -> None:
    """Restore a past state (the newest, if none is named) to a file, to a new store or in place.

    With --url and --function the target must be a new store; the server or function writes it, with its own
    rights.
    """
    from lamdb.cli import backup as commands

    if [to is not None, to_store is not None, in_place].count(True) != 1:
        raise UsageError("give one of --to FILE, --to-store URL and --in-place")
    moment = moment_of(at, txid)
    if in_place and moment is None:
        raise UsageError("give the state to restore: --at TIME or --txid N")
    if in_place and not yes:
        raise UsageError("--in-place changes what every client sees: confirm it with --yes")
    if to_store is not None and (located.settings.url or located.settings.function):
        commands.restore_elsewhere(located, moment, to_store, output=output)
        return
    settings = store_of(located)
    if to is not None:
        commands.restore_to_file(settings, moment, Path(to), overwrite=overwrite, output=output)
    elif to_store is not None:
        commands.restore_to_store(settings, moment, _url(to_store), _scratch(scratch), output=output)
    elif moment is not None:
        commands.restore_in_place(settings, moment, output=output)


def verify(
    *,
    at: At = None,
    txid: Txid = None,
    scratch: Scratch = None,
    litestream: Annotated[
        bool, typer.Option("--litestream", help="Also restore it with Litestream's command, and compare.")
    ] = False,
    output: Out,
    located: AnyDatabase,
) -> None:
    """Restore the store to a scratch directory, check it in full, and compare it with what readers see.

    Fails (exit code 1) if it finds a fault: run it on a schedule that raises an alarm. With --url,
    --function and --stack, the server or a reader there does it, and --at and --scratch cannot be used.
    """
    from lamdb.cli.backup import verify_store

    if not located.is_store and (at is not None or scratch is not None):
        raise UsageError("--at and --scratch are for a store that is verified here", hint="Give --txid.")
    moment = moment_of(at, txid)
    if not verify_store(located, moment, _scratch(scratch), litestream=litestream, output=output):
        raise typer.Exit(1)


def repair(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; print what would be done.")
    ] = False,
    output: Out,
    located: AnyDatabase,
) -> None:
    """Convert values to the form in which the API stores and compares them, in one transaction.

    SQL, triggers and other programs may write a DateTime, say, in a form that is read but not found by
    filters; `lamdb verify` counts such values. Fails (exit code 1) if some cannot be converted.
    """
    from lamdb.cli.backup import repair_values

    if not repair_values(located, dry_run=dry_run, output=output):
        raise typer.Exit(1)


def export(
    *,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The SQLite file to write.")],
    overwrite: Overwrite = False,
    output: Out,
    settings: StoreFiles,
) -> None:
    """Write the newest state to a SQLite file."""
    from lamdb.cli.backup import restore_to_file

    restore_to_file(settings, None, Path(file), overwrite=overwrite, output=output)


def import_(
    *,
    file: Annotated[
        str, typer.Argument(help="A SQLite file, its WAL included; or a dump, SQL that makes one.")
    ],
    store: Store = None,
    database: Database = None,
    names: Names = "prisma",
    scan_rows: ScanRows = "1000000",
    convert_times: Annotated[
        bool,
        typer.Option(
            "--convert-times",
            help="Convert times such as 2026-01-02 03:04:05 in DATETIME and TIMESTAMP columns, so that their "
            "fields are DateTime.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing schema.prisma in the directory.")
    ] = False,
    no_schema: Annotated[
        bool, typer.Option("--no-schema", help="Import the tables only, and write no schema.")
    ] = False,
    scratch: Scratch = None,
    output: Out,
) -> None:
    """Fill an empty store with a SQLite file, and write its schema and first migration.

    The file is checked first, and not changed. Features that Prisma cannot express are named, and kept.
    """
    from lamdb.cli import importing as commands

    settings = load_with_store(store=store, database=database)
    if no_schema:
        commands.import_pages(settings, Path(file), _scratch(scratch), output=output)
        return
    reading = commands.IntrospectionOptions.parse(names, scan_rows, converts_times=convert_times)
    commands.import_database(
        settings, Path(file), _scratch(scratch), reading, overwrite=overwrite, output=output
    )


def compact(
    *,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune/--no-prune", help="Delete states that retention no longer keeps. [default: prune]"
        ),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; print what would be done.")
    ] = False,
    output: Out,
    located: AnyDatabase,
) -> None:
    """Merge small files, and delete states that LAMDB_KEEP_TRANSACTIONS and LAMDB_KEEP_DAYS do not keep.

    Servers do this by themselves. It may run at any time, beside writers, and more than once.
    """
    from lamdb.cli.backup import compact_store

    compact_store(located, prune=prune, dry_run=dry_run, output=output)


def moment_of(at: str | None, txid: str | None) -> datetime | int | None:
    """The values of `--at` and `--txid`; None if neither is given. Raises `UsageError`."""
    if at is not None and txid is not None:
        raise UsageError("give either --at or --txid")
    if txid is not None:
        return _whole("--txid", txid)
    if at is None:
        return None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise UsageError(f"--at is {at!r}: write a time such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{option} is {text!r}: it must be a whole number")
    return int(text)


def _url(to_store: str) -> str:
    """The URL of a store that an option names by URL or path. Raises `UsageError`."""
    try:
        return str(specs()["store"].parse(to_store))
    except ValueError as error:
        raise UsageError(f"--to-store is {to_store!r}: {error}") from None


def _scratch(directory: str | None) -> Path:
    path = Path(directory or tempfile.gettempdir())
    if not path.is_dir():
        raise UsageError(f"--scratch {directory} is not a directory")
    return path
