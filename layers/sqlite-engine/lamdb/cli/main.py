"""The command line: its commands, and how errors leave it.

Exit codes: 0 done, 1 it failed, 2 it was called wrongly. An error is printed as its message, code and hint.
"""

import os
import sys
from typing import Annotated, Any

import typer

import lamdb
from lamdb.cli import migrate, schema, storage_commands
from lamdb.cli.options import Database, LogFormat, LogLevel, Store, load
from lamdb.errors import LamdbError, SettingsError

app = typer.Typer(
    name="lamdb",
    help="SQLite in an object store, served as a GraphQL API made from a Prisma schema.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
storage_commands.register(app)
app.add_typer(schema.app, name="schema")
app.add_typer(migrate.app, name="migrate")


def main() -> None:
    """Run the command in `sys.argv`; never returns."""
    try:
        app()
    except LamdbError as error:
        sys.exit(_report(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("LAMDB_LOG_LEVEL") == "debug":
            raise
        fault = LamdbError(
            f"{type(error).__name__}: {error}",
            hint="This is a fault in lamDB; LAMDB_LOG_LEVEL=debug shows where. Please report it.",
        )
        sys.exit(_report(fault))


def _report(error: LamdbError) -> int:
    print(f"lamdb: {error.message.rstrip()}", file=sys.stderr)
    print(f"  code: {error.code}", file=sys.stderr)
    if error.hint:
        print("  hint: " + error.hint.replace("\n", "\n        "), file=sys.stderr)
    return 2 if isinstance(error, SettingsError) else 1


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lamdb {lamdb.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    store: Store = None,
    database: Database = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [env: LAMDB_HOST] [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(help="Port to listen on; 0 takes a free one. [env: LAMDB_PORT] [default: 8000]"),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Make the tables from the schema alone, without migrations.")
    ] = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve a database: apply its migrations, seed it if it is empty, answer GraphQL over HTTP."""
    from lamdb.cli.serve import serve as run

    options: dict[str, Any] = {"host": host, "port": port, "log_level": log_level, "log_format": log_format}
    run(load(store=store, database=database, **options), push=push)


@app.command()
def query(
    document: Annotated[str, typer.Argument(help="A GraphQL document; `-` reads it from standard input.")],
    store: Store = None,
    variables: Annotated[str, typer.Option(help="The variables, as a JSON object.")] = "{}",
    operation: Annotated[
        str | None, typer.Option(help="The operation to execute, if the document has several.")
    ] = None,
    at: storage_commands.At = None,
    txid: storage_commands.Txid = None,
) -> None:
    """Execute a GraphQL document on a store, without a server, and print the response.

    With --at or --txid it is a query on a past state, by the schema of then.
    """
    from lamdb.cli.query import query as run

    text = sys.stdin.read() if document == "-" else document
    moment = storage_commands.moment_of(at, txid)
    if not run(load(store=store), text, variables, operation, moment):
        raise typer.Exit(1)
