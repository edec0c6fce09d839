"""Declares `lamdb init`."""

from pathlib import Path
from typing import Annotated

import typer

from lamdb.cli.app import SERVICE, CommandApp, examples
from lamdb.cli.options import Out


def register(app: CommandApp) -> None:
    """Makes it a command of `app`."""
    app.command(rich_help_panel=SERVICE, epilog=examples("lamdb init", "lamdb init shop"))(init)


def init(
    *,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The project's directory. [default: this one]")
    ] = None,
    output: Out,
) -> None:
    """Write a project: schema, first migration, seed, settings, compose file. Nothing is overwritten."""
    from lamdb.cli.init import init as run

    run(directory or Path(), output=output)
