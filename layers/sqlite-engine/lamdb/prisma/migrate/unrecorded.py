"""Migrations that a database has without a record of them, where its tables prove it."""

from collections.abc import Sequence

import apsw

from lamdb.errors import MigrationError
from lamdb.prisma.migrate.migrate import apply_migrations
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.migrate.snapshot import OWN_OBJECTS
from lamdb.prisma.sqlite.catalog import is_own
from lamdb.prisma.sqlite.sql_text import SqlToken, Statement, statements, tokenize
from lamdb.search.definition import is_made_by_migrations

type _Definition = tuple[str, ...]


def made_by(connection: apsw.Connection, migrations: Sequence[Migration]) -> bool:
    """Returns True if a database must be the result of these migrations, data aside.

    That is proved if they only define tables, indexes, views and triggers, and make exactly those of the
    database. A migration that changes rows may have been applied or not: the tables do not show it.
    """
    parts = [part for _, script in migrations for part in statements(script) if part.tokens]
    if not parts or not all(map(_only_defines, parts)):
        return False
    try:
        with SchemaEngine() as engine:
            apply_migrations(engine.connection, migrations, accept_loss=True)
            return _definitions(engine.connection) == _definitions(connection)
    except MigrationError:
        return False


def _only_defines(statement: Statement) -> bool:
    tokens = statement.tokens
    if tokens[0].is_word("CREATE"):
        # CREATE TABLE … AS SELECT has rows.
        return not (tokens[1].is_word("TABLE") and any(map(_begins_rows, tokens, tokens[1:])))
    return tokens[0].is_word("ALTER", "DROP", "PRAGMA") or _is_copy(tokens)


def _begins_rows(token: SqlToken, following: SqlToken) -> bool:
    return token.is_word("AS") and following.is_word("SELECT", "VALUES", "WITH")


def _is_copy(tokens: Sequence[SqlToken]) -> bool:
    """True for the statement of a redefined table: INSERT INTO new_T (columns) SELECT columns FROM T."""
    words = [token.normal for token in tokens]
    match words:
        case ["insert", "into", target, "(", *rest] if target.startswith("new_") and ")" in rest:
            columns = rest[: rest.index(")")]
            return rest[len(columns) + 1 :] == ["select", *columns, "from", target.removeprefix("new_")]
    return False


def _definitions(connection: apsw.Connection) -> frozenset[_Definition]:
    """The statements that made the tables, indexes, views and triggers, without blanks and comments."""
    return frozenset(
        tuple(token.normal for token in tokenize(str(sql)) if token.kind != "blank")
        for table, sql in connection.execute(OWN_OBJECTS)
        if not is_own(str(table)) or is_made_by_migrations(str(table))
    )
