"""A client of the operator API, which raises its errors as lamDB's own."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lamdb.cli.targets.target import GRAPHQL, OPERATOR, Question, Response, Target
from lamdb.errors import NotFound, RemoteError
from lamdb.prisma.migrate.migrations import Migration

MOST: Final = 1000
"""Restore points per request."""

LOST: Final = frozenset(
    {
        "REMOTE_UNAVAILABLE",
        "FUNCTION_UNAVAILABLE",
        "COMMIT_UNKNOWN",
        "INTEGRATION_TIMEOUT",
        "INTEGRATION_FAILURE",
    }
)
"""Codes after which something may have been done or not. Some are API Gateway's."""

NO_OPERATORS: Final = (
    "A server has it with LAMDB_OPERATOR_TOKEN, or if it listens to its own machine only.\n"
    "API Gateway has it for signed requests: --sign, or use --stack."
)

STATUS: Final = """
{
  database {
    store txid committedAt size pageSize pages uncompactedFiles lag schemaHash readOnly
    lastCheck { finishedAt files size faults }
    levels { level files size minTxid maxTxid }
    versions { lamdb sqlite prisma python }
  }
  migrations { name checksum startedAt finishedAt rolledBackAt steps logs }
  restorable { states oldest { txid time size level } newest { txid time size level } }
}
"""
"""The data of `lamdb status`, complete."""
_MIGRATIONS: Final = "{ database { txid schemaHash } migrations { name checksum finishedAt rolledBackAt } }"
_TABLES: Final = "{ tables }"
_POINTS: Final = """
query ($first: Int!) {
  restorable { states }
  restorePoints(first: $first) { txid time size }
}
"""
_SCHEMA: Final = "{ schemaFiles { name text } }"
_MIGRATE: Final = """
mutation ($migrations: [MigrationInput!]!, $files: [SchemaFileInput!]!, $dryRun: Boolean!) {
  # Whether the migrations lead to the schema was found out before: it needs no database.
  migrate(migrations: $migrations, files: $files, dryRun: $dryRun, allowUnmigrated: true) {
    applied { name milliseconds changedRows } schemaChanged txid
    values: columns { table column type converted left example reason }
  }
}
"""
# An older lamDB elsewhere has no such argument: it is sent only where it says something.
_MIGRATE_WITH_LOSS: Final = _MIGRATE.replace(
    "allowUnmigrated: true", "allowUnmigrated: true, acceptDataLoss: true"
)
_RESOLVE: Final = """
mutation ($migration: String!, $as: Resolution!, $migrations: [MigrationInput!]) {
  resolve(migration: $migration, as: $as, migrations: $migrations) { name }
}
"""
_RESET: Final = """
mutation ($confirm: String!, $migrations: [MigrationInput!]!, $files: [SchemaFileInput!]!) {
  reset(confirm: $confirm, migrations: $migrations, files: $files) {
    before txid applied { name milliseconds changedRows }
    values: columns { table column type converted left example reason }
  }
}
"""
_VERIFY: Final = "mutation ($txid: Long) { verify(txid: $txid) { ok txid size faults values: columns } }"
# As above: sent only where it is asked for.
_VERIFY_BY_LITESTREAM: Final = """
mutation ($txid: Long) {
  verify(txid: $txid, litestream: true) {
    ok txid size faults values: columns litestreamTxid
  }
}
"""
_REPAIR: Final = """
mutation ($dryRun: Boolean!) {
  repair(dryRun: $dryRun) { txid values: columns { table column type converted left example reason } }
}
"""
_COMPACT: Final = """
mutation ($prune: Boolean!) {
  compact(prune: $prune) { finished merges bytesWritten deleted uncompactedFiles }
}
"""
_PLAN_COMPACTION: Final = """
mutation ($prune: Boolean!) {
  compact(prune: $prune, dryRun: true) { merges deleted }
}
"""
_RESTORE: Final = """
mutation ($to: String!, $txid: Long, $at: DateTime) {
  restore(to: $to, txid: $txid, at: $at) { store txid size }
}
"""


class Operator:
    """Every method raises `RemoteError` for what the other lamDB refused, and what `Target.ask` raises."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def status(self) -> dict[str, Any]:
        """`database`, `migrations` and `restorable`, as the operator API has them."""
        return self._ask(STATUS)

    def history(self) -> dict[str, Any]:
        """The part of `status` that a deployment changes."""
        return self._ask(_MIGRATIONS)

    def tables(self) -> str:
        """The script that makes the tables as they are."""
        return str(self._ask(_TABLES)["tables"])

    def restore_points(self, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """How many there are, and the newest of them, newest first."""
        found = self._ask(_POINTS, {"first": min(limit, MOST)})
        return found["restorable"]["states"], found["restorePoints"]

    def schema_files(self) -> dict[str, str]:
        """The files of the schema that the database carries, by name; none if it carries none."""
        return {each["name"]: each["text"] for each in self._ask(_SCHEMA)["schemaFiles"]}

    def migrate(
        self,
        migrations: Sequence[Migration],
        files: Mapping[str, str],
        *,
        dry_run: bool,
        accept_loss: bool = False,
    ) -> dict[str, Any]:
        document = _MIGRATE_WITH_LOSS if accept_loss else _MIGRATE
        return self._do(document, {**_project(migrations, files), "dryRun": dry_run})

    def resolve(self, name: str, resolution: str, migrations: Sequence[Migration]) -> None:
        inputs = _inputs(migrations)
        self._ask(_RESOLVE, {"migration": name, "as": resolution, "migrations": inputs})

    def reset(
        self, confirm: str, migrations: Sequence[Migration], files: Mapping[str, str]
    ) -> dict[str, Any]:
        return self._do(_RESET, {"confirm": confirm, **_project(migrations, files)})

    def verify(self, txid: int | None, *, litestream: bool = False) -> dict[str, Any]:
        return self._do(_VERIFY_BY_LITESTREAM if litestream else _VERIFY, {"txid": txid})

    def repair(self, *, dry_run: bool) -> dict[str, Any]:
        return self._do(_REPAIR, {"dryRun": dry_run})

    def compact(self, *, prune: bool) -> dict[str, Any]:
        """The result of one call; call again until it is `finished`."""
        return self._do(_COMPACT, {"prune": prune})

    def plan_compaction(self, *, prune: bool) -> dict[str, Any]:
        """`merges` and `deleted`: what `compact` would begin with. Older lamDBs refuse it."""
        return self._do(_PLAN_COMPACTION, {"prune": prune})

    def restore(self, to: str, *, txid: int | None, at: str | None) -> dict[str, Any]:
        return self._do(_RESTORE, {"to": to, "txid": txid, "at": at})

    def query(self, document: str) -> dict[str, Any]:
        """The data that a document of the data API gives."""
        return _data(self._target.ask(GRAPHQL, Question(document)), self._target.name)

    def _ask(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _data(self._target.ask(OPERATOR, Question(document, variables)), self._target.name)

    def _do(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The value of the one field of a document."""
        (value,) = self._ask(document, variables).values()
        return value  # type: ignore[no-any-return]


def _data(response: Response, name: str) -> dict[str, Any]:
    errors = response.get("errors")
    if errors:
        raise _error(errors[0])
    data = response.get("data")
    if not isinstance(data, dict):
        raise RemoteError(f"{name} answered with neither data nor errors.")
    return data


def _error(entry: Mapping[str, Any]) -> RemoteError:
    extensions = entry.get("extensions") or {}
    if extensions.get("code") == NotFound.code:
        return RemoteError(
            "There is no operator API at this address, or you may not use it.",
            code=NotFound.code,
            hint=NO_OPERATORS,
        )
    return RemoteError(
        str(entry.get("message") or "no message was given"),
        code=str(extensions.get("code") or RemoteError.code),
        hint=str(extensions.get("hint") or ""),
        meta=extensions.get("meta") or {},
    )


def _project(migrations: Sequence[Migration], files: Mapping[str, str]) -> dict[str, Any]:
    texts = [{"name": name, "text": text} for name, text in files.items()]
    return {"migrations": _inputs(migrations), "files": texts}


def _inputs(migrations: Sequence[Migration]) -> list[dict[str, str]]:
    return [{"name": each.name, "sql": each.sql} for each in migrations]
