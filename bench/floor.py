"""The floor: these documents handled by careful hand-written code on apsw and orjson.

It reads the request's JSON, looks its document up in a table, runs the SQL that the document comes to, and
writes the same bytes that the API answers. No GraphQL, no schema, no checks.
"""

from collections.abc import Callable, Mapping
from typing import Any

import apsw
import orjson

type Variables = Mapping[str, Any]
type Handler = Callable[[apsw.Connection, Variables], Any]

_POST = ("id", "title", "views", "published", "createdAt", "authorId")


class Floor:
    """Answers the documents it was given handlers for, from a plain SQLite database."""

    def __init__(self, connection: apsw.Connection, handlers: Mapping[str, tuple[str, Handler]]) -> None:
        self._connection = connection
        self._handlers = handlers

    def answer(self, body: bytes) -> bytes:
        request = orjson.loads(body)
        field, handler = self._handlers[request["query"]]
        return orjson.dumps({"data": {field: handler(self._connection, request["variables"])}})


def _post(row: tuple[Any, ...]) -> dict[str, Any]:
    identifier, title, views, published, created_at, author_id = row
    return {
        "id": identifier,
        "title": title,
        "views": views,
        "published": published == 1,
        "createdAt": created_at[:-6] + "Z",
        "authorId": author_id,
    }


def find_unique(connection: apsw.Connection, variables: Variables) -> Any:
    sql = "SELECT id, title, views, published, createdAt, authorId FROM Post WHERE id = ?"
    row = connection.execute(sql, (variables["id"],)).fetchone()
    return None if row is None else _post(row)


def posts_of_author(connection: apsw.Connection, variables: Variables) -> Any:
    sql = "SELECT id, title, views FROM Post WHERE authorId = ? ORDER BY id DESC LIMIT 10"
    rows = connection.execute(sql, (variables["author"],))
    return [{"id": identifier, "title": title, "views": views} for identifier, title, views in rows]


def thousand_posts(connection: apsw.Connection, variables: Variables) -> Any:
    columns = "id, title, views, published, createdAt, authorId"
    sql = f"SELECT {columns} FROM Post WHERE id > ? ORDER BY id LIMIT 1000"
    return [_post(row) for row in connection.execute(sql, (variables["after"],))]


def many_short_posts(connection: apsw.Connection, variables: Variables) -> Any:
    sql = "SELECT id, title, views FROM Post WHERE id > ? ORDER BY id LIMIT 2500"
    rows = connection.execute(sql, (variables["after"],))
    return [{"id": identifier, "title": title, "views": views} for identifier, title, views in rows]


def authors_with_posts(connection: apsw.Connection, variables: Variables) -> Any:
    """One statement per author: there is no network between us and SQLite, and each reads ten rows only."""
    authors = connection.execute(
        "SELECT id, name FROM Author WHERE id > ? ORDER BY id LIMIT 100", (variables["after"],)
    ).fetchall()
    sql = "SELECT id, title, views FROM Post WHERE authorId = ? ORDER BY id LIMIT 10"
    return [
        {
            "id": author,
            "name": name,
            "posts": [
                {"id": identifier, "title": title, "views": views}
                for identifier, title, views in connection.execute(sql, (author,))
            ],
        }
        for author, name in authors
    ]


def posts_with_author_and_tags(connection: apsw.Connection, variables: Variables) -> Any:
    rows = connection.execute(
        "SELECT id, title, views, authorId FROM Post WHERE id > ? ORDER BY id LIMIT 100",
        (variables["after"],),
    ).fetchall()
    keys = orjson.dumps([row[0] for row in rows]).decode()
    author_keys = orjson.dumps(list({row[3] for row in rows})).decode()
    authors = {
        identifier: {"name": name}
        for identifier, name in connection.execute(
            "SELECT id, name FROM Author WHERE id IN (SELECT value FROM json_each(?))", (author_keys,)
        )
    }
    tags: dict[Any, list[dict[str, Any]]] = {row[0]: [] for row in rows}
    sql = (
        'SELECT "A", name FROM "_PostToTag" JOIN Tag ON Tag.id = "B"'
        ' WHERE "A" IN (SELECT value FROM json_each(?)) ORDER BY name'
    )
    for post, name in connection.execute(sql, (keys,)):
        tags[post].append({"name": name})
    return [
        {
            "id": identifier,
            "title": title,
            "views": views,
            "author": authors[author],
            "tags": tags[identifier],
        }
        for identifier, title, views, author in rows
    ]


def create(connection: apsw.Connection, variables: Variables) -> Any:
    sql = (
        "INSERT INTO Post (title, body, createdAt, authorId) VALUES (?, ?, ?, ?)"
        " RETURNING id, title, views, published, createdAt, authorId"
    )
    created_at = variables["at"][:-1] + "+00:00"
    values = (variables["title"], variables["body"], created_at, variables["author"])
    connection.execute("BEGIN IMMEDIATE")
    row = connection.execute(sql, values).fetchall()[0]
    connection.execute("COMMIT")
    return _post(row)
