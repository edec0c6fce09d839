"""Warnings of relations that a search follows without an index."""

import pytest

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.search.indexing import missing_indexes

SCHEMA = """
datasource db {
  provider = "sqlite"
}
/// @lamdb.search title%s
model Post {
  id       Int     @id
  title    String
  authorId Int?    @map("author")
  spot     Int     @default(0)
  author   Author? @relation(fields: [authorId], references: [id])
  notes    Note[]
  tags     Tag[]
  %s
}
model Author {
  id    Int    @id
  name  String
  posts Post[]
}
model Note {
  id     Int    @id
  text   String
  postId Int
  post   Post   @relation(fields: [postId], references: [id])
  %s
}
model Tag {
  id    Int    @id
  name  String
  posts Post[]
}
"""


@pytest.mark.parametrize(
    ("fields", "post", "note", "expected"),
    [
        ("", "", "", []),
        (" author.name", "", "", ["Post by authorId"]),
        (" author.name", "@@index([authorId])", "", []),
        (" author.name", "@@index([authorId, spot])", "", []),
        (" author.name", "@@unique([authorId, spot])", "", []),
        (" author.name", "@@index([spot, authorId])", "", ["Post by authorId"]),
        (" notes.text", "", "", ["Note by postId"]),
        (" notes.text", "", "@@index([postId])", []),
        (" tags.name", "", "", []),
        (" notes.text author.name author.id", "", "", ["Note by postId", "Post by authorId"]),
    ],
)
def test_warnings(fields: str, post: str, note: str, expected: list[str]) -> None:
    schema = PrismaSchema.parse(SCHEMA % (fields, post, note))
    found = missing_indexes(schema.searches, schema.dmmf["datamodel"])
    assert len(found) == len(expected)
    assert all(part in warning for part, warning in zip(expected, found, strict=True))
