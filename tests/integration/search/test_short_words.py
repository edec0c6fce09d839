"""Prisma's `search` filter for writing without spaces: words of one and two characters are found, too."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database
from lamdb.storage.stores.url import open_store

SCHEMA = """
datasource db {
  provider = "sqlite"
}
/// @lamdb.search title body
/// @lamdb.search.language cjk
model Page {
  id     Int     @id @default(autoincrement())
  name   String  @unique
  title  String
  body   String?
  bookId Int?
  book   Book?   @relation(fields: [bookId], references: [id])
  @@index([bookId])
}
model Book {
  id    Int    @id
  pages Page[]
}
"""
SEED = """mutation {
  createOneBook(data: { id: 1, pages: { create: [
    { name: "a", title: "東京の寺", body: "古い庭がある" },
    { name: "b", title: "京都の寺", body: "上海の人" },
    { name: "c", title: "北京", body: null },
    { name: "d", title: "서울 여행", body: "100% kimchi_x" }
  ] } }) { id }
}"""

type Ask = Callable[[str], Any]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    schema = PrismaSchema.parse(SCHEMA)
    api = Api(QueryEngine(schema), ApiTypes.loads(ApiTypes.from_dmmf(schema.dmmf).dumps()))
    with Database(open_store("memory:")) as database:
        with database.writer() as connection:
            migrate.push(connection, schema)

        def data(document: str) -> Any:
            response = json.loads(api.execute(database, GraphQLRequest(document, {})).body)
            assert "errors" not in response, response["errors"]
            return response["data"]

        data(SEED)
        yield data


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ('{ title: { search: "寺" } }', "ab"),
        ('{ title: { search: "東京" } }', "a"),
        ('{ title: { search: "京" } }', "abc"),
        ('{ body: { search: "京" } }', ""),
        ('{ title: { search: "京都の" } }', "b"),
        ('{ title: { search: "京都の 寺" } }', "b"),
        ('{ title: { search: "京都の 海" } }', ""),
        ('{ title: { search: "京 寺" } }', "ab"),
        ('{ title: { search: "京 -寺" } }', "c"),
        ('{ title: { search: "寺 -京都の" } }', "a"),
        ('{ title: { search: "-寺" } }', "cd"),
        ('{ title: { search: "서울" } }', "d"),
        ('{ body: { search: "%" } }', ""),
        ('{ body: { search: "100" } }', "d"),
        ('{ body: { search: "_x" } }', "d"),
        ('{ body: { not: { search: "庭" } } }', "bcd"),
        ('{ OR: [{ title: { search: "北京" } }, { body: { search: "人" } }] }', "bc"),
        ('{ book: { is: { pages: { some: { title: { search: "寺" } } } } } }', "abcd"),
        ('{ title: { search: "" } }', ""),
    ],
)
def test_filters(ask: Ask, where: str, found: str) -> None:
    answer = ask(f"{{ findManyPage(where: {where}, orderBy: {{ name: asc }}) {{ name }} }}")
    assert "".join(each["name"] for each in answer["findManyPage"]) == found
    counted = ask(f"{{ aggregatePage(where: {where}) {{ _count {{ _all }} }} }}")
    assert counted["aggregatePage"]["_count"]["_all"] == len(found)
