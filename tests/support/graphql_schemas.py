"""Schemas for the tests of the GraphQL type system, and what is made of each, made once."""

from functools import cache

from graphql import GraphQLSchema, build_schema

from lamdb.graphql.schema import sdl
from lamdb.graphql.schema.lazy import LazySchema
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query.engine import QueryEngine

_HEADER = """
generator client {
  provider        = "prisma-client"
  previewFeatures = ["views"]
}

datasource db {
  provider = "sqlite"
}
"""

PRESS = """
/// Somebody who writes.
/// Most write a lot.
model Author {
  id       Int       @id @default(autoincrement())
  /// Where to "reach" them.
  email    String    @unique
  name     String?
  articles Article[]
  reviews  Comment[] @relation("reviewer")
}

model Article {
  id        String    @id @default(uuid())
  title     String
  slug      String
  state     State     @default(DRAFT)
  createdAt DateTime  @default(now())
  author    Author    @relation(fields: [authorId], references: [id])
  authorId  Int
  tags      Tag[]
  comments  Comment[]

  @@unique([authorId, slug])
}

model Tag {
  name     String    @id
  articles Article[]
}

model Comment {
  id         Int       @id @default(autoincrement())
  body       String
  article    Article   @relation(fields: [articleId], references: [id], onDelete: Cascade)
  articleId  String
  reviewer   Author?   @relation("reviewer", fields: [reviewerId], references: [id])
  reviewerId Int?
  parent     Comment?  @relation("thread", fields: [parentId], references: [id])
  parentId   Int?
  replies    Comment[] @relation("thread")
}

/// How far an article has come.
enum State {
  DRAFT
  /// Everybody can see it.
  LIVE @map("published")
}
"""

KINDS = """
model Thing {
  row      Int
  column   String
  big      BigInt
  bigOpt   BigInt?
  price    Decimal
  priceOpt Decimal?
  score    Float
  scoreOpt Float?
  on       Boolean
  onOpt    Boolean?
  raw      Bytes
  rawOpt   Bytes?
  doc      Json
  docOpt   Json?
  at       DateTime
  atOpt    DateTime? @updatedAt
  colour   Colour
  shade    Colour?
  part     Part?
  boxes    Box[]

  @@id([row, column])
  @@unique([big, colour], name: "tint")
}

model Part {
  id       Int    @id
  thing    Thing  @relation(fields: [row, column], references: [row, column])
  row      Int
  column   String

  @@unique([row, column])
}

model Box {
  code   String  @id @default(cuid())
  thing  Thing?  @relation(fields: [row, column], references: [row, column])
  row    Int?
  column String?
}

enum Colour {
  RED
  GREEN
}
"""

# Names that GraphQL or the generated types use themselves, lower-case names, models with nothing to set.
NAMES = """
model Query {
  id   Int     @id @default(autoincrement())
  type String?
  subs Subscription[]
}

model Subscription {
  id      Int   @id @default(autoincrement())
  query   Query @relation(fields: [queryId], references: [id])
  queryId Int
  order   SortOrder @default(up)
}

model Counter {
  id Int @id @default(autoincrement())
}

model left_side {
  id     Int          @id @default(autoincrement())
  rights right_side[]
}

model right_side {
  id    Int         @id @default(autoincrement())
  lefts left_side[]
}

enum SortOrder {
  up
  down
}
"""

SCHEMAS = {"press": PRESS, "kinds": KINDS, "names": NAMES}


@cache
def prisma_schema(name: str) -> PrismaSchema:
    return PrismaSchema.parse(_HEADER + SCHEMAS[name])


def parse_schema(models: str) -> PrismaSchema:
    return PrismaSchema.parse(_HEADER + models)


@cache
def api_types(name: str) -> ApiTypes:
    return ApiTypes.from_dmmf(prisma_schema(name).dmmf)


@cache
def lazy_schema(name: str) -> LazySchema:
    return LazySchema(api_types(name))


@cache
def schema_text(name: str) -> str:
    return sdl.render(api_types(name))


@cache
def full_schema(name: str) -> GraphQLSchema:
    """The schema that graphql-core builds of the SDL: every type, eagerly, without code of lamDB."""
    return build_schema(schema_text(name))


@cache
def engine(name: str) -> QueryEngine:
    return QueryEngine(prisma_schema(name))
