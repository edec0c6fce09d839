"""The rights of each role, and statements that no role may execute."""

import pytest
from tests.unit.hrana.conftest import Functions, SqlClient, with_tables
from tests.unit.hrana.test_protocol import batch, execute

from lamdb.access.identity import Role
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.migrate.searches import search_faults
from lamdb.storage import Database

OWN = (
    "CREATE TABLE _lamdb_schema (id INTEGER PRIMARY KEY, hash TEXT, files TEXT, text TEXT);"
    "CREATE TABLE _prisma_migrations (id TEXT PRIMARY KEY, migration_name TEXT, checksum TEXT, finished_at,"
    " started_at, rolled_back_at, logs, applied_steps_count)"
)


@pytest.fixture
def database(database: Database) -> Database:
    with database.writer() as connection:
        connection.execute(OWN)
    return database


def refused(client: SqlClient, sql: str) -> bool:
    error = client.run(sql)
    return error.get("code") == "SQLITE_AUTH" and error["message"].startswith("not authorized: ")


READS = [
    "SELECT * FROM t",
    "SELECT migration_name FROM _prisma_migrations",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "EXPLAIN QUERY PLAN SELECT * FROM t",
    "PRAGMA table_info(t)",
    "PRAGMA foreign_key_list('child')",
    "SELECT * FROM pragma_table_info('t')",
    "PRAGMA user_version",
    "PRAGMA foreign_keys",
    "SELECT name FROM sqlite_schema",
    "SELECT json_extract('{}', '$.a'), date('now'), total_changes()",
]
WRITES = [
    "INSERT INTO t DEFAULT VALUES",
    "UPDATE t SET name = 'x'",
    "DELETE FROM t",
    "REPLACE INTO t (id) VALUES (1)",
    "WITH x AS (SELECT 1 AS a) INSERT INTO t (id) SELECT a + 100 FROM x",
]
ADMINISTERS = [
    "SELECT hash FROM _lamdb_schema",
    "INSERT INTO _prisma_migrations (id) VALUES ('x')",
    "DELETE FROM _lamdb_schema",
    "PRAGMA user_version = 3",
    "PRAGMA foreign_keys = OFF",
]
NEVER = [
    "ATTACH 'x.db' AS x",
    "ATTACH ':memory:' AS x",
    "DETACH x",
    "VACUUM",
    "VACUUM INTO 'x.db'",
    "SELECT load_extension('x')",
    "CREATE TEMP TABLE x (a)",
    "CREATE TEMPORARY VIEW x AS SELECT 1",
    "CREATE TABLE temp.x (a)",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA cache_size = 1",
    "PRAGMA temp_store_directory = 'x'",
    "PRAGMA writable_schema = ON",
    "PRAGMA wal_checkpoint",
    "PRAGMA shrink_memory",
    "PRAGMA optimize",
    "PRAGMA page_size = 512",
    "PRAGMA query_only = ON",
    "CREATE TABLE _lamdb_x (a)",
    "DROP TABLE _lamdb_schema",
    "ALTER TABLE _lamdb_schema ADD COLUMN x",
    "ALTER TABLE t RENAME TO _lamdb_t",
    "CREATE TRIGGER x AFTER INSERT ON _lamdb_schema BEGIN SELECT 1; END",
]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("sql", READS)
def test_everybody_reads(endpoint: SqlEndpoint, client: SqlClient, role: Role, sql: str) -> None:
    assert "code" not in SqlClient(endpoint, role).run(sql)


@pytest.mark.parametrize("sql", WRITES)
def test_readers_write_nothing(endpoint: SqlEndpoint, client: SqlClient, sql: str) -> None:
    assert refused(SqlClient(endpoint, Role.READ), sql)
    assert "code" not in SqlClient(endpoint, Role.WRITE).run(sql)


@pytest.mark.parametrize("sql", ADMINISTERS)
def test_only_admins_see_and_change_what_is_lamdbs(
    endpoint: SqlEndpoint, client: SqlClient, sql: str
) -> None:
    for role in (Role.READ, Role.WRITE):
        assert refused(SqlClient(endpoint, role), sql), role
    assert "code" not in client.run(sql)


@pytest.mark.parametrize("sql", NEVER)
def test_nobody_reaches_beyond_the_database(endpoint: SqlEndpoint, client: SqlClient, sql: str) -> None:
    for role in Role:
        assert SqlClient(endpoint, role).code(sql) == "SQLITE_AUTH", role
    with endpoint.engine.database.reader() as connection:
        assert connection.execute("PRAGMA query_only").get == 0
        assert connection.execute("SELECT count(*) FROM pragma_database_list").get <= 2


@pytest.mark.parametrize(
    ("sql", "instead"),
    [
        ("VACUUM", "`lamdb compact`"),
        ("/* nightly */ vacuum main;", "`lamdb compact`"),
        ("VACUUM INTO 'x.db'", "`lamdb export FILE`"),
        ("vacuum main into 'y.db'", "`lamdb export FILE`"),
        ("ATTACH 'x.db' AS x", "ATTACH is not allowed: a request uses one database"),
        ("DETACH x", "DETACH is not allowed: a request uses one database"),
        ("PRAGMA incremental_vacuum(10)", "`lamdb compact`"),
        ("PRAGMA wal_checkpoint(TRUNCATE)", "there is no WAL"),
        ("PRAGMA wal_autocheckpoint = 0", "there is no WAL"),
        ("PRAGMA optimize", "ANALYZE"),
    ],
)
def test_refused_maintenance_names_the_means_that_there_are(
    endpoint: SqlEndpoint, client: SqlClient, sql: str, instead: str
) -> None:
    (in_batch,) = client.pipeline(batch("BEGIN", sql, "ROLLBACK"))
    (described,) = client.pipeline({"type": "describe", "sql": sql})
    (in_sequence,) = client.pipeline({"type": "sequence", "sql": f"SELECT 1; {sql}"})
    for error in (
        in_batch["response"]["result"]["step_errors"][1],
        described["error"],
        in_sequence["error"],
        client.run(sql),
    ):
        assert error["code"] == "SQLITE_AUTH"
        assert error["message"].startswith("not authorized: ")
        assert instead in error["message"]


@pytest.mark.parametrize("sql", ["ANALYZE", "ANALYZE main", "ANALYZE t", "REINDEX", "REINDEX t"])
def test_admins_update_statistics_and_indexes(endpoint: SqlEndpoint, client: SqlClient, sql: str) -> None:
    assert refused(SqlClient(endpoint, Role.WRITE), sql)
    assert "code" not in client.run(sql)


@pytest.mark.parametrize("way", ["a transaction", "a batch", "a sequence", "describe", "a trigger", "a view"])
def test_no_way_leads_round_the_guard(endpoint: SqlEndpoint, client: SqlClient, way: str) -> None:
    with endpoint.engine.database.writer() as connection:
        connection.execute(
            "CREATE VIEW seen AS SELECT hash FROM _lamdb_schema;"
            "CREATE TRIGGER sly AFTER INSERT ON t BEGIN DELETE FROM _lamdb_schema; END;"
            "INSERT INTO _lamdb_schema VALUES (1, 'h', '[]', '')"
        )
    sly = SqlClient(endpoint, Role.WRITE)
    statement = "DELETE FROM _lamdb_schema"
    if way == "a transaction":
        for each in ("BEGIN", "INSERT INTO child (t) SELECT 1 WHERE 0"):
            sly.run(each)
        assert refused(sly, statement)
        sly.run("ROLLBACK")
    elif way == "a batch":
        (result,) = sly.pipeline(batch("BEGIN", statement, "COMMIT"))
        assert result["response"]["result"]["step_errors"][1]["code"] == "SQLITE_AUTH"
    elif way == "a sequence":
        (result,) = sly.pipeline({"type": "sequence", "sql": f"SELECT 1; {statement}"})
        assert result["error"]["code"] == "SQLITE_AUTH"
    elif way == "describe":
        (result,) = sly.pipeline({"type": "describe", "sql": "SELECT hash FROM _lamdb_schema"})
        assert result["error"]["code"] == "SQLITE_AUTH"
    elif way == "a trigger":
        assert sly.code("INSERT INTO t DEFAULT VALUES") == "SQLITE_AUTH"
    else:
        assert sly.code("SELECT * FROM seen") == "SQLITE_AUTH"
    assert client.rows("SELECT count(*) FROM _lamdb_schema") == [[1]]


def test_what_was_prepared_for_one_role_serves_no_other(endpoint: SqlEndpoint, client: SqlClient) -> None:
    """Prepared statements are kept, and are not asked about again."""
    for sql in ("SELECT hash FROM _lamdb_schema", "INSERT INTO _prisma_migrations (id) VALUES (NULL)"):
        assert "code" not in client.run(sql)
        assert refused(SqlClient(endpoint, Role.READ), sql)
        assert refused(SqlClient(endpoint, Role.WRITE), sql)
        assert "code" not in client.run(sql)


def test_statements_of_graphql_are_not_guarded(endpoint: SqlEndpoint, database: Database) -> None:
    SqlClient(endpoint, Role.WRITE).pipeline(execute("BEGIN IMMEDIATE"), execute("ROLLBACK"))
    with database.writer() as connection:
        assert connection.authorizer is None
        connection.execute("INSERT INTO _lamdb_schema (hash) VALUES ('x')")


def test_savepoints_of_lamdb_are_its_own(client: SqlClient) -> None:
    for sql in ("SAVEPOINT lamdb_member", "ROLLBACK TO lamdb_member", "RELEASE lamdb_statement"):
        assert client.code(sql) in ("SQLITE_AUTH", "SQLITE_ERROR")
        (result,) = client.pipeline(batch("BEGIN", "INSERT INTO t (id) VALUES (1)", sql, "ROLLBACK"))
        assert result["response"]["result"]["step_errors"][2] is not None
    assert client.rows("SELECT count(*) FROM t") == [[0]]


def test_foreign_keys_are_lifted_for_one_stream(endpoint: SqlEndpoint, client: SqlClient) -> None:
    other = SqlClient(endpoint)
    assert client.rows("PRAGMA foreign_keys") == [[1]]
    client.run("PRAGMA foreign_keys = OFF")
    assert client.rows("PRAGMA foreign_keys") == [[0]]
    assert "code" not in client.run("INSERT INTO child (t) VALUES (99)")
    assert other.code("INSERT INTO child (t) VALUES (98)") == "SQLITE_CONSTRAINT"
    client.run("BEGIN")
    client.run("PRAGMA foreign_keys = ON")
    assert "code" not in client.run("INSERT INTO child (t) VALUES (97)")
    client.run("COMMIT")
    client.run("PRAGMA foreign_keys(1)")
    assert client.code("INSERT INTO child (t) VALUES (96)") == "SQLITE_CONSTRAINT"


def test_foreign_keys_are_lifted_where_clients_carry_streams(functions: Functions) -> None:
    client = with_tables(SqlClient(functions))
    client.run("PRAGMA foreign_keys = OFF")
    for sql in ("BEGIN", "INSERT INTO child (t) VALUES (99)", "COMMIT"):
        assert "code" not in client.run(sql)
    client.run("PRAGMA foreign_keys = ON")
    assert client.code("INSERT INTO child (t) VALUES (98)") == "SQLITE_CONSTRAINT"


SEARCHED = """datasource db {
  provider = "sqlite"
}
/// @lamdb.search title owner.name
/// @lamdb.search.facets kind
model Doc {
  id      Int     @id
  title   String
  kind    String?
  ownerId Int?
  owner   Owner?  @relation(fields: [ownerId], references: [id])
}
model Owner {
  id   Int    @id
  name String
  docs Doc[]
}
"""


def test_searched_tables_are_written_and_searched(endpoint: SqlEndpoint, database: Database) -> None:
    with database.writer() as connection:
        push(connection, PrismaSchema.parse(SEARCHED), force=True)
    writer, reader = SqlClient(endpoint, Role.WRITE), SqlClient(endpoint, Role.READ)
    for sql in (
        "INSERT INTO Owner VALUES (1, 'Ann')",
        "INSERT INTO Doc VALUES (7, 'A red box', 'box', 1), (8, 'A blue box', NULL, NULL)",
        "UPDATE Doc SET title = 'A green box', kind = 'new' WHERE id = 8",
        "UPDATE Owner SET name = 'Bea'",
        "DELETE FROM Doc WHERE id = 7",
    ):
        assert "code" not in writer.run(sql), sql
    for sql in (
        "SELECT rowid, title FROM Doc_search WHERE Doc_search MATCH 'green' ORDER BY rank",
        "SELECT highlight(Doc_search, 0, '[', ']') FROM Doc_search('box')",
        "SELECT kind FROM _lamdb_search_Doc_side",
    ):
        answer = reader.run(sql)
        assert "code" not in answer, answer
        assert len(answer["rows"]) == 1
    for sql in (
        "DELETE FROM _lamdb_search_Doc_side",
        "INSERT INTO _lamdb_search_Doc_pending VALUES (1, 1, '', '')",
    ):
        assert refused(writer, sql)
    assert refused(reader, "INSERT INTO Doc (id, title) VALUES (9, 'x')")
    with database.writer() as connection:
        assert search_faults(connection) == []
