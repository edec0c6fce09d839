"""The command line: its commands, and the output of errors.

Exit codes: 0 done, 1 it failed, 2 it was called wrongly, 130 it was interrupted or answered with no. An error
is printed as its message, code and hint on standard error, and with `--json` as an object on standard output.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

import lamdb
from lamdb.cli.app import SCHEMA, SERVICE, CommandApp, examples
from lamdb.cli.commands import (
    cost,
    doctor,
    init,
    key,
    migrate,
    query,
    records,
    schema,
    serve,
    sql,
    store,
    token,
)
from lamdb.errors import FileRefused, LamdbError, SettingsError, UsageError

app = CommandApp(
    "SQLite in an object store, served as a GraphQL API made from a Prisma schema.",
    name="lamdb",
    epilog=examples(
        "lamdb serve --store file:///srv/shop --database database",
        "lamdb status --store file:///srv/shop",
        "lamdb migrate deploy --stack shop",
    ),
)
init.register(app)
serve.register(app)
query.register(app)
sql.register(app)
app.add_typer(migrate.app, name="migrate", rich_help_panel=SCHEMA)
app.add_typer(schema.app, name="schema", rich_help_panel=SCHEMA)
store.register(app)
records.register(app)
cost.register(app)
app.add_typer(token.app, name="token", rich_help_panel=SERVICE)
app.add_typer(key.app, name="key", rich_help_panel=SERVICE)
doctor.register(app)


def main() -> NoReturn:
    """Run the command in `sys.argv`."""
    try:
        code = app(standalone_mode=False)
    except LamdbError as error:
        code = _report(error)
    except typer.TyperException as error:
        code = _report(_called_wrongly(error, error.format_message().strip()))
    except typer.Abort:
        # The end of input, where a question was asked.
        print(file=sys.stderr)
        code = 130
    except KeyboardInterrupt as error:
        if error.args:
            print(f"lamdb: {error}", file=sys.stderr)
        code = 130
    except Exception as error:
        if os.environ.get("LAMDB_LOG_LEVEL") == "debug":
            raise
        if isinstance(error, OSError) and error.filename and error.strerror:
            sys.exit(_report(FileRefused(f"{error.filename} cannot be used: {error.strerror}")))
        fault = LamdbError(
            f"{type(error).__name__}: {error}",
            hint="This is a fault in lamDB; LAMDB_LOG_LEVEL=debug shows where. Please report it.",
        )
        code = _report(fault)
    sys.exit(code if isinstance(code, int) else 0)


def _called_wrongly(error: typer.TyperException, message: str) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "lamdb"
    return UsageError(message, hint=f"`{path} -h` shows its usage.")


def _report(error: LamdbError) -> int:
    if "--json" in sys.argv:
        from lamdb.cli.output import print_json

        print_json({"error": {"message": error.message.rstrip(), **error.extensions()}})
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
