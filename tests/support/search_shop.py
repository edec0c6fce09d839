"""A schema that is searched, with a few records, for tests of searches."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

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
/// Something to buy.
/// @lamdb.search title^4 body tags.name^2 maker.name
/// @lamdb.search.facets category price live tags.name
/// @lamdb.search.rank sold
/// @lamdb.search.language en
/// @lamdb.search.synonyms tv, television
model Product {
  id       Int      @id @default(autoincrement())
  sku      String   @unique
  title    String   @map("name")
  body     String?
  category String?
  price    Float    @default(0)
  live     Boolean  @default(true)
  sold     Int      @default(0)
  makerId  String?
  maker    Maker?   @relation(fields: [makerId], references: [id], onDelete: SetNull)
  tags     Tag[]
  reviews  Review[]
  @@map("products")
}
/// @lamdb.search name
model Maker {
  id       String    @id
  name     String
  products Product[]
}
model Tag {
  id       Int       @id @default(autoincrement())
  name     String    @unique
  products Product[]
}
/// @lamdb.search text
model Review {
  productId Int
  author    String
  text      String
  product   Product @relation(fields: [productId], references: [id], onDelete: Cascade)
  @@id([productId, author])
}
/// @lamdb.search text
model Note {
  id   BigInt @id
  text String
}
"""
SEED = """mutation {
  acme: createOneMaker(data: { id: "acme", name: "Acme" }) { id }
  zeta: createOneMaker(data: { id: "zeta", name: "Zeta Radios" }) { id }
  a: createOneProduct(data: { sku: "a", title: "Red radio", body: "A small <b>radio</b> for the kitchen",
    category: "audio", price: 20, sold: 3, maker: { connect: { id: "zeta" } },
    tags: { create: [{ name: "kitchen" }, { name: "small" }] },
    reviews: { create: [
      { author: "ann", text: "Loud and clear" }, { author: "bob", text: "Too small" }] } }) { id }
  b: createOneProduct(data: { sku: "b", title: "Television", body: "Shows cats, and dogs running",
    category: "video", price: 300, sold: 9, maker: { connect: { id: "acme" } } }) { id }
  c: createOneProduct(data: { sku: "c", title: "Kitchen knife", body: "Cuts cats of wood", category: "tools",
    price: 7.5, live: false, tags: { connect: { name: "kitchen" } } }) { id }
  d: createOneProduct(data: { sku: "d", title: "Box", category: null }) { id }
  n: createOneNote(data: { id: "9007199254740993", text: "a radio note" }) { id }
}"""


@cache
def shop_schema() -> PrismaSchema:
    return PrismaSchema.parse(SCHEMA)


@cache
def shop_api() -> Api:
    schema = shop_schema()
    return Api(QueryEngine(schema), ApiTypes.loads(ApiTypes.from_dmmf(schema.dmmf).dumps()))


class Shop:
    """An API with its database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.api = shop_api()

    def response(self, document: str, **variables: Any) -> Any:
        return json.loads(self.api.execute(self.database, GraphQLRequest(document, variables)).body)

    def data(self, document: str, **variables: Any) -> Any:
        response = self.response(document, **variables)
        assert "errors" not in response, response["errors"]
        return response["data"]

    def error(self, document: str, **variables: Any) -> str:
        return str(self.response(document, **variables)["errors"][0]["message"])

    def skus(self, arguments: str, **variables: Any) -> list[str]:
        """The products that a search finds."""
        head = "query Q($v: String!)" if variables else ""
        document = f"{head} {{ searchProduct({arguments}) {{ hits {{ node {{ sku }} }} }} }}"
        found = self.data(document, **variables)
        return [hit["node"]["sku"] for hit in found["searchProduct"]["hits"]]


@contextmanager
def empty_shop() -> Iterator[Shop]:
    with Database(open_store("memory:")) as database:
        with database.writer() as connection:
            migrate.push(connection, shop_schema())
        yield Shop(database)


@contextmanager
def filled_shop() -> Iterator[Shop]:
    with empty_shop() as shop:
        shop.data(SEED)
        yield shop
