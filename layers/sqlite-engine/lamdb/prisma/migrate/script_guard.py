"""Guards against scripts that reach beyond their database or change the connection permanently."""

from typing import Final

import apsw

from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE

_SETTABLE: Final = (
    "foreign_keys",
    "defer_foreign_keys",
    "legacy_alter_table",
    "user_version",
    "application_id",
)
"""Switched back afterwards, or kept in the database and undone with the transaction."""

_READING: Final = (
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
    "foreign_key_check", "integrity_check", "quick_check", "optimize",
)  # fmt: skip
"""Those whose argument says what is asked for."""

_ACTING: Final = (
    "wal_checkpoint",
    "shrink_memory",
    "writable_schema",
    "data_store_directory",
    "incremental_vacuum",
)
"""Those that do something even without an argument."""

_OUTSIDE: Final = {
    apsw.SQLITE_ATTACH: "ATTACH is not allowed: a migration changes one database",
    apsw.SQLITE_DETACH: "DETACH is not allowed: a migration changes one database",
    apsw.SQLITE_TRANSACTION: "BEGIN, COMMIT and ROLLBACK are not allowed: a migration is one transaction",
}
VACUUM: Final = "VACUUM is not allowed: it cannot be part of a transaction"
_FUNCTIONS: Final = ("load_extension", "fts3_tokenizer")
_OWN_SAVEPOINTS: Final = ("lamdb_", "prisma")
_HISTORY: Final = f"{MIGRATIONS_TABLE} is the history of migrations: a script may not drop or alter it"


class ScriptGuard:
    """An authorizer of SQLite's for the statements of a script. `reason` says what was refused last."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def __call__(self, operation: int, first: str | None, second: str | None, *_: str | None) -> int:
        reason = self._refusal(operation, first or "", second)
        if reason is None:
            return apsw.SQLITE_OK
        self.reason = reason
        return apsw.SQLITE_DENY

    def _refusal(self, operation: int, first: str, second: str | None) -> str | None:
        if operation in _OUTSIDE:
            return _OUTSIDE[operation]
        if operation == apsw.SQLITE_PRAGMA:
            name = first.lower()
            is_read = second is None and name not in _ACTING
            if is_read or name in _SETTABLE or name in _READING:
                return None
            return f"PRAGMA {name} is not allowed: it would outlast the migration"
        if operation == apsw.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
            return f"{second} is not allowed in a migration"
        if operation == apsw.SQLITE_SAVEPOINT and (second or "").lower().startswith(_OWN_SAVEPOINTS):
            return f"the savepoint {second} is not the script's own"
        if _is_history(operation, first, second or ""):
            return _HISTORY
        return None


class ShadowGuard(ScriptGuard):
    """For a database in memory on which the schema engine runs scripts, in transactions of its own."""

    def _refusal(self, operation: int, first: str, second: str | None) -> str | None:
        if operation in (apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT, apsw.SQLITE_DROP_TABLE):
            return None
        return super()._refusal(operation, first, second)


def _is_history(operation: int, first: str, second: str) -> bool:
    """True if an operation drops or alters the table of applied migrations."""
    if operation == apsw.SQLITE_DROP_TABLE:
        return first.lower() == MIGRATIONS_TABLE
    return operation == apsw.SQLITE_ALTER_TABLE and second.lower() == MIGRATIONS_TABLE
