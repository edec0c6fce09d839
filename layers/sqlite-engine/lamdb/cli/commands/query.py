"""Declares `lamdb query`, `status` and `admin`."""

from typing import Annotated

import typer

from lamdb.cli.app import DATA, SERVICE, CommandApp, examples
from lamdb.cli.commands.store import At, Txid, moment_of
from lamdb.cli.options import AnyDatabase, Out

Document = Annotated[
    str,
    typer.Argument(
        metavar="DOCUMENT", help="A GraphQL document; `@FILE` reads it from a file, `-` from standard input."
    ),
]
Variables = Annotated[
    str,
    typer.Option(
        metavar="JSON",
        help="The variables, as a JSON object; `@FILE` reads them from a file, `-` from standard input.",
    ),
]
Operation = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The operation to execute, if the document has several."),
]


def register(app: CommandApp) -> None:
    """Makes these commands of `app`."""
    app.command(
        rich_help_panel=DATA,
        epilog=examples(
            "lamdb query '{ findManyTag { name } }' --store file:///srv/shop",
            "lamdb query @create.graphql --variables @tags.json --stack shop",
            "lamdb query '{ findManyTag { name } }' --url http://localhost:8000 --at 2026-01-31T12:00:00Z",
        ),
    )(query)
    app.command(
        rich_help_panel=SERVICE,
        epilog=examples("lamdb status --store s3://bucket/shop", "lamdb status --stack shop --json"),
    )(status)
    app.command(
        rich_help_panel=SERVICE,
        epilog=examples(
            "lamdb admin '{ slowOperations { hash slowestMs } }' --url http://localhost:8000",
            "lamdb admin 'mutation { snapshot { txid size } }' --stack shop",
        ),
    )(admin)


def query(
    *,
    document: Document,
    variables: Variables = "{}",
    operation: Operation = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="Execute a mutation once, however often it is sent with this key.",
        ),
    ] = None,
    at: At = None,
    txid: Txid = None,
    output: Out,
    located: AnyDatabase,
) -> None:
    """Execute a GraphQL document and print the response; fails if that has errors.

    With --at or --txid the query runs on a past state, with the schema of that state.
    """
    from lamdb.cli.query import query as run

    moment = moment_of(at, txid)
    if not run(located, document, variables, operation, moment=moment, idempotency_key=idempotency_key):
        raise typer.Exit(1)


def status(
    *,
    output: Out,
    located: AnyDatabase,
) -> None:
    """Show the state of a database and its store: size, files, migrations, restorable states."""
    from lamdb.cli.status import status as run

    run(located, output=output)


def admin(
    *,
    document: Document,
    variables: Variables = "{}",
    operation: Operation = None,
    output: Out,
    located: AnyDatabase,
) -> None:
    """Execute a document of the operator API and print the response; fails if that has errors."""
    from lamdb.cli.query import admin as run

    if not run(located, document, variables, operation):
        raise typer.Exit(1)
