"""Declares `lamdb serve`."""

import os
from typing import Annotated, Any

import typer

from lamdb.cli.app import SERVICE, CommandApp, examples
from lamdb.cli.options import Database, LogFormat, LogLevel, Store, load_with_store
from lamdb.cli.output import CommandOutput
from lamdb.memory import budget_of_server
from lamdb.settings import variable_name


def register(app: CommandApp) -> None:
    """Makes it a command of `app`."""
    app.command(
        rich_help_panel=SERVICE,
        epilog=examples(
            "lamdb serve --store file:///srv/shop --database database",
            "lamdb serve --store memory: --push",
            "lamdb serve --store s3://bucket/shop --host 0.0.0.0 --port 80",
        ),
    )(serve)


def serve(
    store: Store = None,
    database: Database = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on. [env: LAMDB_HOST] [default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Port to listen on; 0 takes a free one. [env: LAMDB_PORT] [default: 8000]"
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Processes that answer queries, or `auto`: one for each processor. [env: LAMDB_WORKERS] "
            "[default: 1]",
        ),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Create the tables from the schema alone, without migrations.")
    ] = False,
    allow_unmigrated: Annotated[
        bool,
        typer.Option(
            "--allow-unmigrated",
            help="Serve a schema with changes that no migration contains; it is stored, so that all "
            "servers serve it.",
        ),
    ] = False,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, in one line, when clients can connect.")
    ] = False,
) -> None:
    """Serve a database: apply its migrations, seed it if it is empty, answer GraphQL over HTTP."""
    from lamdb.cli.serve import serve as run
    from lamdb.server.usable_memory import usable_memory

    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "workers": workers,
        "log_level": log_level,
        "log_format": log_format,
    }
    if variable_name("memory") not in os.environ:
        options["memory"] = str(budget_of_server(usable_memory()))
    settings = load_with_store(store=store, database=database, **options)
    run(settings, push=push, allow_unmigrated=allow_unmigrated, output=CommandOutput(is_json=json))
