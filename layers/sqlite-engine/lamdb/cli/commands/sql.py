"""Declares `lamdb sql` and `lamdb shell`."""

from typing import Annotated

import typer

from lamdb.cli.app import DATA, CommandApp, examples
from lamdb.cli.commands.store import At, Txid, moment_of
from lamdb.cli.options import SqlDatabase
from lamdb.errors import UsageError

Statement = Annotated[
    str,
    typer.Argument(
        metavar="SQL",
        help="A statement, or several that are one transaction; `@FILE` reads them from a file, `-` from "
        "standard input.",
    ),
]
Params = Annotated[
    str,
    typer.Option(
        metavar="JSON",
        help="The parameters of one statement: an array for `?`, an object for `:name`; `@FILE` reads them "
        "from a file, `-` from standard input.",
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object: columns, rows, changes, lastInsertRowid.")
]


def register(app: CommandApp) -> None:
    """Makes these commands of `app`."""
    app.command(
        rich_help_panel=DATA,
        epilog=examples(
            "lamdb sql 'SELECT name FROM Tag ORDER BY name' --store file:///srv/shop",
            "lamdb sql 'UPDATE Tag SET name = ? WHERE id = ?' --params '[\"news\", 7]' --url http://localhost:8000",
            "lamdb sql 'SELECT * FROM Tag' --csv --at 2026-01-31T12:00:00Z --store s3://bucket/shop",
        ),
    )(sql)
    app.command(
        rich_help_panel=DATA,
        epilog=examples("lamdb shell --store file:///srv/shop", "lamdb shell --url http://localhost:8000"),
    )(shell)


def sql(
    *,
    sql: Statement,
    params: Params = "[]",
    csv: Csv = False,
    json: AsJson = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="Execute a write once, however often it is sent with this key.",
        ),
    ] = None,
    at: At = None,
    txid: Txid = None,
    located: SqlDatabase,
) -> None:
    """Execute SQL and print the rows as a table, CSV or JSON.

    With several statements --csv and --json print the result of the last. With --at or --txid a past state is
    read. On a store it has the role admin, elsewhere that of the credentials.
    """
    from lamdb.cli.sql import run

    run(located, sql, params, _form(csv, json), moment=moment_of(at, txid), idempotency_key=idempotency_key)


def shell(
    *,
    csv: Csv = False,
    json: AsJson = False,
    located: SqlDatabase,
) -> None:
    """Execute SQL as it is typed, or from standard input up to the first error. `.help` says more."""
    from lamdb.cli.shell import run

    if not run(located, _form(csv, json)):
        raise typer.Exit(1)


def _form(csv: bool, json: bool) -> str:
    """Raises `UsageError`."""
    if csv and json:
        raise UsageError("give either --csv or --json")
    return "csv" if csv else "json" if json else "table"
