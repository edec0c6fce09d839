"""A schema with one of everything, for the GraphQL tests, and the parts that are slow to make, made once."""

from functools import cache

from lamdb.graphql import stored_schema
from lamdb.graphql.api import Api
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

SCHEMA = """
generator client {
  provider = "prisma-client"
}

datasource db {
  provider = "sqlite"
}

enum Role {
  ADMIN @map("adm")
  READER
}

model User {
  id      Int       @id @default(autoincrement())
  email   String    @unique
  name    String?
  role    Role      @default(READER)
  big     BigInt?
  price   Decimal?
  score   Float?
  photo   Bytes?
  meta    Json?
  active  Boolean   @default(true)
  created DateTime  @default(now())
  posts   Post[]
  seats   Seat[]

  @@unique([name, email])
}

model Post {
  id       Int     @id
  title    String
  likes    Int     @default(0)
  author   User?   @relation(fields: [authorId], references: [id])
  authorId Int?
  tags     Tag[]
  parent   Post?   @relation("thread", fields: [parentId], references: [id])
  parentId Int?
  replies  Post[]  @relation("thread")
}

model Tag {
  name  String @id
  posts Post[]
}

model Seat {
  row    Int
  column String
  user   User?  @relation(fields: [userId], references: [id])
  userId Int?
  labels Label[]

  @@id([row, column])
}

model Label {
  id         Int    @id
  text       String
  seat       Seat   @relation(fields: [seatRow, seatColumn], references: [row, column])
  seatRow    Int
  seatColumn String
}
"""


@cache
def blog_schema() -> PrismaSchema:
    return PrismaSchema.parse(SCHEMA)


@cache
def blog_types() -> ApiTypes:
    return ApiTypes.from_dmmf(blog_schema().dmmf)


@cache
def blog_engine() -> QueryEngine:
    return QueryEngine(blog_schema())


@cache
def blog_deployable() -> stored_schema.Deployable:
    return stored_schema.compute(blog_schema())


@cache
def blog_api() -> Api:
    return Api(blog_engine(), blog_types())


def empty_blog(url: str = "memory:") -> Database:
    """A database with the schema's tables and no rows."""
    database = Database.open(url)
    with database.writer() as connection:
        push(connection, blog_schema())
    return database
