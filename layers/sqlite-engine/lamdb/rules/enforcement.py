"""Enforcing rules on a connection of SQLite.

For each table a temporary view has the rows that the caller may read, and temporary triggers refuse to
create, or pass over, the rows that the caller may not change. They ask functions of SQL for the caller, so
they are made once for a connection and serve every caller. `RuledConnection` puts the views in the place of
the tables of `main` in the statements of lamDB's own query plans, which name them so.

Triggers do nothing for requests that are not bound by rules, on the same connection.
"""

import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import apsw

from lamdb.errors import EngineError
from lamdb.rules.caller import Caller
from lamdb.rules.definition import Parent, Rules, TableRules
from lamdb.rules.symbols import AUTHENTICATED, BOUND, CLAIM, CLAIM_HAS, PREFIX, ROW, VIOLATION

_WRITE: Final = re.compile(
    r"\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|UPDATE(?:\s+OR\s+\w+)?|DELETE\s+FROM|REPLACE\s+INTO)\s+"
    r"`main`\.`(?P<table>(?:[^`]|``)+)`",
    re.IGNORECASE,
)
_MENTION: Final = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`main`\.`(?P<table>(?:[^`]|``)+)`|`(?:[^`]|``)*`"
)


_SOURCE: Final = re.compile(
    r"\b(?:FROM|JOIN)\s+(?:[`\"]?(?:main|temp)[`\"]?\s*\.\s*)?[`\"]?(?P<table>[^\s`\"(),.;]+)", re.IGNORECASE
)
"""A table that a statement reads, however it is quoted or qualified."""

_ROWIDS: Final = ("rowid", "_rowid_", "oid")
"""The names of a rowid: https://www.sqlite.org/lang_createtable.html#rowid"""

type Rewrite = Callable[[str], str]


class _State:
    """The caller of the request that uses a connection."""

    __slots__ = ("caller",)

    def __init__(self) -> None:
        self.caller: Caller | None = None


_STATES: Final[weakref.WeakKeyDictionary[apsw.Connection, _State]] = weakref.WeakKeyDictionary()


class RuledConnection:
    """A connection whose statements see and change what the caller may.

    Statements that are not a query plan's own must name tables of `main` in the same way, or none with rules.
    """

    __slots__ = ("rewrite", "rules", "wrapped")

    def __init__(self, connection: apsw.Connection, rules: Rules) -> None:
        self.wrapped = connection
        self.rules = rules
        self.rewrite = _rewriting(rules)

    def execute(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return self.wrapped.execute(self.rewrite(sql), *arguments, **options)

    def executemany(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return self.wrapped.executemany(self.rewrite(sql), *arguments, **options)

    def cursor(self) -> Any:
        return _RuledCursor(self.wrapped.cursor(), self.rewrite)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)


class _RuledCursor:
    __slots__ = ("_cursor", "_rewrite")

    def __init__(self, cursor: apsw.Cursor, rewrite: Rewrite) -> None:
        self._cursor = cursor
        self._rewrite = rewrite

    def execute(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return self._cursor.execute(self._rewrite(sql), *arguments, **options)

    @property
    def exec_trace(self) -> Any:
        return self._cursor.exec_trace

    @exec_trace.setter
    def exec_trace(self, trace: Any) -> None:
        self._cursor.exec_trace = trace

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@contextmanager
def ruled(connection: apsw.Connection, rules: Rules, caller: Caller) -> Iterator[RuledConnection]:
    """Binds a connection to a caller until the block is left."""
    state = _STATES.get(connection)
    if state is None:
        state = _STATES[connection] = _State()
        _add_functions(connection, state)
    if not _is_made(connection, rules):
        _remove(connection)
        _make(connection, rules)
    before, state.caller = state.caller, caller
    try:
        yield RuledConnection(connection, rules)
    finally:
        state.caller = before


def release(connection: apsw.Connection) -> None:
    """Removes everything that `ruled` left on a connection, so that tables can be altered.

    SQLite refuses to rename tables while a view names one that is missing.
    """
    if connection in _STATES:
        _remove(connection)


def is_ruled(connection: Any) -> bool:
    """Returns True if the connection is bound by rules."""
    return isinstance(connection, RuledConnection)


def unruled(connection: apsw.Connection) -> apsw.Connection:
    """Returns the connection without its rules, for statements that keep to them by themselves."""
    return connection.wrapped if isinstance(connection, RuledConnection) else connection


def rewritten(connection: apsw.Connection, sql: str) -> str:
    """Returns a statement of a query plan as the connection would execute it."""
    return connection.rewrite(sql) if isinstance(connection, RuledConnection) else sql


def readable_rows(connection: apsw.Connection, model: str, rowid: str) -> str | None:
    """Returns a SELECT of the rowids of `model`, as `t`, that the caller may read; it ends in a condition.

    None if the connection is not bound by rules.
    """
    if not isinstance(connection, RuledConnection):
        return None
    table = connection.rules.of(model)
    condition = table.conditions["read"].replace(ROW, "t")
    return f'SELECT t."{rowid}" FROM main."{table.table}" AS t WHERE ({condition})'


def _add_functions(connection: apsw.Connection, state: _State) -> None:
    def claim(*arguments: Any) -> str | int | float | None:
        return state.caller.claim(*arguments) if state.caller is not None else None

    def claim_has(*arguments: Any) -> int:
        return state.caller.claim_has(*arguments) if state.caller is not None else 0

    def authenticated(*_: Any) -> int:
        return int(state.caller is not None and state.caller.claims is not None)

    def bound(*_: Any) -> int:
        return int(state.caller is not None)

    # Deterministic within a statement: SQLite then calls them once for it instead of once for each row.
    connection.create_scalar_function(CLAIM, claim, 2, deterministic=True)
    connection.create_scalar_function(CLAIM_HAS, claim_has, 2, deterministic=True)
    connection.create_scalar_function(AUTHENTICATED, authenticated, 0, deterministic=True)
    connection.create_scalar_function(BOUND, bound, 0, deterministic=True)


def _is_made(connection: apsw.Connection, rules: Rules) -> bool:
    """True if everything that `_make` creates is there: a transaction that was rolled back takes it along."""
    found = "SELECT 1 FROM temp.sqlite_schema WHERE name = ?"
    return connection.execute(found, (f"{PREFIX}{rules.digest}",)).fetchone() is not None


def _make(connection: apsw.Connection, rules: Rules) -> None:
    present: dict[str, tuple[str, int]] = {
        str(name): (str(kind), int(str(without_rowid)))
        for name, kind, without_rowid in connection.execute(
            "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'"
        )
    }
    for table in rules.tables:
        if table.table not in present:
            continue
        kind, without_rowid = present[table.table]
        is_table = kind == "table"
        columns = ", ".join(f't."{column}"' for column in table.columns)
        columns += _rowids(table.columns) if is_table and not without_rowid else ""
        _view(connection, table.table, columns, table.conditions["read"])
        if is_table:  # a view of the schema cannot be written
            _guard(connection, table)
    for join in rules.joins:
        if join.table in present:
            kind, without_rowid = present[join.table]
            columns = "t.A, t.B" + (_rowids(("A", "B")) if kind == "table" and not without_rowid else "")
            _view(connection, join.table, columns, join.read)
            _refuse(connection, join.table, "AFTER INSERT", join.change, f"update {join.table}")
            parents = _enforced(connection, join.table, join.parents)
            changed_join = _or_orphaned(f"({join.change.replace(ROW, 'OLD')})", parents)
            _pass_over(connection, join.table, "UPDATE", changed_join)
            _pass_over(connection, join.table, "DELETE", changed_join)
    # The mark that the rest is there, so it comes last.
    connection.execute(f'CREATE TEMP VIEW "{PREFIX}{rules.digest}" AS SELECT 1')


def _guard(connection: apsw.Connection, rules: TableRules) -> None:
    """The triggers of a table."""
    table, conditions = rules.table, rules.conditions
    parents = _enforced(connection, table, rules.parents)
    changed = {name: condition.replace(ROW, "OLD") for name, condition in conditions.items()}
    _refuse(connection, table, "AFTER INSERT", conditions["create"], f"create {rules.model}")
    for event in ("UPDATE", "DELETE"):
        condition = f"({changed['read']} AND {changed[event.lower()]})"
        _pass_over(connection, table, event, _or_orphaned(condition, parents))
    if conditions["post-update"] != "1":
        _refuse(connection, table, "AFTER UPDATE", conditions["post-update"], f"update {rules.model}")


def _rowids(columns: Sequence[str]) -> str:
    """The rowid of a table for its view, under each of its names that no column has.

    Rewritten plans and searches use different ones.
    """
    taken = {column.lower() for column in columns}
    return "".join(f", t.{name} AS {name}" for name in _ROWIDS if name not in taken)


def _view(connection: apsw.Connection, table: str, columns: str, condition: str) -> None:
    read = condition.replace(ROW, "t")
    connection.execute(
        f'CREATE TEMP VIEW "{PREFIX}{table}" AS SELECT {columns} FROM main."{table}" AS t WHERE {read}'
    )


def _enforced(connection: apsw.Connection, table: str, parents: Sequence[Parent]) -> Sequence[Parent]:
    """The parents that a foreign key of the table refers to.

    With `relationMode = "prisma"` there is none: SQLite changes no rows there, and parents may be missing.
    """
    keys: dict[int, tuple[str, list[tuple[str, str | None]]]] = {}
    listed = 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?, \'main\')'
    for number, parent, own, its in connection.execute(listed, (table,)):
        # Without a column of the parent, its primary key is meant.
        column = None if its is None else str(its).lower()
        keys.setdefault(int(str(number)), (str(parent).lower(), []))[1].append((str(own).lower(), column))

    def is_enforced(parent: str, pairs: Sequence[tuple[str, str]]) -> bool:
        wanted = sorted((own.lower(), its.lower()) for own, its in pairs)
        owns = [own for own, _ in wanted]
        return any(
            name == parent.lower()
            and sorted(own for own, _ in found) == owns
            and all(its is None or (own, its) in wanted for own, its in found)
            for name, found in keys.values()
        )

    return [(parent, pairs) for parent, pairs in parents if is_enforced(parent, pairs)]


def _or_orphaned(condition: str, parents: Sequence[Parent]) -> str:
    """Adds that a row's parent is gone: SQLite then changes the row itself, as its foreign key demands."""
    for table, pairs in parents:
        known = " AND ".join(f'OLD."{own}" IS NOT NULL' for own, _ in pairs)
        same = " AND ".join(f'p."{its}" = OLD."{own}"' for own, its in pairs)
        condition += f' OR ({known} AND NOT EXISTS (SELECT 1 FROM main."{table}" AS p WHERE {same}))'
    return f"({condition})" if parents else condition


def _refuse(connection: apsw.Connection, table: str, event: str, condition: str, what: str) -> None:
    """A trigger that ends the statement if a new row does not fulfil the condition."""
    name = f"{PREFIX}{table} {event}"
    new = condition.replace(ROW, "NEW")
    message = f"{VIOLATION}{what}".replace("'", "''")
    connection.execute(
        f'CREATE TEMP TRIGGER "{name}" {event} ON main."{table}"'
        f" WHEN {BOUND}() AND NOT coalesce({new}, 0) BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


def _pass_over(connection: apsw.Connection, table: str, event: str, condition: str) -> None:
    """A trigger that leaves a row as it is if it does not fulfil the condition."""
    connection.execute(
        f'CREATE TEMP TRIGGER "{PREFIX}{table} {event}" BEFORE {event} ON main."{table}"'
        f" WHEN {BOUND}() AND NOT coalesce({condition}, 0) BEGIN SELECT RAISE(IGNORE); END"
    )


def _remove(connection: apsw.Connection) -> None:
    made = connection.execute(
        "SELECT type, name FROM temp.sqlite_schema WHERE substr(name, 1, ?) = ? ORDER BY type",
        (len(PREFIX), PREFIX),
    ).fetchall()
    for kind, name in made:
        connection.execute(f'DROP {kind} temp."{name}"')


# --- statements -----------------------------------------------------------------------------------


@lru_cache(8)
def _rewriting_of(digest: str, tables: frozenset[str]) -> Rewrite:
    @lru_cache(4096)
    def rewrite(sql: str) -> str:
        return with_views(sql, tables)

    return rewrite


def _rewriting(rules: Rules) -> Rewrite:
    names = frozenset({each.table for each in rules.tables} | {each.table for each in rules.joins})
    return _rewriting_of(rules.digest, names)


def with_views(sql: str, tables: frozenset[str]) -> str:
    """Returns a statement of a query plan that reads views in the place of these tables.

    The table that a statement writes stays: triggers guard its rows.
    """
    write = _WRITE.match(sql)
    written = write["table"] if write else None
    head, rest = (sql[: write.end()], sql[write.end() :]) if write else ("", sql)

    def replaced(found: re.Match[str]) -> str:
        table = found["table"]
        if table is None or table not in tables:
            return found[0]
        if table == written and rest[found.end() : found.end() + 1] == ".":
            return found[0]  # a column of the row that is written
        return f"`{PREFIX}{table}`"

    made = _MENTION.sub(replaced, rest)
    for found in _SOURCE.finditer(made):
        if found["table"] in tables:
            # No plan is known that does so. It must not be a way past the rules.
            raise EngineError(f"A query plan reads {found['table']} past the rules of the schema.", hint="")
    return head + made
