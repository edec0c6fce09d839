"""Mutations that share a commit: each document is all or nothing, whatever the others in its group do."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.graphql_blog import blog_api, blog_engine, blog_schema, blog_types, empty_blog

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

TAG = "createOneTag(data: { name: $name }) { name }"
ONE = f"mutation ($name: String!) {{ {TAG} }}"
TWO = f"mutation ($name: String!) {{ {TAG} again: {TAG} }}"
NESTED = """mutation ($name: String!) {
  createOnePost(data: { id: 1, title: $name, tags: { create: [{ name: $name }, { name: "taken" }] } }) { id }
}"""
NAMES = "{ findManyTag(orderBy: { name: asc }) { name } }"


def ask(api: Api, database: Database, query: str, **variables: Any) -> Any:
    return json.loads(api.execute(database, GraphQLRequest(query, variables)).body)


def together(api: Api, database: Database, jobs: list[tuple[str, str]]) -> list[Any]:
    """The responses to documents that wait for the same writer, each with a name."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        with database.writer():
            futures = [pool.submit(ask, api, database, query, name=name) for query, name in jobs]
            end = time.monotonic() + 10
            while len(database._groups._waiting) < len(jobs) - 1 and time.monotonic() < end:
                time.sleep(0.001)
        return [future.result() for future in futures]


def test_a_document_that_fails_undoes_itself_alone() -> None:
    with empty_blog() as database:
        api = blog_api()
        ask(api, database, ONE, name="taken")
        before = database.txid
        jobs = [
            (query, f"{number}-{kind}")
            for number in range(5)
            for kind, query in enumerate((ONE, TWO, NESTED))
        ]
        answers = together(api, database, jobs)
        assert database.txid == before + 1
        for (query, name), answer in zip(jobs, answers, strict=True):
            if query is ONE:
                assert answer == {"data": {"createOneTag": {"name": name}}}
            else:
                assert answer["data"] is None
                assert answer["errors"][0]["extensions"]["code"] == "P2002"
        kept = [tag["name"] for tag in ask(api, database, NAMES)["data"]["findManyTag"]]
        assert kept == [*(f"{number}-0" for number in range(5)), "taken"]
        assert ask(api, database, "{ findManyPost { id } }")["data"]["findManyPost"] == []


def test_documents_see_those_before_them_in_their_group() -> None:
    with empty_blog() as database:
        answers = together(blog_api(), database, [(ONE, "same")] * 6)
        outcomes = Counter("errors" in answer for answer in answers)
        assert outcomes == {False: 1, True: 5}


DEFERRED = """
datasource db {
  provider = "sqlite"
}

model Parent {
  id       Int     @id
  children Child[]
}

model Child {
  id       Int     @id
  parentId Int
  parent   Parent @relation(fields: [parentId], references: [id])
}
"""


def test_a_constraint_that_is_checked_at_the_end_is_the_documents_own() -> None:
    schema = PrismaSchema.parse(DEFERRED)
    api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
    with Database(memory_store()) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE Parent(id INTEGER PRIMARY KEY)")
            connection.execute(
                "CREATE TABLE Child(id INTEGER PRIMARY KEY,"
                " parentId INTEGER NOT NULL REFERENCES Parent(id) DEFERRABLE INITIALLY DEFERRED)"
            )
        orphan = "mutation { createOneChild(data: { id: 1, parentId: 7 }) { id } }"
        kept = """mutation {
          createOneChild(data: { id: 2, parentId: 8 }) { id }
          createOneParent(data: { id: 8 }) { id }
        }"""
        bad, good = together(api, database, [(orphan, ""), (kept, "")])
        assert bad["errors"][0]["extensions"]["code"] == "P2003"
        assert good == {"data": {"createOneChild": {"id": 2}, "createOneParent": {"id": 8}}}
        rows = ask(api, database, "{ findManyChild { id } findManyParent { id } }")
        assert rows == {"data": {"findManyChild": [{"id": 2}], "findManyParent": [{"id": 8}]}}


@pytest.mark.parametrize("servers", [1, 2])
def test_every_answer_is_true(servers: int) -> None:
    """Writers on one or two databases of a slow store; the fenced ones try again, each by itself."""
    store = CountingStore(memory_store())
    with empty_blog_on(store) as first:
        databases = [first, *(Database(SlowStore(store, 0.003)) for _ in range(servers - 1))]
        api, names, lock = (
            Api(blog_engine(), blog_types(), fenced_retries=10),
            set(),
            threading.Lock(),
        )

        def write(worker: int) -> None:
            for number in range(6):
                name = f"{worker}-{number}"
                answer = ask(api, databases[worker % servers], ONE, name=name)
                if "errors" not in answer:
                    with lock:
                        names.add(name)

        store.reset()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(write, range(16)))
        first.refresh()
        kept = {tag["name"] for tag in ask(api, first, NAMES)["data"]["findManyTag"]}
        assert kept == names
        assert len(kept) >= 90
        assert store.requests["put_new"] < 60


def empty_blog_on(store: CountingStore) -> Database:
    database = Database(SlowStore(store, 0.003))
    with database.writer() as connection:
        push(connection, blog_schema())
    return database
