"""Nested writes: positional rows and closures give the same answers and leave the same rows behind."""

from typing import Any

import apsw
import pytest
from tests.unit.prisma.query.plan.plan_nodes import run_closures, run_tables

from lamdb.errors import QueryError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.query.plan.nodes import NotPositional

SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Author {
  id      Int      @id @default(autoincrement())
  name    String   @unique
  posts   Post[]
  profile Profile?
}

model Profile {
  id       Int    @id @default(autoincrement())
  bio      String
  author   Author @relation(fields: [authorId], references: [id])
  authorId Int    @unique
}

model Post {
  id       Int     @id @default(autoincrement())
  title    String
  views    Int     @default(0)
  author   Author? @relation(fields: [authorId], references: [id])
  authorId Int?
  tags     Tag[]
}

model Tag {
  id    Int    @id @default(autoincrement())
  name  String @unique
  posts Post[]
}
"""

POSTS = {"arguments": {"orderBy": [{"id": "asc"}]}, "selection": {"id": True, "title": True, "views": True}}
TAGS = {"arguments": {"orderBy": [{"name": "asc"}]}, "selection": {"name": True}}
AUTHOR = {"id": True, "name": True, "posts": POSTS, "profile": {"selection": {"bio": True}}}
POST = {"id": True, "title": True, "tags": TAGS, "author": {"selection": {"name": True}}}
ONE = {"id": 1}


def author(action: str, **arguments: Any) -> dict[str, Any]:
    return {"modelName": "Author", "action": action, "query": {"arguments": arguments, "selection": AUTHOR}}


def post(action: str, selection: Any = None, **arguments: Any) -> dict[str, Any]:
    selection = selection or POST
    return {"modelName": "Post", "action": action, "query": {"arguments": arguments, "selection": selection}}


def change(**data: Any) -> dict[str, Any]:
    return author("updateOne", where=ONE, data=data)


def retag(**data: Any) -> dict[str, Any]:
    return post("updateOne", where=ONE, data={"tags": data})


COUNT = {"count": True}
REQUESTS = {
    "create": post("createOne", data={"title": "new"}),
    "create with everything": author(
        "createOne",
        data={
            "name": "Eve",
            "profile": {"create": {"bio": "b"}},
            "posts": {
                "create": [{"title": "p", "tags": {"create": [{"name": "n"}], "connect": [{"id": 1}]}}],
                "connect": [{"id": 3}],
                "connectOrCreate": [{"where": {"id": 99}, "create": {"title": "c"}}],
            },
        },
    ),
    "create with a parent": post("createOne", data={"title": "new", "author": {"create": {"name": "Eve"}}}),
    "create with a known parent": post(
        "createOne",
        data={"title": "new", "author": {"connectOrCreate": {"where": ONE, "create": {"name": "x"}}}},
    ),
    "create with an unknown parent": post(
        "createOne", data={"title": "new", "author": {"connect": {"id": 99}}}
    ),
    "create twice": author("createOne", data={"name": "Ann"}),
    "create many": post("createMany", COUNT, data=[{"title": "a", "views": 0}, {"title": "b", "views": 1}]),
    "create many and return": post(
        "createManyAndReturn",
        {"id": True, "title": True},
        data=[{"title": "a", "views": 0}, {"title": "b", "views": 1}],
    ),
    "update": post("updateOne", where=ONE, data={"views": {"increment": 5}}),
    "update nothing": post("updateOne", where={"id": 99}, data={"views": 1}),
    "update the children": change(
        posts={
            "update": [{"where": ONE, "data": {"title": "changed"}}],
            "updateMany": [{"where": {"views": {"gt": 0}}, "data": {"views": 100}}],
            "deleteMany": [{"title": "second"}],
        }
    ),
    "update a stranger's child": change(posts={"update": [{"where": {"id": 3}, "data": {"title": "x"}}]}),
    "delete a child": change(posts={"delete": [{"id": 2}]}),
    "delete a stranger's child": change(posts={"delete": [{"id": 3}]}),
    "set the children": change(posts={"set": [{"id": 3}]}),
    "set no children": change(posts={"set": []}),
    "disconnect": change(posts={"disconnect": [{"id": 2}]}),
    "upsert the children": change(
        posts={
            "upsert": [
                {"where": ONE, "create": {"title": "c"}, "update": {"title": "u"}},
                {"where": {"id": 99}, "create": {"title": "c"}, "update": {"title": "u"}},
            ]
        }
    ),
    "upsert the only child": change(profile={"upsert": {"create": {"bio": "c"}, "update": {"bio": "u"}}}),
    "delete the only child": change(profile={"delete": True}),
    "replace the only child": change(profile={"create": {"bio": "second"}}),
    "leave the parent": post("updateOne", where=ONE, data={"author": {"disconnect": True}}),
    "move to another parent": post("updateOne", where=ONE, data={"author": {"connect": {"name": "Bob"}}}),
    "connect tags": retag(connect=[{"id": 2}, {"id": 3}], create=[{"name": "new"}]),
    "connect an unknown tag": retag(connect=[{"id": 99}]),
    "disconnect tags": retag(disconnect=[{"id": 1}]),
    "set tags": retag(set=[{"id": 3}]),
    "set no tags": retag(set=[]),
    "delete tags": retag(deleteMany=[{}]),
    "update many": post("updateMany", COUNT, where={"views": {"gte": 0}}, data={"title": "t"}),
    "update many and return": post(
        "updateManyAndReturn", {"id": True, "title": True}, where={"id": {"in": [1, 2]}}, data={"title": "t"}
    ),
    "upsert, natively": author(
        "upsertOne", where={"name": "Ann"}, create={"name": "Ann"}, update={"name": "A"}
    ),
    "upsert, creating": author(
        "upsertOne",
        where={"name": "Eve"},
        create={"name": "Eve", "posts": {"create": {"title": "e"}}},
        update={},
    ),
    "upsert, changing": author(
        "upsertOne", where=ONE, create={"name": "Eve"}, update={"posts": {"create": {"title": "e"}}}
    ),
    "delete": post("deleteOne", where=ONE),
    "delete nothing": post("deleteOne", where={"id": 99}),
    "delete a parent that is needed": author("deleteOne", where=ONE),
    "delete many": post("deleteMany", COUNT, where={"authorId": 1}),
}


@pytest.fixture(scope="module")
def engine() -> QueryEngine:
    return QueryEngine(PrismaSchema.parse(SCHEMA))


@pytest.fixture(scope="module")
def seeded(engine: QueryEngine) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    push(connection, engine.schema)
    connection.execute(
        """
        INSERT INTO Author VALUES (1, 'Ann'), (2, 'Bob');
        INSERT INTO Profile VALUES (1, 'first', 1);
        INSERT INTO Post VALUES (1, 'first', 0, 1), (2, 'second', 5, 1), (3, 'third', 7, 2);
        INSERT INTO Tag VALUES (1, 'one'), (2, 'two'), (3, 'three');
        INSERT INTO _PostToTag VALUES (1, 1), (1, 2), (2, 2);
        """
    )
    return connection


def copy_of(database: apsw.Connection) -> apsw.Connection:
    copy = apsw.Connection(":memory:")
    with copy.backup("main", database, "main") as backup:
        backup.step()
    copy.execute("PRAGMA foreign_keys = ON")
    return copy


def dump(database: apsw.Connection) -> dict[str, list[Any]]:
    tables = ("Author", "Profile", "Post", "Tag", "_PostToTag")
    return {table: database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


def outcome(run: Any, database: apsw.Connection) -> Any:
    try:
        return run(database)
    except QueryError as error:
        return error.code, error.message


@pytest.mark.parametrize("name", list(REQUESTS))
def test_both_ways_write_the_same(engine: QueryEngine, seeded: apsw.Connection, name: str) -> None:
    plan, values = engine.prepare(REQUESTS[name])
    by_closures, by_plan, by_tables = (copy_of(seeded) for _ in range(3))
    wanted = outcome(lambda database: run_closures(plan.tree, database, values), by_closures)
    assert outcome(lambda database: plan.run(database, values), by_plan) == wanted
    assert dump(by_plan) == dump(by_closures)
    try:
        found = outcome(lambda database: run_tables(plan.tree, database, values), by_tables)
    except NotPositional:
        return
    assert found == wanted
    assert dump(by_tables) == dump(by_closures)
    if isinstance(wanted, tuple):
        assert dump(by_tables) == dump(seeded)  # an error leaves nothing behind


def test_most_writes_run_on_positional_rows(engine: QueryEngine, seeded: apsw.Connection) -> None:
    positional = 0
    for request in REQUESTS.values():
        plan, values = engine.prepare(request)
        try:
            outcome(lambda database: run_tables(plan.tree, database, values), copy_of(seeded))  # noqa: B023
            positional += 1
        except NotPositional:
            pass
    assert positional >= 25
