"""The schema in the database: stored beside its tables, in the transaction that changes them.

    made = deployed.compute(schema)              # some 0.3 s at 30 models: before the transaction
    with database.writer() as connection:
        migrate.apply_migrations(connection, migrations)
        deployed.store(connection, made)

    with database.reader() as connection:
        carried = deployed.load(connection)      # a few ms; None if the database carries no schema

A read of the database after transaction n finds the schema of n, so a restored or past state has its own. Two
tables hold it, which Prisma's engines do not see. `_lamdb_schema` has one row: the hash, the schema's files
and its text. `_lamdb_api` has what is computed from it, and which version of lamDB computed it; another
version computes it again from the text.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw
import orjson

import lamdb
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.missing_views import missing_views, without_views
from lamdb.prisma.query.inputs import InputGraph
from lamdb.prisma.sqlite.catalog import RESERVED_PREFIX
from lamdb.prisma.wasm.artifacts import PRISMA_BUILD
from lamdb.rules.definition import Rules
from lamdb.rules.symbols import ROW
from lamdb.storage.recording import Recording, configure

_FORMAT: Final = 7
"""Raised when what is computed from a schema changes, the types of the API included."""
PRODUCER: Final = f"lamDB {lamdb.__version__}, format {_FORMAT}, Prisma {PRISMA_BUILD}"
"""The versions whose computations this process can read."""

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS _lamdb_schema (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    hash TEXT NOT NULL,
    files TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _lamdb_api (
    name TEXT PRIMARY KEY,
    producer TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""
_DEFINITIONS: Final = """
SELECT type, name, tbl_name, sql FROM sqlite_schema
WHERE tbl_name NOT GLOB ? AND tbl_name NOT GLOB 'sqlite_*' ORDER BY type, name
"""
_RULED_COLUMN: Final = re.compile(ROW + r'\."((?:[^"]|"")+)"')
_TYPES: Final = "types"
_INPUTS: Final = "inputs"
_INTROSPECTION: Final = "introspection"
_SDL: Final = "sdl"
_PUSHED: Final = "pushed"
_RULES: Final = "rules"


@dataclass(frozen=True, slots=True)
class Deployable:
    """A schema with what is computed from it, ready to be stored."""

    hash: str
    files: tuple[tuple[str, str], ...]
    text: str
    api: Mapping[str, bytes]
    recording: Recording | None = None


@dataclass(frozen=True, slots=True)
class StoredSchema:
    """The schema that a database carries, ready to be served."""

    hash: str
    schema: PrismaSchema
    types: ApiTypes
    inputs: InputGraph | None
    introspection: bytes | None
    rules: Rules | None
    sdl_gzipped: bytes | None
    """None where it was computed by another version, and would have to be again."""


def hash_of(schema: PrismaSchema, missing: Sequence[str] = ()) -> str:
    """Returns the hash that identifies a schema: the sha256 of its files, in hexadecimal.

    `missing` are the views that the database lacks: behind a hyphen follows what tells those apart.
    """
    found = hashlib.sha256(_files_json(schema)).hexdigest()
    return f"{found}-{hashlib.sha256(orjson.dumps(list(missing))).hexdigest()[:12]}" if missing else found


def for_database(connection: apsw.Connection, schema: PrismaSchema, made: Deployable) -> Deployable:
    """Returns the stored form of a schema, without views that the database lacks. Raises as `compute`."""
    missing = missing_views(connection, schema)
    return compute(schema, missing) if missing else made


def compute(schema: PrismaSchema, missing: Sequence[str] = ()) -> Deployable:
    """Everything that is stored of a schema. Raises `SchemaError` if GraphQL cannot express it.

    Views that the database lacks (`missing`) are in the schema's files, and neither in its text nor in the
    API.
    """
    # Few processes deploy: the others need neither.
    from lamdb.graphql.execution.introspection import precompute
    from lamdb.graphql.schema.sdl import render

    served = PrismaSchema.parse(without_views(schema.text, missing)) if missing else schema
    types = ApiTypes.from_dmmf(served.dmmf)
    inputs = InputGraph.from_dmmf(served.dmmf).dumps()
    # The largest of all that is computed, and of no use afterwards: 150 MB at 70 models.
    served.forget_dmmf()
    api = {
        _TYPES: types.dumps(),
        _INPUTS: inputs,
        _INTROSPECTION: precompute(types.copy()),
        _SDL: gzip.compress(render(types.copy()).encode(), mtime=0),
    }
    if served.rules is not None:
        api[_RULES] = served.rules.dumps()
    return Deployable(hash_of(schema, missing), schema.files, served.text, api, _recording(served))


def store(connection: apsw.Connection, made: Deployable) -> bool:
    """Make `made` the schema that the database carries; whether it was another. The caller's transaction."""
    if is_current(connection, made.hash):
        return False
    connection.execute(_CREATE)
    connection.execute(
        "INSERT OR REPLACE INTO _lamdb_schema (id, hash, files, text) VALUES (1, ?, ?, ?)",
        (made.hash, orjson.dumps(made.files).decode(), made.text),
    )
    connection.execute("DELETE FROM _lamdb_api")
    connection.executemany(
        "INSERT INTO _lamdb_api (name, producer, content) VALUES (?, ?, ?)",
        [(name, PRODUCER, content) for name, content in made.api.items()],
    )
    configure(connection, made.recording)
    return True


def _recording(schema: PrismaSchema) -> Recording | None:
    """The tables of models whose changes are recorded, each with the columns that its rules read."""
    found = schema.changes
    if found is None:
        return None
    tables: dict[str, list[str]] = {}
    for model in found.models:
        condition = schema.rules.of(model.model).conditions["read"] if schema.rules is not None else ""
        read = set(_RULED_COLUMN.findall(condition))
        tables[model.table] = [field.column for field in model.fields if field.column in read]
    return Recording(tables, found.seconds, found.bytes)


def is_current(connection: apsw.Connection, schema_hash: str) -> bool:
    """True if the database carries this schema, computed as this process would."""
    if read_hash(connection) != schema_hash:
        return False
    producers = connection.execute("SELECT DISTINCT producer FROM _lamdb_api").fetchall()
    return producers == [(PRODUCER,)]


def mark_pushed(connection: apsw.Connection) -> None:
    """Record that the tables are those of the stored schema. The caller's transaction, after all it changed.

    `is_pushed` is true until a table, index, view or trigger is changed, by whatever means, or another schema
    is stored.
    """
    connection.execute(
        "INSERT OR REPLACE INTO _lamdb_api (name, producer, content) VALUES (?, ?, ?)",
        (_PUSHED, PRODUCER, _digest_of_tables(connection)),
    )


def is_pushed(connection: apsw.Connection, schema_hash: str) -> bool:
    """True if this schema was pushed by a process that computes as this one, and nothing was changed since.

    The record is a part of the database, like the tables that it describes: a restored state has its own.
    """
    if not is_current(connection, schema_hash):
        return False
    found = connection.execute("SELECT content FROM _lamdb_api WHERE name = ?", (_PUSHED,)).get
    return found is not None and found == _digest_of_tables(connection)


def _digest_of_tables(connection: apsw.Connection) -> bytes:
    """The sha256 of the definitions of all that is made from a schema, and of users' own tables."""
    digest = hashlib.sha256()
    for row in connection.execute(_DEFINITIONS, (f"{RESERVED_PREFIX}*",)):
        digest.update(orjson.dumps(row))
    return digest.digest()


def read_hash(connection: apsw.Connection) -> str | None:
    """The hash of the schema that the database carries; None if it carries none. Costs one row."""
    return _schema_column(connection, "hash")


def read_text(connection: apsw.Connection) -> str | None:
    """The text of the schema that the database carries, its files as one; None if it carries none."""
    return _schema_column(connection, "text")


def read_files(connection: apsw.Connection) -> dict[str, str] | None:
    """The files of the schema that the database carries, by name; None if it carries none."""
    files = _schema_column(connection, "files")
    return None if files is None else dict(orjson.loads(files))


def has_rules(connection: apsw.Connection) -> bool:
    """Returns True if the schema that the database carries declares rules of rows. Costs one row."""
    try:
        return connection.execute("SELECT 1 FROM main._lamdb_api WHERE name = ?", (_RULES,)).get is not None
    except apsw.SQLError as error:
        if "no such table" in str(error):
            return False
        raise


def load(connection: apsw.Connection) -> StoredSchema | None:
    """The schema that the database carries; None if it carries none.

    Raises `SchemaError` if another version of lamDB stored it and this one's Prisma refuses its text.
    """
    schema_hash = read_hash(connection)
    if schema_hash is None:
        return None
    rows: Any = connection.execute("SELECT name, content FROM _lamdb_api WHERE producer = ?", (PRODUCER,))
    api = dict(rows)
    if not api:
        return _computed_again(connection, schema_hash)
    text = str(_schema_column(connection, "text"))
    return StoredSchema(
        schema_hash,
        PrismaSchema.trusted(text),
        ApiTypes.loads(api[_TYPES]),
        InputGraph.loads(api[_INPUTS]),
        api[_INTROSPECTION],
        Rules.loads(api[_RULES]) if _RULES in api else None,
        api[_SDL],
    )


def _computed_again(connection: apsw.Connection, schema_hash: str) -> StoredSchema:
    # The text lacks views that the database does not have.
    has_all = "-" not in schema_hash
    files = read_files(connection) if has_all else _schema_column(connection, "text")
    schema = PrismaSchema.parse(files or {})
    return StoredSchema(schema_hash, schema, ApiTypes.from_dmmf(schema.dmmf), None, None, schema.rules, None)


def _schema_column(connection: apsw.Connection, column: str) -> str | None:
    try:
        value: str | None = connection.execute(f"SELECT {column} FROM _lamdb_schema").get
    except apsw.SQLError as error:
        if "no such table: _lamdb_schema" in str(error):
            return None
        raise
    return value


def _files_json(schema: PrismaSchema) -> bytes:
    return orjson.dumps(sorted(schema.files))
