"""The server under attack: a real `lamdb serve` with data on which little text asks for much."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ..e2e.conftest import Server

SCHEMA = """
datasource db {
  provider = "sqlite"
}

generator client {
  provider = "prisma-client"
}

model User {
  id    Int    @id @default(autoincrement())
  name  String @unique
  bio   String
  posts Post[]
}

model Post {
  id       Int    @id @default(autoincrement())
  title    String
  body     String
  likes    Int    @default(0)
  author   User   @relation(fields: [authorId], references: [id])
  authorId Int
  tags     Tag[]

  @@index([authorId])
}

model Tag {
  name  String @id
  posts Post[]
}
"""

SETTINGS = {
    "LAMDB_QUERY_SECONDS": "5",
    "LAMDB_MUTATION_SECONDS": "3",
    "LAMDB_SHUTDOWN_TIMEOUT": "2",
    "LAMDB_SLOW_REQUEST": "600",
}
POSTS = 6_000
BIO_BYTES = 1_000_000

_FILL = """mutation ($users: [UserCreateManyInput!]!, $posts: [PostCreateManyInput!]!) {
  createManyUser(data: $users) { count }
  createManyPost(data: $posts) { count }
}"""


@dataclass
class Target:
    """The server, its address, its process."""

    server: Server
    url: str
    pid: int

    @classmethod
    def start(cls, folder: Path) -> "Target":
        (folder / "schema.prisma").write_text(SCHEMA)
        server = Server("--store", f"file://{folder}/store", "--push", database=folder, **SETTINGS)
        target = cls(server, server.url, server.process.pid)
        try:
            target._fill()
        except BaseException:
            server.close()
            raise
        return target

    def post(
        self, query: str, variables: Any = None, *, seconds: float = 60, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        body = {"query": query, "variables": variables}
        return httpx.post(self.url + "/graphql", json=body, headers=named, timeout=seconds)

    def peak_bytes(self) -> int:
        """The most memory that the process has had so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    def _fill(self) -> None:
        users = [
            {"id": n, "name": f"u{n}", "bio": "a" * (BIO_BYTES if n == 1 else 100)} for n in range(1, 21)
        ]
        posts = [
            {"id": n, "title": f"post {n}", "body": "ab" * 300, "authorId": 1 + n % 20}
            for n in range(1, POSTS + 1)
        ]
        answer = self.post(_FILL, {"users": users, "posts": posts}).json()
        assert "errors" not in answer, answer
        tag = 'mutation { createOneTag(data: {name: "t", posts: {connect: [%s]}}) { name } }'
        connected = ",".join(f"{{id: {n}}}" for n in range(1, 201))
        answer = self.post(tag % connected).json()
        assert "errors" not in answer, answer
