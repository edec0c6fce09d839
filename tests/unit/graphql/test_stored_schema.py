"""The schema that a database carries: stored, loaded, unseen by Prisma, served by what each state says."""

import gzip
import threading
from collections.abc import Iterator

import apsw
import orjson
import pytest

from lamdb.errors import NoSchema
from lamdb.graphql import stored_schema
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.apis import Apis
from lamdb.graphql.schema.sdl import render
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.stored_schema import StoredSchema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database, NoWaiting, WouldWait

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
ONE = PrismaSchema.parse(HEAD + 'model Tag {\n  id Int @id\n  name String @default("?")\n}\n')
TWO = PrismaSchema.parse(HEAD + "model Tag {\n  id Int @id\n  size Int @default(7)\n}\n")
FILES = PrismaSchema.parse({"a.prisma": HEAD, "b.prisma": "model Tag {\n  id Int @id\n}\n"})


@pytest.fixture
def connection() -> apsw.Connection:
    return apsw.Connection(":memory:")


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:") as opened:
        yield opened


def deploy(database: Database, schema: PrismaSchema) -> None:
    made = stored_schema.compute(schema)
    with database.writer() as connection:
        migrate.push(connection, schema, force=True)
        stored_schema.store(connection, made)


def build(found: StoredSchema) -> Api:
    return Api(QueryEngine(found.schema, inputs=found.inputs), found.types, introspection=found.introspection)


def ask(apis: Apis, database: Database, query: str) -> dict:
    return orjson.loads(apis.execute(database, GraphQLRequest(query)).body)


def test_what_is_stored_is_loaded(connection: apsw.Connection) -> None:
    assert stored_schema.load(connection) is None
    assert stored_schema.read_hash(connection) is None
    assert stored_schema.store(connection, stored_schema.compute(FILES))
    assert stored_schema.read_files(connection) == dict(FILES.files)
    found = stored_schema.load(connection)
    assert found is not None
    assert found.hash == stored_schema.hash_of(FILES)
    assert found.schema.text == FILES.text
    types = ApiTypes.from_dmmf(FILES.dmmf)
    assert found.types.names() == types.names()
    assert gzip.decompress(found.sdl_gzipped or b"").decode() == render(types)


def test_storing_again_changes_nothing(connection: apsw.Connection) -> None:
    assert stored_schema.store(connection, stored_schema.compute(ONE))
    before = connection.total_changes()
    assert not stored_schema.store(connection, stored_schema.compute(ONE))
    assert connection.total_changes() == before
    assert stored_schema.store(connection, stored_schema.compute(TWO))
    assert stored_schema.read_hash(connection) == stored_schema.hash_of(TWO)


def test_the_order_of_files_makes_no_other_schema() -> None:
    turned = PrismaSchema.parse(dict(reversed(FILES.files)))
    assert stored_schema.hash_of(turned) == stored_schema.hash_of(FILES)


def test_what_another_version_computed_is_computed_again(database: Database) -> None:
    deploy(database, ONE)
    with database.writer() as connection:
        connection.execute("UPDATE _lamdb_api SET producer = 'lamDB 0', content = x'00'")
        assert not stored_schema.is_current(connection, stored_schema.hash_of(ONE))
    assert ask(Apis(build), database, "{ findManyTag { name } }") == {"data": {"findManyTag": []}}
    deploy(database, ONE)
    with database.reader() as connection:
        assert stored_schema.is_current(connection, stored_schema.hash_of(ONE))


def test_prismas_engine_does_not_see_it(database: Database) -> None:
    deploy(database, ONE)
    with database.writer() as connection, SchemaEngine(connection) as engine:
        assert engine.schema_push(ONE).executed_steps == 0
        assert engine.dev_diagnostic([]) is not None  # The table that was pushed is in no migration,
        assert "_lamdb" not in str(engine.dev_diagnostic([]))  # and it is all that is missing there.


def test_each_state_is_served_by_its_own_schema(database: Database) -> None:
    apis = Apis(build)
    deploy(database, ONE)
    one = database.txid
    ask(apis, database, "mutation { createOneTag(data: { id: 1 }) { name } }")
    before = database.txid
    deploy(database, TWO)
    assert ask(apis, database, "{ findManyTag { size } }") == {"data": {"findManyTag": [{"size": 7}]}}
    assert "errors" in ask(apis, database, "{ findManyTag { name } }")
    past = database.as_of(txid=before)
    with past as connection:
        result = apis.execute_on(connection, before, GraphQLRequest("{ findManyTag { name } }"))
        assert orjson.loads(result.body) == {"data": {"findManyTag": [{"name": "?"}]}}
    database.restore(txid=one)
    assert ask(apis, database, "{ findManyTag { name } }") == {"data": {"findManyTag": []}}


def test_a_schema_without_change_of_tables_is_another_api(database: Database) -> None:
    apis = Apis(build)
    deploy(database, ONE)
    ask(apis, database, "{ findManyTag { name } }")
    renamed = ONE.text.replace("  name String", '  title String @map("name")')
    deploy(database, PrismaSchema.parse(renamed))
    assert ask(apis, database, "{ findManyTag { title } }") == {"data": {"findManyTag": []}}


def test_a_mutation_is_begun_anew_when_a_migration_comes_in_between(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    apis = Apis(build)
    deploy(database, ONE)
    write, waiting = Database.write, [TWO]

    def write_late(self, work):
        while waiting:
            deploy(self, waiting.pop())
        return write(self, work)

    monkeypatch.setattr(Database, "write", write_late)
    assert "errors" in ask(apis, database, 'mutation { createOneTag(data: { id: 1, name: "x" }) { id } }')
    waiting.append(ONE)
    answer = ask(apis, database, "mutation { createOneTag(data: { id: 2 }) { id } }")
    assert answer == {"data": {"createOneTag": {"id": 2}}}  # valid in both, and done once
    with database.reader() as connection:
        assert connection.execute("SELECT * FROM Tag").fetchall() == [(2, "?")]


def test_a_database_without_schema_says_so(database: Database) -> None:
    apis = Apis(build)
    result = apis.execute(database, GraphQLRequest("{ findManyTag { name } }"))
    assert (result.executed, result.status) == (False, 503)
    assert orjson.loads(result.body)["errors"][0]["extensions"]["code"] == "NO_SCHEMA"
    with pytest.raises(NoSchema):
        apis.newest(database)


def test_the_kind_of_a_document_needs_no_schema(database: Database) -> None:
    apis = Apis(build)
    for _ in range(2):
        assert apis.operation_kind(GraphQLRequest("{ findManyTag { id } }")) == "query"
        assert apis.operation_kind(GraphQLRequest("mutation { deleteManyTag { count } }")) == "mutation"
        deploy(database, ONE)
        apis.newest(database)


def test_few_schemas_are_kept_and_the_last_used_longest(database: Database) -> None:
    built: list[str] = []

    def counting(found: StoredSchema) -> Api:
        built.append(found.hash)
        return build(found)

    apis = Apis(counting, kept=2)
    txids = []
    for schema in (ONE, TWO, FILES):
        deploy(database, schema)
        txids.append(database.txid)
    for index in (0, 1, 0, 2, 0, 1):
        with database.as_of(txid=txids[index]) as connection:
            apis.at(connection, txids[index])
    hashes = [stored_schema.hash_of(schema) for schema in (ONE, TWO, FILES)]
    assert [hashes.index(each) for each in built] == [0, 1, 2, 1]


def test_loading_is_done_once_and_not_where_nobody_may_wait(database: Database) -> None:
    built: list[str] = []
    started = threading.Barrier(4)

    def counting(found: StoredSchema) -> Api:
        built.append(found.hash)
        return build(found)

    apis = Apis(counting)
    deploy(database, ONE)
    with pytest.raises(WouldWait), NoWaiting():
        apis.newest(database)

    def load() -> None:
        started.wait()
        apis.newest(database)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    with NoWaiting():
        apis.newest(database)
