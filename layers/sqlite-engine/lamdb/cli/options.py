"""Options that several commands share, and the settings they make."""

import os
from typing import Annotated

import typer

from lamdb.settings import Settings

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the data is: file:///directory, memory: or s3://bucket/prefix. [env: LAMDB_STORE]",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Directory of schema.prisma, migrations/ and the seed. "
        "[env: LAMDB_DATABASE] [default: database]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
LogLevel = Annotated[
    str | None, typer.Option(help="debug, info, warning or error. [env: LAMDB_LOG_LEVEL] [default: info]")
]
LogFormat = Annotated[
    str | None, typer.Option(help="auto, human or json. [env: LAMDB_LOG_FORMAT] [default: auto]")
]


def load(**options: str | None) -> Settings:
    """The settings of a command. Raises `SettingsError`."""
    return Settings.load(os.environ, **options)
