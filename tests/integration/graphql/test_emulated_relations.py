"""`relationMode = "prisma"`: what plans do for relations has the same outcome as SQLite's foreign keys."""

from typing import Any

import orjson
import pytest

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

SCHEMA = """
datasource db {{
  provider     = "sqlite"
  relationMode = "{mode}"
}}

model User {{
  id      Int      @id
  code    String   @unique
  n       Int
  profile Profile?
  desk    Desk?
  posts   Post[]
}}

model Profile {{
  id     Int    @id
  userId Int{mark} @unique
  user   User{mark} @relation(fields: [userId], references: [id], onDelete: {delete}, onUpdate: {update})
  photo  Photo?
}}

model Photo {{
  id        Int     @id
  profileId Int     @unique
  profile   Profile @relation(fields: [profileId], references: [id], onDelete: Cascade, onUpdate: Cascade)
}}

model Desk {{
  id   Int     @id
  code String? @unique
  user User?   @relation(fields: [code], references: [code], onDelete: SetNull, onUpdate: Cascade)
}}

model Post {{
  id     Int  @id
  userId Int
  user   User @relation(fields: [userId], references: [id], onDelete: Cascade, onUpdate: Cascade)
}}
"""
MODELS = ("Photo", "Profile", "Desk", "Post", "User")
ROWS = (
    'createManyUser(data: [{id: 1, code: "a", n: 1}, {id: 2, code: "b", n: 1}, {id: 3, code: "c", n: 1}, '
    '{id: 4, code: "d", n: 2}, {id: 5, code: "e", n: 3}])',
    "createManyProfile(data: [{id: 10, userId: 1}, {id: 20, userId: 2}, {id: 40, userId: 4}])",
    "createManyPhoto(data: [{id: 100, profileId: 10}, {id: 200, profileId: 20}, {id: 400, profileId: 40}])",
    'createManyDesk(data: [{id: 1, code: "a"}, {id: 2, code: "c"}, {id: 3, code: "d"}])',
    "createManyPost(data: [{id: 1, userId: 1}, {id: 2, userId: 1}, {id: 3, userId: 2}, {id: 4, userId: 4}])",
)
EVERYTHING = (
    "{ findManyUser(orderBy: {id: asc}) { id code n } findManyProfile(orderBy: {id: asc}) { id userId } "
    "findManyPhoto(orderBy: {id: asc}) { id profileId } findManyDesk(orderBy: {id: asc}) { id code } "
    "findManyPost(orderBy: {id: asc}) { id userId } }"
)
MUTATIONS = (
    "deleteManyUser(where: {n: 1}) { count }",
    "deleteManyUser(where: {n: {gte: 2}}) { count }",
    "deleteManyUser(where: {n: 9}) { count }",
    "deleteManyUser { count }",
    "deleteOneUser(where: {id: 4}) { id }",
    "deleteOneUser(where: {id: 5}) { id }",
    "deleteManyProfile(where: {id: {in: [10, 20]}}) { count }",
    "deleteManyProfile { count }",
    'updateManyUser(where: {n: 2}, data: {id: 44, code: "x"}) { count }',
    "updateManyUser(where: {n: 1}, data: {n: 7}) { count }",
    'updateOneUser(where: {id: 1}, data: {id: 11, code: "y"}) { id }',
    "updateManyProfile(where: {id: 10}, data: {id: 11}) { count }",
)


class Sample:
    """A database of one schema, and what mutations do to its rows."""

    def __init__(self, schema: str) -> None:
        parsed = PrismaSchema.parse(schema)
        self._api = Api(QueryEngine(parsed), ApiTypes.from_dmmf(parsed.dmmf))
        self._database = Database.open("memory:")
        with self._database.writer() as connection:
            push(connection, parsed)

    def ask(self, query: str) -> Any:
        return orjson.loads(self._api.execute(self._database, GraphQLRequest(query)).body)

    def outcome(self, mutation: str) -> tuple[Any, Any]:
        """The answer or the codes of the errors, and all rows afterwards."""
        empty = " ".join(f"deleteMany{model} {{ count }}" for model in MODELS)
        filled = " ".join(f"{rows} {{ count }}" for rows in ROWS)
        assert "errors" not in self.ask(f"mutation {{ {empty} {filled} }}")
        answer = self.ask(f"mutation {{ {mutation} }}")
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        return codes or answer["data"], self.ask(EVERYTHING)["data"]


@pytest.mark.parametrize(
    ("delete", "update", "mark"),
    [
        ("Cascade", "Cascade", " "),
        ("SetNull", "SetNull", "?"),
        ("Cascade", "SetNull", "?"),
        ("Restrict", "Cascade", " "),
    ],
)
def test_several_records_with_one_related_record_each(delete: str, update: str, mark: str) -> None:
    values = {"delete": delete, "update": update, "mark": mark}
    emulates, enforces = (Sample(SCHEMA.format(mode=mode, **values)) for mode in ("prisma", "foreignKeys"))
    for mutation in MUTATIONS:
        emulated, enforced = emulates.outcome(mutation), enforces.outcome(mutation)
        if enforced[0] == ["P2003"]:
            assert emulated[0] in (["P2003"], ["P2014"]), mutation
            assert emulated[1] == enforced[1], mutation
        else:
            assert emulated == enforced, mutation
