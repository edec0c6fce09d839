"""Options that several commands share, and the settings they make."""

import dataclasses
import os
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from lamdb.cli.app import OptionsOf
from lamdb.cli.configuration import environment
from lamdb.cli.nearby import project_hint
from lamdb.cli.output import CommandOutput
from lamdb.errors import SettingsError, UsageError
from lamdb.settings import Settings, option_name, variable_name

WHERE: Final = "Which database"
"""The heading of the options that name one."""

Store = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where the data is: a directory, memory: or s3://bucket/prefix. [env: LAMDB_STORE]",
        rich_help_panel=WHERE,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="A lamDB elsewhere: the address of a server, of a stage of API Gateway, or a function URL. "
        "[env: LAMDB_URL]",
        rich_help_panel=WHERE,
    ),
]
Function = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A lamDB on AWS: the function to invoke, by name or ARN. [env: LAMDB_FUNCTION]",
        rich_help_panel=WHERE,
    ),
]
Stack = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A lamDB on AWS: the CloudFormation stack whose functions to invoke. [env: LAMDB_STACK]",
        rich_help_panel=WHERE,
    ),
]
StackOfStore = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="NAME",
        help="A lamDB on AWS: the CloudFormation stack whose store to use, with your own rights in S3. "
        "[env: LAMDB_STACK]",
        rich_help_panel=WHERE,
    ),
]
StackOfApi = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="NAME",
        help="A lamDB on AWS: the CloudFormation stack whose API to call, if it has SQL over HTTP. "
        "[env: LAMDB_STACK]",
        rich_help_panel=WHERE,
    ),
]
Sign = Annotated[
    bool | None,
    typer.Option(
        "--sign/--no-sign",
        help="Sign requests to --url with your AWS credentials. [default: if it is an address of API "
        "Gateway or a function URL, and neither LAMDB_TOKEN nor LAMDB_API_KEY is set]",
        rich_help_panel=WHERE,
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
Names = Annotated[
    str,
    typer.Option(
        metavar="STYLE",
        help="prisma: models in the singular, camelCase fields. keep: as the database has them. "
        "[default: prisma]",
    ),
]
ScanRows = Annotated[
    str,
    typer.Option(
        metavar="N",
        help="How many rows of each table to examine for values of other types than declared; 0 or "
        "`all` for all. [default: 1000000]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
LogLevel = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL", help="debug, info, warning or error. [env: LAMDB_LOG_LEVEL] [default: info]"
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help="auto, human or json. [env: LAMDB_LOG_FORMAT] [default: auto]"),
]

_PLACES: Final = ("store", "url", "function", "stack")


def load_with_store(**options: str | None) -> Settings:
    """The settings of a command that opens a store itself. Raises `SettingsError` if none is named."""
    settings = load(**options)
    if not settings.store:
        hint = f"Give --store, or set LAMDB_STORE.\n{project_hint()}"
        raise SettingsError("no store is named", hint=hint, meta={"setting": "store"})
    return settings


def load(**options: str | None) -> Settings:
    """The settings of a command. Raises `SettingsError`."""
    return Settings.load(environment(os.environ, _PLACES), **options)


@dataclass(frozen=True, slots=True)
class Located:
    """The one database that a command works on: one of `store`, `url`, `function` and `stack` is set."""

    settings: Settings
    sign: bool | None = None

    @property
    def is_store(self) -> bool:
        return bool(self.settings.store)


def locate(
    *,
    store: str | None = None,
    url: str | None = None,
    function: str | None = None,
    stack: str | None = None,
    sign: bool | None = None,
    database: str | None = None,
) -> Located:
    """The database that the options name, or else the environment.

    An option overrides all that the environment names. Raises `UsageError` if there is no telling which
    database is meant, `SettingsError`.
    """
    places = dict(zip(_PLACES, (store, url, function, stack), strict=True))
    given = [name for name in _PLACES if places[name]]
    if len(given) > 1:
        names = " and ".join(map(option_name, given))
        raise UsageError(f"{names} each name a database: give one of them")
    environ = environment(os.environ, _PLACES)
    if given:
        for name in _PLACES:
            environ.pop(variable_name(name), None)
    settings = Settings.load(environ, database=database, **places)
    named = [name for name in _PLACES if getattr(settings, name)]
    if not named:
        raise UsageError(
            "no database is named",
            hint=f"Give --store, --url, --function or --stack, or set LAMDB_STORE.\n{project_hint()}",
        )
    if len(named) > 1:
        names = " and ".join(map(variable_name, named))
        raise UsageError(
            f"{names} each name a database", hint="Choose one with an option, such as --store or --stack."
        )
    return Located(settings, sign)


def store_of(located: Located) -> Settings:
    """Settings with the URL of the store of a database. Raises `UsageError`, `RemoteError`."""
    settings = located.settings
    if settings.stack:
        from lamdb.cli.targets.stack import store_of as store_of_stack

        return dataclasses.replace(settings, store=store_of_stack(settings.stack), stack="")
    if not settings.store:
        raise UsageError(
            "this works on the files of a store, which --url and --function do not reach",
            hint="Give --store URL, or --stack NAME.",
        )
    return settings


# Arguments that are made of several options.


def _output(json: Json = False) -> CommandOutput:
    return CommandOutput(is_json=json)


def _database(
    store: Store = None, url: Url = None, function: Function = None, stack: Stack = None, sign: Sign = None
) -> Located:
    return locate(store=store, url=url, function=function, stack=stack, sign=sign)


def _project_and_database(
    database: Database = None,
    store: Store = None,
    url: Url = None,
    function: Function = None,
    stack: Stack = None,
    sign: Sign = None,
) -> Located:
    return locate(store=store, url=url, function=function, stack=stack, sign=sign, database=database)


def _database_if_named(
    store: Store = None, url: Url = None, function: Function = None, stack: Stack = None, sign: Sign = None
) -> Located | None:
    named = store or url or function or stack
    return locate(store=store, url=url, function=function, stack=stack, sign=sign) if named else None


def _database_by_store(
    store: Store = None,
    url: Url = None,
    function: Function = None,
    stack: StackOfStore = None,
    sign: Sign = None,
) -> Located:
    return locate(store=store, url=url, function=function, stack=stack, sign=sign)


def _store(store: Store = None, stack: StackOfStore = None) -> Settings:
    return store_of(locate(store=store, stack=stack))


def _sql_database(
    store: Store = None, url: Url = None, stack: StackOfApi = None, sign: Sign = None
) -> Located:
    return locate(store=store, url=url, stack=stack, sign=sign)


Out = Annotated[CommandOutput, OptionsOf(_output)]
"""`--json`."""
AnyDatabase = Annotated[Located, OptionsOf(_database)]
"""A store, server, function or stack."""
ProjectAndDatabase = Annotated[Located, OptionsOf(_project_and_database)]
"""The same, and the directory of the schema."""
DatabaseIfNamed = Annotated[Located | None, OptionsOf(_database_if_named)]
"""The database that an option names; None without one, whatever the environment names."""
DatabaseByStore = Annotated[Located, OptionsOf(_database_by_store)]
"""As `AnyDatabase`, with a stack's store in place of its functions."""
StoreFiles = Annotated[Settings, OptionsOf(_store)]
"""Settings with the URL of a store, a stack's if one is named."""
SqlDatabase = Annotated[Located, OptionsOf(_sql_database)]
"""A store, server or stack with SQL over HTTP."""
