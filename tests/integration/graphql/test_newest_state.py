"""Mutations that commit nothing answer from the newest state in the store, not from what a server last saw.

Two servers share a store here, and neither looks for news by itself for as long as a test takes.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.faulty_store import FaultyStore
from tests.support.graphql_blog import SCHEMA, blog_deployable, blog_engine, blog_schema, blog_types

from lamdb.deployment import apply
from lamdb.graphql import stored_schema
from lamdb.graphql.api import Api
from lamdb.graphql.apis import Apis
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.stored_schema import StoredSchema
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, HttpResponse, handle
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore

TIMES = 60
LONG = 1000.0
OPTIONS = HttpOptions(max_staleness=LONG)

type MakeStore = Callable[[], ObjectStore]


@pytest.fixture(params=["memory", "directory", "s3"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes a client of one and the same place each time it is called."""
    if request.param == "memory":
        store = memory_store()
        return lambda: store
    url = request.getfixturevalue("s3").url if request.param == "s3" else (tmp_path / "data").as_uri()
    return lambda: open_store(url)


def build(found: StoredSchema) -> Api:
    if found.hash == stored_schema.hash_of(blog_schema()):
        return Api(blog_engine(), blog_types())
    return Api(QueryEngine(found.schema), found.types)


class Server:
    def __init__(self, store: ObjectStore) -> None:
        self.store = FaultyStore(store)
        self.count = CountingStore(self.store)
        self.database = Database(self.count, stale_after=LONG)
        self.apis = Apis(build)

    def post(self, query: str, **headers: str) -> HttpResponse:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        body = orjson.dumps({"query": query})
        request = HttpRequest("POST", "/graphql", "", {"content-type": "application/json", **named}, body)
        return handle(self.apis, self.database, request, OPTIONS)

    def ask(self, query: str, **headers: str) -> Any:
        answer = orjson.loads(self.post(query, **headers).body)
        return answer["data"] if "errors" not in answer else answer["errors"][0]["extensions"]["code"]

    def raw(self, query: str) -> Any:
        answer = orjson.loads(self.post(query).body)
        assert "errors" not in answer, answer
        return answer["data"]


def filled(store: ObjectStore) -> None:
    with Database(store) as database, database.writer() as connection:
        push(connection, blog_schema())
        stored_schema.store(connection, blog_deployable())


@pytest.fixture
def servers(make_store: MakeStore) -> tuple[Server, Server]:
    filled(make_store())
    one, two = Server(make_store()), Server(make_store())
    for server in (one, two):
        assert server.raw("{ findManyTag { name } }") == {"findManyTag": []}
    return one, two


def tag(name: str) -> str:
    return f'mutation {{ createOneTag(data: {{name: "{name}"}}) {{ name }} }}'


def post(number: int, title: str = "t") -> str:
    return f'mutation {{ createOnePost(data: {{id: {number}, title: "{title}"}}) {{ id }} }}'


CASES: dict[str, tuple[list[str], str, Any]] = {
    # What another server does, what this one is asked then, and the answer. {n} is a number of its own.
    "deleteMany": (
        ["create"],
        "mutation { deleteManyPost(where: {id: {equals: {n}}}) { count } }",
        {"deleteManyPost": {"count": 1}},
    ),
    "deleteOne": (
        ["create"],
        "mutation { deleteOnePost(where: {id: {n}}) { title } }",
        {"deleteOnePost": {"title": "t"}},
    ),
    "updateOne": (
        ["create"],
        'mutation { updateOnePost(where: {id: {n}}, data: {title: {set: "x"}}) { title } }',
        {"updateOnePost": {"title": "x"}},
    ),
    "updateMany": (
        ["create"],
        'mutation { updateManyPost(where: {id: {equals: {n}}}, data: {title: {set: "x"}}) { count } }',
        {"updateManyPost": {"count": 1}},
    ),
    "createOne": (
        ["create", "see", "delete"],
        'mutation { createOnePost(data: {id: {n}, title: "new"}) { title } }',
        {"createOnePost": {"title": "new"}},
    ),
    "createMany": (
        ["create", "see", "delete"],
        'mutation { createManyPost(data: [{id: {n}, title: "new"}]) { count } }',
        {"createManyPost": {"count": 1}},
    ),
    "connect": (
        ["create"],
        'mutation { createOneTag(data: {name: "t{n}", posts: {connect: [{id: {n}}]}}) { posts { id } } }',
        {"createOneTag": {"posts": [{"id": "N"}]}},
    ),
    "foreign key": (
        ["user"],
        'mutation { createOnePost(data: {id: {n}, title: "t", author: {connect: {id: {n}}}}) { id } }',
        {"createOnePost": {"id": "N"}},
    ),
    "foreign key, unchecked": (
        ["user"],
        'mutation { createManyPost(data: [{id: {n}, title: "t", authorId: {n}}]) { count } }',
        {"createManyPost": {"count": 1}},
    ),
    "several fields": (
        ["create"],
        "mutation { a: deleteManyPost(where: {id: {equals: {n}}}) { count } deleteManyTag { count } }",
        {"a": {"count": 1}, "deleteManyTag": {"count": 0}},
    ),
    "a failure that is one": (
        ["create"],
        'mutation { createOnePost(data: {id: {n}, title: "again"}) { id } }',
        "P2002",
    ),
    "what is gone is gone": (
        ["create", "see", "delete"],
        "mutation { deleteManyPost(where: {id: {equals: {n}}}) { count } }",
        {"deleteManyPost": {"count": 0}},
    ),
    "upsert": (
        ["create"],
        'mutation { upsertOnePost(where: {id: {n}}, create: {id: {n}, title: "c"}, update: {}) { title } }',
        {"upsertOnePost": {"title": "t"}},
    ),
}


def act(number: int, what: str, server: Server, other: Server) -> None:
    match what:
        case "create":
            other.raw(post(number))
        case "user":
            other.raw(f'mutation {{ createOneUser(data: {{email: "{number}"}}) {{ id }} }}')
            other.raw(f'mutation {{ updateManyUser(where: {{email: {{equals: "{number}"}}}}, '
                      f"data: {{active: {{set: true}}}}) {{ count }} }}")  # fmt: skip
        case "delete":
            other.raw(f"mutation {{ deleteOnePost(where: {{id: {number}}}) {{ id }} }}")
        case "see":
            server.post("{ findManyTag { name } }", x_lamdb_consistency="strong")


@pytest.mark.parametrize("case", CASES)
def test_after_another_servers_write(servers: tuple[Server, Server], case: str) -> None:
    one, two = servers
    before, mutation, expected = CASES[case]
    for number in (1, 2):
        for what in before:
            act(number, what, one, two)
        wanted = json.loads(json.dumps(expected).replace('"N"', str(number)))
        assert one.ask(mutation.replace("{n}", str(number))) == wanted


def test_sixty_of_sixty() -> None:
    store = memory_store()
    filled(store)
    one, two = Server(store), Server(store)
    one.raw("{ findManyTag { name } }")
    for number in range(TIMES):
        two.raw(post(number))
        assert one.ask(f"mutation {{ deleteManyPost(where: {{id: {{equals: {number}}}}}) {{ count }} }}") == {
            "deleteManyPost": {"count": 1}
        }
        two.raw(post(1000 + number))
        changed = one.ask(
            f'mutation {{ updateOnePost(where: {{id: {1000 + number}}}, data: {{title: {{set: "x"}}}}) '
            "{ title } }"
        )
        assert changed == {"updateOnePost": {"title": "x"}}
        two.raw(f"mutation {{ deleteOnePost(where: {{id: {1000 + number}}}) {{ id }} }}")
        assert one.ask(post(1000 + number)) == {"createOnePost": {"id": 1000 + number}}


@pytest.mark.parametrize(
    "mutation",
    [
        "mutation { deleteManyTag { count } }",
        'mutation { deleteOneTag(where: {name: "absent"}) { name } }',
        tag("taken"),
    ],
)
def test_one_look_when_nothing_is_committed_and_none_else(mutation: str) -> None:
    store = memory_store()
    filled(store)
    server = Server(store)
    server.raw("mutation { deleteManyPost { count } }")
    if "taken" in mutation:
        server.raw(mutation)
    server.count.reset()
    server.post(mutation)
    assert server.count.requests == {"get_range": 1}
    server.count.reset()
    server.raw(tag("new"))
    assert server.count.requests == {"put_new": 1}


def test_a_group_shares_its_look_and_its_second_run() -> None:
    store = memory_store()
    filled(store)
    one, two = Server(store), Server(store)
    one.raw("{ findManyTag { name } }")
    for number in range(10):
        two.raw(post(number))
    one.count.reset()
    with ThreadPoolExecutor(10) as pool:
        with one.database.writer():
            asked = [
                pool.submit(one.ask, f"mutation {{ deleteOnePost(where: {{id: {number}}}) {{ id }} }}")
                for number in range(10)
            ]
            while len(one.database._groups._waiting) < 9:
                threading.Event().wait(0.001)
        answers = [future.result() for future in asked]
    assert answers == [{"deleteOnePost": {"id": number}} for number in range(10)]
    assert one.count.requests["put_new"] == 1


def test_some_fail_and_others_commit_on_an_old_state() -> None:
    """The commit is fenced, and so is the failure that came with it: both are tried on the newest state."""
    store = memory_store()
    filled(store)
    one, two = Server(store), Server(store)
    one.raw("{ findManyTag { name } }")
    two.raw(post(1))
    with ThreadPoolExecutor(2) as pool:
        with one.database.writer():
            gone = pool.submit(one.ask, "mutation { deleteOnePost(where: {id: 1}) { id } }")
            made = pool.submit(one.ask, post(2))
            while len(one.database._groups._waiting) < 1:
                threading.Event().wait(0.001)
        assert (gone.result(), made.result()) == (
            {"deleteOnePost": {"id": 1}},
            {"createOnePost": {"id": 2}},
        )


# Idempotency keys


def test_a_key_that_another_server_knows(servers: tuple[Server, Server]) -> None:
    one, two = servers
    first = two.post(tag("a"), idempotency_key="k")
    again = one.post(tag("a"), idempotency_key="k")
    assert (again.body, again.headers.get("x-lamdb-replayed")) == (first.body, "true")
    two.post(tag("b"), idempotency_key="other")
    assert one.post(tag("c"), idempotency_key="other").status == 422
    assert one.raw("{ findManyTag { name } }") == {"findManyTag": [{"name": "a"}, {"name": "b"}]}


def test_a_key_that_fails_on_an_old_state(servers: tuple[Server, Server]) -> None:
    one, two = servers
    two.raw(post(1))
    delete = "mutation { deleteOnePost(where: {id: 1}) { id } }"
    assert one.ask(delete, idempotency_key="k") == {"deleteOnePost": {"id": 1}}
    assert two.ask(delete, idempotency_key="k") == {"deleteOnePost": {"id": 1}}


# Faults


@pytest.mark.parametrize(
    ("mutation", "asked"),
    [
        ("mutation { deleteManyPost { count } }", "get_range"),
        ("mutation { deleteOnePost(where: {id: 1}) { id } }", "get_range"),
    ],
)
def test_no_old_answer_when_the_store_cannot_be_asked(mutation: str, asked: str) -> None:
    store = memory_store()
    filled(store)
    one, two = Server(store), Server(store)
    one.raw("{ findManyTag { name } }")
    one.ask("mutation { deleteManyPost { count } }")
    two.raw(post(1))
    one.store.fail(asked, "before", times=1)
    response = one.post(mutation)
    error = orjson.loads(response.body)["errors"][0]["extensions"]
    assert (response.status, error["code"], error["retryable"]) == (503, "STORE_UNAVAILABLE", True)
    answer = one.raw(mutation)
    assert answer in ({"deleteManyPost": {"count": 1}}, {"deleteOnePost": {"id": 1}})


# Schemas

NEXT = SCHEMA.replace("title    String\n", "title    String\n  subtitle String?\n")


def test_a_mutation_of_a_schema_that_another_server_has_deployed(servers: tuple[Server, Server]) -> None:
    one, two = servers
    apply.push(two.database, PrismaSchema.parse(NEXT))
    made = 'mutation { createOnePost(data: {id: 1, title: "t", subtitle: "s"}) { subtitle } }'
    assert one.ask(made) == {"createOnePost": {"subtitle": "s"}}


def test_a_mutation_where_another_server_deployed_the_first_schema() -> None:
    store = memory_store()
    one, two = Server(store), Server(store)
    assert one.ask(tag("a")) == "NO_SCHEMA"
    apply.push(two.database, blog_schema())
    assert one.ask(tag("a")) == {"createOneTag": {"name": "a"}}


def test_a_document_without_mutation_is_no_reason_to_look() -> None:
    store = memory_store()
    filled(store)
    server = Server(store)
    server.raw("{ findManyTag { name } }")
    server.count.reset()
    assert server.ask("{ findManyNothing { name } }") == "P2009"
    assert server.count.requests == {}


# What operators do

FIRST = Migration("1_first", "CREATE TABLE t (a INTEGER)")
SECOND = Migration("2_second", "CREATE TABLE u (a INTEGER)")


@pytest.fixture
def two_databases(make_store: MakeStore) -> tuple[Database, Database]:
    one, two = Database(make_store(), stale_after=LONG), Database(make_store(), stale_after=LONG)
    return one, two


EMPTY = PrismaSchema.parse('datasource db {\n  provider = "sqlite"\n}\nmodel A {\n  id Int @id\n}\n')


def test_deploying_what_another_server_took_back(two_databases: tuple[Database, Database]) -> None:
    one, two = two_databases
    assert apply.deploy(one, [FIRST], EMPTY).names == ("1_first",)
    apply.reset(two, [], None)
    assert apply.deploy(one, [FIRST], EMPTY, dry_run=True).names == ("1_first",)
    assert apply.deploy(one, [FIRST], EMPTY).names == ("1_first",)


def test_resolving_on_an_old_state(two_databases: tuple[Database, Database]) -> None:
    one, two = two_databases
    apply.deploy(one, [FIRST], EMPTY)
    apply.mark_applied(two, "2_second", [FIRST, SECOND])
    with pytest.raises(Exception, match=r"P3008|already"):
        apply.mark_applied(one, "2_second", [FIRST, SECOND])
    apply.reset(two, [], None)
    apply.mark_applied(one, "2_second", [FIRST, SECOND])
    assert apply.deploy(two, [FIRST, SECOND], EMPTY).names == ("1_first",)


def test_a_transaction_that_changes_nothing_runs_again_on_news(
    two_databases: tuple[Database, Database],
) -> None:
    one, two = two_databases
    with one.writer() as connection:
        connection.execute("CREATE TABLE t (a)")
    two.refresh()
    with one.writer() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    assert apply.in_transaction(two, lambda connection: connection.execute("SELECT a FROM t").get) == 1
    with one.writer() as connection:
        connection.execute("INSERT INTO t VALUES (2)")

    def fails(connection: Any) -> None:
        raise ValueError(connection.execute("SELECT count(*) FROM t").get)

    with pytest.raises(ValueError, match="2"):
        apply.in_transaction(two, fails)


# executeRaw


def test_raw_statements() -> None:
    store = memory_store()
    filled(store)
    types = ApiTypes.from_dmmf(blog_schema().dmmf, raw=True)
    two, one = Server(store), Server(store)
    for server in (one, two):
        server.apis = Apis(lambda _: Api(blog_engine(), types))
        server.raw("{ findManyTag { name } }")
    two.raw(tag("a"))
    statement = "DELETE FROM Tag WHERE name = 'a'"
    assert one.ask(f'mutation {{ executeRaw(query: "{statement}") }}') == {"executeRaw": 1}
