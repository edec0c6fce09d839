"""The data that is measured on: authors, their posts, and tags on the posts."""

from dataclasses import dataclass
from random import Random

import apsw

SCHEMA = """
datasource db {
  provider = "sqlite"
}

generator client {
  provider = "prisma-client"
}

model Author {
  id    Int    @id @default(autoincrement())
  name  String
  email String @unique
  posts Post[]
}

model Post {
  id        Int      @id @default(autoincrement())
  title     String
  body      String
  views     Int      @default(0)
  published Boolean  @default(false)
  createdAt DateTime @default(now())
  author    Author   @relation(fields: [authorId], references: [id])
  authorId  Int
  tags      Tag[]

  @@index([authorId])
}

model Tag {
  id    Int    @id @default(autoincrement())
  name  String @unique
  posts Post[]
}
"""

_WORDS = (
    "page",
    "index",
    "snapshot",
    "commit",
    "reader",
    "writer",
    "fence",
    "bucket",
    "schema",
    "query",
    "plan",
    "row",
)


@dataclass(frozen=True)
class Size:
    """How many rows there are. Every post has one author and the same number of tags."""

    posts: int = 100_000
    authors: int = 1_000
    tags: int = 50
    links_per_post: int = 3

    @property
    def links(self) -> int:
        return self.posts * self.links_per_post


def fill(connection: apsw.Connection, size: Size) -> None:
    """The same rows every time, in tables that the schema's push has made."""
    random = Random(20)
    authors = ((n, f"Author {n}", f"author{n}@example.org") for n in range(1, size.authors + 1))
    tags = ((n, f"tag-{n:02d}") for n in range(1, size.tags + 1))
    posts = (
        (
            n,
            f"Post {n} about {random.choice(_WORDS)}",
            " ".join(random.choices(_WORDS, k=12)),
            random.randrange(10_000),
            n % 3 != 0,
            f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}T{n % 24:02d}:00:00.{n % 1000:03d}+00:00",
            n % size.authors + 1,
        )
        for n in range(1, size.posts + 1)
    )
    links = (
        (post, tag)
        for post in range(1, size.posts + 1)
        for tag in sorted(random.sample(range(1, size.tags + 1), size.links_per_post))
    )
    connection.executemany("INSERT INTO Author (id, name, email) VALUES (?, ?, ?)", authors)
    connection.executemany("INSERT INTO Tag (id, name) VALUES (?, ?)", tags)
    columns = "id, title, body, views, published, createdAt, authorId"
    connection.executemany(f"INSERT INTO Post ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", posts)
    connection.executemany('INSERT INTO "_PostToTag" ("A", "B") VALUES (?, ?)', links)
    connection.execute("ANALYZE")
