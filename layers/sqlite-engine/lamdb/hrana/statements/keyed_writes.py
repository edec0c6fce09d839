"""Rows of WITHOUT ROWID tables that a transaction writes, by their primary keys.

SQLite's update hook does not tell of them. A session does (https://www.sqlite.org/sessionintro.html), also
beside other sessions on the connection; the preupdate hook of APSW would exclude those.
"""

import weakref
from collections.abc import Callable, Collection, Iterator
from itertools import product
from typing import Any, Final

import apsw

from lamdb.prisma.sqlite.catalog import quote

type Selection = tuple[str, tuple[Any, ...]]
"""A condition on rows of a table, and its values."""
type OtherForm = Callable[[str, str, Any], Any]
"""Returns another form of the value of a table's column; None if it has none."""

_MOST_BYTES: Final = 64 * 1024 * 1024
"""Memory of a session beyond which whole tables are selected."""
_VALUES_AT_ONCE: Final = 2000

_known: "weakref.WeakKeyDictionary[apsw.Connection, tuple[int, dict[str, tuple[str, ...]]]]" = (
    weakref.WeakKeyDictionary()
)
"""By connection: the schema's version, and the columns of each WITHOUT ROWID table (in lower case)."""


class KeyedWrites:
    """The writes to some tables from `watch` on. `close` it."""

    __slots__ = ("_connection", "_session", "_tables")

    def __init__(self, connection: apsw.Connection, tables: Collection[str]) -> None:
        """`tables`: names in lower case; those with a rowid are left out."""
        self._connection = connection
        found = _without_rowid(connection)
        self._tables = {name: found[name] for name in tables if name in found} if found else {}
        self._session: apsw.Session | None = None

    def watch(self) -> None:
        """Begins, or goes on, to note which rows are written."""
        if not self._tables:
            return
        if self._session is None:
            self._session = apsw.Session(self._connection, "main")
            for table in self._tables:
                self._session.attach(table)
        self._session.enabled = True

    def stop(self) -> None:
        if self._session is not None:
            self._session.enabled = False

    def close(self) -> None:
        """Forgets what was noted."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def selections(self, other_form: OtherForm) -> Iterator[tuple[str, list[Selection]]]:
        """Yields tables with selections of their rows that were inserted or updated and are still there.

        These hold also once values of the key are replaced by their other form.
        """
        if self._session is None or self._session.is_empty:
            return
        keys: dict[str, list[tuple[Any, ...]]] = {}
        try:
            if self._session.memory_used > _MOST_BYTES:
                raise apsw.FullError
            for change in apsw.Changeset.iter(self._session.changeset()):
                row = change.new if change.op == "INSERT" else change.old if change.op == "UPDATE" else None
                if row is not None:
                    key = tuple(row[index] for index in sorted(change.pk_columns))
                    keys.setdefault(change.name.lower(), []).append(key)
        except (apsw.FullError, apsw.SchemaChangeError):
            # Too much, or the transaction has changed one of the tables.
            yield from ((table, [("1", ())]) for table in self._tables)
            return
        for table, found in keys.items():
            columns = self._tables[table]
            all_keys: list[tuple[Any, ...]] = []
            for key in found:
                forms = [
                    {value, other_form(table, name, value)} - {None}
                    for name, value in zip(columns, key, strict=True)
                ]
                all_keys += product(*forms)
            yield table, list(self._selected(columns, all_keys))

    def _selected(self, columns: tuple[str, ...], keys: list[tuple[Any, ...]]) -> Iterator[Selection]:
        row = f"({', '.join('?' * len(columns))})"
        size = max(1, _VALUES_AT_ONCE // len(columns))
        names = ", ".join(map(quote, columns))
        for first in range(0, len(keys), size):
            part = keys[first : first + size]
            rows = ", ".join([row] * len(part))
            yield f"({names}) IN (VALUES {rows})", tuple(value for key in part for value in key)


def _without_rowid(connection: apsw.Connection) -> dict[str, tuple[str, ...]]:
    """The key's columns, in the order of the table, by WITHOUT ROWID table."""
    version = int(connection.pragma("schema_version"))
    known = _known.get(connection)
    if known is not None and known[0] == version:
        return known[1]
    rows = connection.execute(
        "SELECT lower(l.name), c.name FROM pragma_table_list l, pragma_table_info(l.name, 'main') c"
        " WHERE l.schema = 'main' AND l.type = 'table' AND l.wr AND c.pk > 0 ORDER BY l.name, c.cid"
    )
    found: dict[str, tuple[str, ...]] = {}
    for table, column in rows:
        found[str(table)] = (*found.get(str(table), ()), str(column))
    _known[connection] = (version, found)
    return found
