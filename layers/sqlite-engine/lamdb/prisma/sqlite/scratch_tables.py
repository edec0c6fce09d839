"""Names of the temporary tables by which a script rebuilds others.

Prisma's engine always calls the table that is to replace `Item` `new_Item`, which may be the name of a table
of the database.
"""

import re
from collections.abc import Iterable
from typing import Final

import apsw

from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.sqlite.script_parts import Rebuild, find_rebuilds, is_scratch, object_of, scratch_name
from lamdb.prisma.sqlite.sql_text import Statement, statements, tokenize

_PREFIX: Final = "new_"
_MAKES: Final = re.compile(rf'\s*CREATE TABLE "{_PREFIX}', re.IGNORECASE)
_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"


def tables_of(connection: apsw.Connection) -> set[str]:
    """The names of a database's tables and views."""
    return {str(name) for (name,) in connection.execute(_TABLES)}


def with_free_names(script: str, tables: Iterable[str]) -> str:
    """Returns the script with other names for the tables it makes for a while, where theirs are taken.

    Names are taken by `tables` and by the tables that the script creates to stay.
    """
    parts = list(statements(script))
    rebuilds = [each for each in find_rebuilds(parts) if is_scratch(each.temporary, each.table)]
    if not rebuilds:
        return script
    scratch = {each.create for each in rebuilds}
    created = [object_of(part) for number, part in enumerate(parts) if number not in scratch]
    taken = {name.lower() for name in tables} | {found[1] for found in created if found is not None}
    for rebuild in rebuilds:
        if rebuild.temporary.lower() in taken:
            _rename(parts, rebuild, taken)
    return "".join(part.text for part in parts)


class ScratchNames:
    """The same for statements that the engine runs one by one, as it makes them."""

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}
        """The table that is being made, by the engine's name for it."""

    def apply(self, sql: str, connection: apsw.Connection) -> str:
        """Returns the statement to run in place of the engine's."""
        if not self._renamed and not _MAKES.match(sql):
            return sql
        parts = [part for part in statements(sql) if part.tokens]
        if len(parts) != 1:
            return with_free_names(sql, tables_of(connection))
        (statement,) = parts
        if statement.begins("CREATE", "TABLE"):
            self._make(statement, connection)
        for old, new in self._renamed.items():
            if statement.begins("CREATE", "TABLE") or statement.begins("INSERT", "INTO"):
                return _renamed(statement, old, new).text
            if statement.begins("ALTER", "TABLE") and statement.tokens[2].name == old:
                del self._renamed[old]
                return _renamed(statement, old, new).text
        return sql

    def _make(self, statement: Statement, connection: apsw.Connection) -> None:
        name = statement.tokens[2].name
        taken = {each.lower() for each in tables_of(connection)}
        if name.lower() in taken:
            self._renamed = {name: _free(name[len(_PREFIX) :], taken)}


def _free(table: str, taken: set[str]) -> str:
    number = 0
    while (name := scratch_name(table, number)).lower() in taken:
        number += 1
    return name


def _rename(parts: list[Statement], rebuild: Rebuild, taken: set[str]) -> None:
    name = _free(rebuild.table, taken)
    for position in (rebuild.create, rebuild.insert, rebuild.rename):
        if position is not None:
            parts[position] = _renamed(parts[position], rebuild.temporary, name)


def _renamed(statement: Statement, old: str, new: str) -> Statement:
    """The statement with another table as its object, which is the first of its names."""
    tokens = list(tokenize(statement.text))
    for number, token in enumerate(tokens):
        if token.is_name and token.name == old:
            text = "".join(each.text for each in tokens[:number]) + quote(new)
            text += "".join(each.text for each in tokens[number + 1 :])
            (renamed,) = (part for part in statements(text) if part.tokens)
            return renamed
    return statement
