"""The workloads: a document, how its variables vary, and the floor's handler for it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from bench import floor
from bench.data import Size

_POST = "id title views published createdAt authorId"


@dataclass(frozen=True)
class Workload:
    """`aim`: how many times the floor's time the API may take, if there is one."""

    name: str
    field: str
    document: str
    variables: Callable[[Random, Size], dict[str, Any]]
    handler: floor.Handler
    aim: float | None

    def bodies(self, size: Size, count: int) -> list[bytes]:
        """Request bodies that ask for different rows, the same ones on every run."""
        random = Random(7)
        return [
            orjson.dumps({"query": self.document, "variables": self.variables(random, size)})
            for _ in range(count)
        ]


WORKLOADS = [
    Workload(
        "findUnique",
        "findUniquePost",
        f"query ($id: Int!) {{ findUniquePost(where: {{ id: $id }}) {{ {_POST} }} }}",
        lambda random, size: {"id": random.randrange(1, size.posts + 1)},
        floor.find_unique,
        aim=4,
    ),
    Workload(
        "10 posts of an author",
        "findManyPost",
        "query ($author: Int!) {"
        " findManyPost(where: { authorId: { equals: $author } }, orderBy: { id: desc }, take: 10)"
        " { id title views } }",
        lambda random, size: {"author": random.randrange(1, size.authors + 1)},
        floor.posts_of_author,
        aim=4,
    ),
    Workload(
        "1000 posts × 6 fields",
        "findManyPost",
        "query ($after: Int!) { findManyPost(where: { id: { gt: $after } }, orderBy: { id: asc }, take: 1000)"
        f" {{ {_POST} }} }}",
        lambda random, size: {"after": random.randrange(max(1, size.posts - 1000))},
        floor.thousand_posts,
        aim=2,
    ),
    Workload(
        "2500 posts × 3 fields",
        "findManyPost",
        "query ($after: Int!) { findManyPost(where: { id: { gt: $after } }, orderBy: { id: asc }, take: 2500)"
        " { id title views } }",
        lambda random, size: {"after": random.randrange(max(1, size.posts - 2500))},
        floor.many_short_posts,
        aim=2,
    ),
    Workload(
        "100 authors × 10 posts",
        "findManyAuthor",
        "query ($after: Int!) {"
        " findManyAuthor(where: { id: { gt: $after } }, orderBy: { id: asc }, take: 100)"
        " { id name posts(orderBy: { id: asc }, take: 10) { id title views } } }",
        lambda random, size: {"after": random.randrange(max(1, size.authors - 100))},
        floor.authors_with_posts,
        aim=2,
    ),
    Workload(
        "100 posts, author, tags",
        "findManyPost",
        "query ($after: Int!) { findManyPost(where: { id: { gt: $after } }, orderBy: { id: asc }, take: 100)"
        " { id title views author { name } tags(orderBy: { name: asc }) { name } } }",
        lambda random, size: {"after": random.randrange(max(1, size.posts - 100))},
        floor.posts_with_author_and_tags,
        aim=2,
    ),
    Workload(
        "create",
        "createOnePost",
        "mutation ($title: String!, $body: String!, $at: DateTime!, $author: Int!) { createOnePost(data: {"
        " title: $title, body: $body, createdAt: $at, author: { connect: { id: $author } } })"
        f" {{ {_POST} }} }}",
        lambda random, size: {
            "title": f"New {random.randrange(10_000)}",
            "body": "fresh " * 10,
            "at": f"2025-01-{random.randrange(1, 29):02d}T10:00:00.000Z",
            "author": random.randrange(1, size.authors + 1),
        },
        floor.create,
        aim=None,
    ),
]
