"""Permissions of statements: an authorizer of SQLite's for each role.

- `read` reads the database.
- `write` also changes rows.
- `admin` also changes the schema, and sees and changes the tables of lamDB and of Prisma's migrations.

No role may reach beyond the database (ATTACH, extensions), change settings of the connection that others use
(PRAGMA), or make temporary objects, which would be missing for the next request.
"""

import re
from typing import Final

import apsw

from lamdb.access.identity import Role
from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE
from lamdb.search.definition import OWN_PREFIX as SEARCH_PREFIX

OWN_PREFIX: Final = "_lamdb"
_OWN_SAVEPOINTS: Final = "lamdb_"

_TABLES_OF_SCHEMA: Final = frozenset({"sqlite_master", "sqlite_schema"})

_PAGES: Final = "sqlite_dbpage"

_ROWS: Final = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})
_SCHEMA: Final = frozenset(
    {
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_CREATE_TABLE,
        apsw.SQLITE_CREATE_TRIGGER,
        apsw.SQLITE_CREATE_VIEW,
        apsw.SQLITE_CREATE_VTABLE,
        apsw.SQLITE_DROP_INDEX,
        apsw.SQLITE_DROP_TABLE,
        apsw.SQLITE_DROP_TRIGGER,
        apsw.SQLITE_DROP_VIEW,
        apsw.SQLITE_DROP_VTABLE,
        apsw.SQLITE_ALTER_TABLE,
        apsw.SQLITE_REINDEX,
        apsw.SQLITE_ANALYZE,
    }
)
_OF_A_TABLE: Final = frozenset(
    {
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_DROP_INDEX,
        apsw.SQLITE_CREATE_TRIGGER,
        apsw.SQLITE_DROP_TRIGGER,
    }
)
"""Those whose second argument is the table."""
_HARMLESS: Final = frozenset({apsw.SQLITE_REINDEX, apsw.SQLITE_ANALYZE})
_TEMPORARY: Final = frozenset(
    {
        apsw.SQLITE_CREATE_TEMP_INDEX,
        apsw.SQLITE_CREATE_TEMP_TABLE,
        apsw.SQLITE_CREATE_TEMP_TRIGGER,
        apsw.SQLITE_CREATE_TEMP_VIEW,
    }
)
_ALWAYS: Final = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE, apsw.SQLITE_TRANSACTION})
_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})

_ASKING_PRAGMAS: Final = frozenset({
    "table_info", "table_xinfo", "table_list", "index_list", "index_info",
    "index_xinfo", "foreign_key_list", "foreign_key_check", "integrity_check", "quick_check",
})  # fmt: skip
"""Those whose argument says what is asked for."""
_PLAIN_PRAGMAS: Final = frozenset({
    "application_id", "auto_vacuum", "cache_size", "case_sensitive_like", "collation_list",
    "compile_options", "data_version", "database_list", "default_cache_size", "defer_foreign_keys",
    "encoding", "foreign_keys", "freelist_count", "function_list", "journal_mode",
    "legacy_alter_table", "locking_mode", "max_page_count", "module_list", "page_count",
    "page_size", "pragma_list", "query_only", "read_uncommitted", "recursive_triggers", "schema_version",
    "synchronous", "temp_store", "user_version",
})  # fmt: skip
"""Those that are read if they have no argument."""
_SETTABLE: Final = frozenset({"foreign_keys", "defer_foreign_keys"})
"""Those that a session may set: see `pragmas`."""
_FREE_SPACE: Final = (
    "the space of deleted rows is used again, and `lamdb compact` removes files that are not needed"
)
_INSTEAD: Final = {
    "incremental_vacuum": _FREE_SPACE,
    "optimize": "ANALYZE updates the statistics, with the role admin",
    "wal_autocheckpoint": "there is no WAL; `lamdb compact` merges commits",
    "wal_checkpoint": "there is no WAL; `lamdb compact` merges commits",
}
"""By pragma of maintenance: the means that lamDB has instead."""
_ADMIN_SETTABLE: Final = frozenset({"user_version", "application_id", "legacy_alter_table"})


_INTO: Final = re.compile(r"\bINTO\b", re.IGNORECASE)


class Guard:
    """The authorizer of one role. `reason`: of what was refused last."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.reason: str | None = None
        self.protected: frozenset[str] | None = None
        """Tables that only migrations may change, in lower case; None before the first use."""
        self.is_off = False
        """While lamDB executes statements of its own."""

    def __call__(
        self, operation: int, first: str | None, second: str | None, database: str | None, by: str | None
    ) -> int:
        # Most calls are of this kind.
        if operation == apsw.SQLITE_READ and (not first or first[0] != "_" or self.role is Role.ADMIN):
            return apsw.SQLITE_OK
        if self.is_off or self._is_of_search(operation, first or "", by):
            return apsw.SQLITE_OK
        reason = self._refusal(operation, first or "", second or "", database)
        if reason is None:
            return apsw.SQLITE_OK
        self.reason = reason
        return apsw.SQLITE_DENY

    def _is_of_search(self, operation: int, table: str, by: str | None) -> bool:
        """True if an operation is part of a search: of its reading, which FTS5 does by statements of its own,
        or of the triggers that keep it true.
        """
        if not table.lower().startswith(SEARCH_PREFIX):
            return False
        return operation == apsw.SQLITE_READ or (
            operation in _ROWS and by is not None and self.role is not Role.READ
        )

    def _refusal(self, operation: int, first: str, second: str, database: str | None) -> str | None:
        if operation == apsw.SQLITE_READ:
            return f"{first} is lamDB's own: reading it requires the role admin" if is_own(first) else None
        if operation in _ALWAYS:
            return None
        if operation in _ROWS:
            return self._rows(operation, first, second, database)
        if operation == apsw.SQLITE_FUNCTION:
            return f"{second} may not be called" if second.lower() in _FUNCTIONS else None
        if operation == apsw.SQLITE_SAVEPOINT:
            own = second.lower().startswith(_OWN_SAVEPOINTS)
            return f"the savepoint {second} is lamDB's own" if own else None
        if operation == apsw.SQLITE_PRAGMA:
            return self._pragma(first.lower(), second)
        if operation in _SCHEMA and database != "temp":
            return self._schema(operation, first, second)
        if operation in _TEMPORARY or database == "temp":
            return (
                "temporary tables, views, indexes and triggers cannot be created: no request would see them"
            )
        if operation in (apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH):
            word = "ATTACH" if operation == apsw.SQLITE_ATTACH else "DETACH"
            return f"{word} is not allowed: a request uses one database"
        return "the statement is not allowed"

    def _rows(self, operation: int, table: str, column: str, database: str | None) -> str | None:
        if self.role is Role.READ:
            return "changing rows requires the role write"
        if table.lower() == _PAGES:
            return f"{table} would change pages, past SQLite's rules"
        if table.lower() in _TABLES_OF_SCHEMA:
            # SQLite does so for CREATE and DROP, which are asked about before.
            return None if self.role is Role.ADMIN else "changing the schema requires the role admin"
        if self.role is not Role.ADMIN and is_reserved(table):
            return f"{table} is reserved for lamDB and SQLite: changing it requires the role admin"
        return None

    def _schema(self, operation: int, first: str, second: str) -> str | None:
        if self.role is not Role.ADMIN:
            return "changing the schema requires the role admin"
        if operation in _HARMLESS:
            # Of all tables, if none is named.
            return None
        table = second if operation == apsw.SQLITE_ALTER_TABLE else first
        if is_own(table) or is_own(second):
            return f"{table} is lamDB's own: it may not be created, altered or dropped"
        owner = second if operation in _OF_A_TABLE else table
        if owner.lower() in (self.protected or ()):
            return f"{owner} belongs to the Prisma schema, which migrations change: lamdb migrate dev"
        return None

    def _pragma(self, name: str, argument: str) -> str | None:
        if name in _ASKING_PRAGMAS or (not argument and name in _PLAIN_PRAGMAS) or name in _SETTABLE:
            return None
        if self.role is Role.ADMIN and name in _ADMIN_SETTABLE:
            return None
        if argument and name in _PLAIN_PRAGMAS:
            return f"PRAGMA {name} may be read, but not set"
        instead = _INSTEAD.get(name)
        return f"PRAGMA {name} is not allowed" + (f": {instead}" if instead else "")


def refusal_of_vacuum(sql: str) -> str:
    """Returns the reason why VACUUM is refused, which SQLite's authorizer is not asked about."""
    if _INTO.search(sql):
        return "VACUUM INTO is not available: `lamdb export FILE` writes a copy of the database"
    return f"VACUUM is not available: {_FREE_SPACE}"


def is_own(table: str) -> bool:
    """True if a table is lamDB's own, and no part of the data."""
    return table.lower().startswith(OWN_PREFIX)


def is_reserved(table: str) -> bool:
    """True if changing the rows of a table requires the role admin."""
    return is_own(table) or table.lower() == MIGRATIONS_TABLE
