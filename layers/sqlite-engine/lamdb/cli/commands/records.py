"""Declares `lamdb load` and `lamdb dump`."""

from typing import Annotated

import typer

from lamdb.cli.app import STORE, CommandApp, examples
from lamdb.cli.options import Out, StoreFiles
from lamdb.errors import UsageError

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name in the schema.")]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="FORMAT", help="csv, jsonl or json. [default: what the file's name ends in]"
    ),
]


def register(app: CommandApp) -> None:
    """Makes these commands of `app`."""
    app.command(
        rich_help_panel=STORE,
        epilog=examples(
            "lamdb load Tag tags.csv --store file:///srv/shop",
            "lamdb load Tag - --format jsonl --skip-errors 10 --stack shop < tags.jsonl",
        ),
    )(load)
    app.command(
        rich_help_panel=STORE,
        epilog=examples(
            "lamdb dump Tag --store file:///srv/shop",
            "lamdb dump Tag tags.jsonl --stack shop",
        ),
    )(dump)


def load(
    *,
    model: Model,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV, JSON Lines or a JSON list; `-` is standard input.")
    ],
    format_name: FormatName = None,
    skip_errors: Annotated[
        str,
        typer.Option(
            metavar="N", help="Skip up to N records that cannot be stored, and report them. [default: 0]"
        ),
    ] = "0",
    from_line: Annotated[
        str,
        typer.Option(metavar="N", help="Skip records that begin before line N of the file. [default: 1]"),
    ] = "1",
    output: Out,
    settings: StoreFiles,
) -> None:
    """Add records of a model from CSV, JSON Lines or a JSON list, in transactions of at most 5000.

    Types are checked against the schema; errors name the line. A field that the file leaves out gets its
    default. In CSV an empty field is null, and "" the empty string.
    """
    from lamdb.cli.records import load_records

    for option, text in (("--skip-errors", skip_errors), ("--from-line", from_line)):
        if not text.isascii() or not text.isdigit():
            raise UsageError(f"{option} is {text!r}: it must be a whole number")
    load_records(
        settings,
        model,
        file,
        format_name=format_name,
        skip_errors=int(skip_errors),
        from_line=int(from_line),
        output=output,
    )


def dump(
    *,
    model: Model,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="The file to write. [default: standard output]"),
    ] = "-",
    format_name: FormatName = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    output: Out,
    settings: StoreFiles,
) -> None:
    """Write all records of a model as CSV, JSON Lines or a JSON list, ordered by id, from one state.

    Relations are the fields that hold keys. `lamdb load` reads the result.
    """
    from lamdb.cli.records import dump_records

    dump_records(settings, model, file, format_name=format_name, overwrite=overwrite, output=output)
