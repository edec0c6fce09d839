"""`lamdb shell`: statements as they are typed, and their results."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import apsw

from lamdb.cli.options import Located
from lamdb.cli.sql import FORMATS, show
from lamdb.cli.sql_client import SqlClient
from lamdb.cli.targets.sql_opening import open_sql_target
from lamdb.errors import LamdbError, UsageError
from lamdb.prisma.sqlite.sql_text import statements

_PROMPT: Final = "sql> "
_IN_TRANSACTION: Final = "sql*> "
_GOES_ON: Final = "...> "
_HISTORY: Final = ".lamdb_history"
_HISTORY_LINES: Final = 1000

_HELP: Final = """\
SQL ends with a semicolon. Between BEGIN and COMMIT or ROLLBACK the prompt has an asterisk.

.tables              list tables and views
.schema [NAME]       show the SQL of all tables and views, or of one and its indexes
.mode table|csv|json how results are shown
.help                show this
.quit                end; what is not committed is rolled back
"""

_TABLES: Final = (
    "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_lamdb%' ESCAPE '\\' ORDER BY name"
)
_SCHEMA: Final = (
    "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "AND tbl_name NOT LIKE '\\_lamdb%' ESCAPE '\\' AND (:name IS NULL OR tbl_name = :name COLLATE NOCASE) "
    "ORDER BY tbl_name, type = 'index', name"
)


def run(located: Located, form: str) -> bool:
    """Executes statements that are typed, or read from standard input.

    Returns True if all succeeded. Input that is not typed ends with the first error.
    """
    with open_sql_target(located) as target:
        shell = Shell(SqlClient(target), form)
        if not sys.stdin.isatty():
            return shell.execute_all(sys.stdin.read())
        print(f"lamDB: {target.name}. `.help` says more.", file=sys.stderr)
        with _history():
            shell.converse(input)
    return True


class Shell:
    """The commands of one conversation. `form` is that in which results are shown."""

    def __init__(self, client: SqlClient, form: str) -> None:
        self._client = client
        self._form = form
        self._ended = False

    def converse(self, ask: Callable[[str], str]) -> None:
        """Executes what `ask` returns for a prompt, until it raises `EOFError`."""
        text = ""
        while not self._ended:
            prompt = _GOES_ON if text else _IN_TRANSACTION if self._client.in_transaction else _PROMPT
            try:
                text += ask(prompt) + "\n"
            except EOFError:
                print(file=sys.stderr)
                break
            except KeyboardInterrupt:
                print(file=sys.stderr)
                text = ""
                continue
            if is_complete(text):
                with contextlib.suppress(KeyboardInterrupt):
                    self._try(text)
                text = ""
        self._end()

    def execute_all(self, text: str) -> bool:
        """Executes a script up to its first error; whether there was none."""
        for part in _parts(text):
            if self._ended or not self._try(part):
                break
        else:
            self._end()
            return True
        self._end()
        return self._ended

    def _try(self, text: str) -> bool:
        try:
            if text.lstrip().startswith("."):
                self._command(*text.split())
            else:
                for statement in statements(text):
                    if statement.tokens:
                        show([self._client.execute(statement.body)], self._form)
        except LamdbError as error:
            print(f"{error.code}: {error.message.rstrip()}", file=sys.stderr)
            if error.hint:
                print(f"  {error.hint}", file=sys.stderr)
            return False
        return True

    def _command(self, name: str, *arguments: str) -> None:
        match name, *arguments:
            case [".tables"]:
                show([self._client.execute(_TABLES)], self._form)
            case [".schema", *names] if len(names) <= 1:
                found = self._client.execute(_SCHEMA, {"name": names[0] if names else None})
                print("".join(f"{row[0]!s};\n" for row in found.rows), end="")
            case [".mode", form] if form in FORMATS:
                self._form = form
            case [".quit" | ".exit"]:
                self._ended = True
            case [".help"]:
                print(_HELP, end="")
            case _:
                raise UsageError(f"no such command: {' '.join((name, *arguments))}", hint=".help lists them.")

    def _end(self) -> None:
        if self._client.in_transaction:
            print("The open transaction is rolled back.", file=sys.stderr)
        with contextlib.suppress(LamdbError):
            self._client.close()


def is_complete(text: str) -> bool:
    """True if what was typed can be executed: a command of the shell's, or SQL up to a semicolon."""
    if not text.strip() or text.lstrip().startswith("."):
        return True
    if not any(statement.tokens for statement in statements(text)):
        return True
    return apsw.complete(text)


def _parts(text: str) -> Iterator[str]:
    """A script's lines with commands of the shell's, and what is between them."""
    waiting = ""
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith(".") and is_complete(waiting):
            if waiting.strip():
                yield waiting
            waiting = ""
            yield line
        else:
            waiting += line
    if waiting.strip():
        yield waiting


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """Keeps what is typed for the next time, readable by its owner only."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = Path.home() / _HISTORY
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(path)
