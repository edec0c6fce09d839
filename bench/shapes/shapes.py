"""The shapes: a GraphQL document, and the same by careful hand-written SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import apsw
import orjson

type Hand = Callable[[apsw.Connection], Any]


@dataclass(frozen=True)
class Shape:
    name: str
    document: str
    hand: Hand


def shapes(posts: int) -> list[Shape]:
    """The shapes over so many posts."""
    middle, deep = posts // 2, posts // 10 * 9
    return [
        Shape(
            "one post by its id",
            f"{{ findUniquePost(where: {{ id: {middle} }}) {{ id title views }} }}",
            lambda db: one(db, f"SELECT id, title, views FROM Post WHERE id = {middle}"),
        ),
        Shape(
            "10 posts of an author, newest first",
            "{ findManyPost(where: { authorId: { equals: 7 } }, orderBy: { id: desc }, take: 10)"
            " { id title views } }",
            lambda db: rows(
                db, "SELECT id, title, views FROM Post WHERE authorId = 7 ORDER BY id DESC LIMIT 10"
            ),
        ),
        Shape(
            "1000 posts",
            f"{{ findManyPost(where: {{ id: {{ gt: {middle} }} }}, orderBy: {{ id: asc }}, take: 1000)"
            " { id title views } }",
            lambda db: rows(
                db, f"SELECT id, title, views FROM Post WHERE id > {middle} ORDER BY id LIMIT 1000"
            ),
        ),
        Shape(
            "page after a cursor",
            f"{{ findManyPost(cursor: {{ id: {middle} }}, skip: 1, take: 20, orderBy: {{ id: asc }})"
            " { id title } }",
            lambda db: rows(db, f"SELECT id, title FROM Post WHERE id > {middle} ORDER BY id LIMIT 20"),
        ),
        Shape(
            "page after a cursor, in an order with ties",
            f"{{ findManyPost(cursor: {{ id: {middle} }}, skip: 1, take: 20, orderBy: {{ views: asc }})"
            " { id views } }",
            lambda db: rows(
                db,
                "SELECT id, views FROM Post WHERE (views, id) >"
                f" (SELECT views, id FROM Post WHERE id = {middle}) ORDER BY views, id LIMIT 20",
            ),
        ),
        Shape(
            "deep skip by id",
            f"{{ findManyPost(skip: {deep}, take: 10, orderBy: {{ id: asc }}) {{ id title views }} }}",
            lambda db: rows(db, f"SELECT id, title, views FROM Post ORDER BY id LIMIT 10 OFFSET {deep}"),
        ),
        Shape(
            "deep skip by an index",
            f"{{ findManyPost(skip: {deep}, take: 10, orderBy: [{{ views: asc }}, {{ id: asc }}])"
            " { id title views } }",
            lambda db: rows(
                db,
                "SELECT Post.id, title, views FROM"
                f" (SELECT id AS found FROM Post ORDER BY views, id LIMIT 10 OFFSET {deep})"
                " CROSS JOIN Post ON Post.id = found ORDER BY views, Post.id",
            ),
        ),
        Shape(
            "deep skip without an index",
            f"{{ findManyPost(skip: {deep // 10}, take: 10, orderBy: [{{ createdAt: desc }}, {{ id: asc }}])"
            " { id title body views } }",
            lambda db: rows(
                db,
                "SELECT Post.id, title, body, views FROM"
                f" (SELECT id AS found FROM Post ORDER BY createdAt DESC, id LIMIT 10 OFFSET {deep // 10})"
                " CROSS JOIN Post ON Post.id = found ORDER BY createdAt DESC, Post.id",
            ),
        ),
        Shape(
            "10 of all by a column without an index",
            "{ findManyPost(orderBy: [{ title: asc }, { id: asc }], take: 10) { id title } }",
            lambda db: rows(db, "SELECT id, title FROM Post ORDER BY title, id LIMIT 10"),
        ),
        Shape(
            "_count of a relation",
            "{ findManyAuthor(take: 10, orderBy: { id: asc }) { id name _count { posts } } }",
            lambda db: counted(
                db,
                "SELECT id, name, (SELECT count(*) FROM Post WHERE authorId = Author.id) FROM Author"
                " ORDER BY id LIMIT 10",
            ),
        ),
        Shape(
            "_count of a relation, filtered",
            "{ findManyAuthor(take: 10, orderBy: { name: asc })"
            " { id name _count { posts(where: { published: { equals: true } }) } } }",
            lambda db: counted(
                db,
                "SELECT id, name,"
                " (SELECT count(*) FROM Post WHERE authorId = found.id AND published = 1)"
                " FROM (SELECT id, name FROM Author ORDER BY name LIMIT 10) AS found",
            ),
        ),
        Shape(
            "_count of many to many",
            "{ findManyTag(take: 5, orderBy: { id: asc }) { id name _count { posts } } }",
            lambda db: counted(
                db,
                'SELECT id, name, (SELECT count(*) FROM "_PostToTag" WHERE "B" = Tag.id) FROM Tag'
                " ORDER BY id LIMIT 5",
            ),
        ),
        Shape(
            "_count of one record",
            "{ findUniqueAuthor(where: { id: 7 }) { id name _count { posts } } }",
            lambda db: counted(
                db,
                "SELECT id, name, (SELECT count(*) FROM Post WHERE authorId = 7) FROM Author WHERE id = 7",
            )[0],
        ),
        Shape(
            "_count below a list",
            f"{{ findManyPost(where: {{ id: {{ gt: {middle} }} }}, orderBy: {{ id: asc }}, take: 10)"
            " { id author { id _count { posts } } } }",
            lambda db: [
                {"id": post, "author": {"id": author, "_count": {"posts": count}}}
                for post, author, count in db.execute(
                    "SELECT id, authorId, (SELECT count(*) FROM Post AS p WHERE p.authorId = Post.authorId)"
                    f" FROM Post WHERE id > {middle} ORDER BY id LIMIT 10"
                )
            ],
        ),
        Shape(
            "ordered by _count",
            "{ findManyAuthor(orderBy: [{ posts: { _count: desc } }, { id: asc }], take: 10) { id name } }",
            lambda db: rows(
                db,
                "SELECT id, name FROM Author LEFT JOIN"
                " (SELECT authorId, count(*) AS n FROM Post GROUP BY authorId) ON authorId = id"
                " ORDER BY ifnull(n, 0) DESC, id LIMIT 10",
            ),
        ),
        Shape(
            "distinct, many values",
            "{ findManyPost(distinct: [views], take: 10, orderBy: { id: asc }) { id views } }",
            lambda db: rows(db, "SELECT min(id) AS id, views FROM Post GROUP BY views ORDER BY 1 LIMIT 10"),
        ),
        Shape(
            "distinct, two values",
            "{ findManyPost(distinct: [published], take: 10, orderBy: { id: asc }) { id views } }",
            lambda db: rows(
                db,
                "SELECT id, views FROM (SELECT min(id) AS id, views FROM Post GROUP BY published)"
                " ORDER BY id",
            ),
        ),
        Shape(
            "distinct by an order without an index",
            "{ findManyPost(distinct: [authorId], take: 10, orderBy: [{ createdAt: desc }, { id: asc }])"
            " { id authorId } }",
            lambda db: rows(
                db,
                "SELECT id, authorId FROM (SELECT id, authorId, createdAt, row_number() OVER"
                " (PARTITION BY authorId ORDER BY createdAt DESC, id) AS n FROM Post) WHERE n = 1"
                " ORDER BY createdAt DESC, id LIMIT 10",
            ),
        ),
        Shape(
            "some, frequent",
            "{ findManyAuthor(where: { posts: { some: { views: { gt: 100 } } } }, orderBy: { id: asc },"
            " take: 10) { id name } }",
            lambda db: rows(
                db,
                "SELECT id, name FROM Author WHERE EXISTS (SELECT 1 FROM Post WHERE authorId = Author.id"
                " AND views > 100) ORDER BY id LIMIT 10",
            ),
        ),
        Shape(
            "some, rare",
            "{ findManyAuthor(where: { posts: { some: { views: { gt: 9998 } } } }, orderBy: { id: asc },"
            " take: 10) { id name } }",
            lambda db: rows(
                db,
                "SELECT id, name FROM Author WHERE id IN (SELECT authorId FROM Post WHERE views > 9998)"
                " ORDER BY id LIMIT 10",
            ),
        ),
        Shape(
            "some, counted",
            "{ aggregateAuthor(where: { posts: { some: { views: { gt: 9990 } } } }) { _count { _all } } }",
            lambda db: total(
                db, "SELECT count(*) FROM Author WHERE id IN (SELECT authorId FROM Post WHERE views > 9990)"
            ),
        ),
        Shape(
            "none",
            "{ findManyAuthor(where: { posts: { none: { views: { gt: 9990 } } } }, orderBy: { id: asc },"
            " take: 10) { id name } }",
            lambda db: rows(
                db,
                "SELECT id, name FROM Author WHERE id NOT IN (SELECT authorId FROM Post WHERE views > 9990)"
                " ORDER BY id LIMIT 10",
            ),
        ),
        Shape(
            "every",
            "{ findManyAuthor(where: { posts: { every: { views: { lte: 9990 } } } }, orderBy: { id: asc },"
            " take: 10) { id name } }",
            lambda db: rows(
                db,
                "SELECT id, name FROM Author WHERE id NOT IN (SELECT authorId FROM Post WHERE views > 9990)"
                " ORDER BY id LIMIT 10",
            ),
        ),
        Shape(
            "some of many to many",
            '{ findManyPost(where: { tags: { some: { name: { equals: "tag-07" } } } }, orderBy: { id: desc },'
            " take: 10) { id title } }",
            lambda db: rows(
                db,
                'SELECT id, title FROM Post WHERE id IN (SELECT "A" FROM "_PostToTag" WHERE "B" ='
                " (SELECT id FROM Tag WHERE name = 'tag-07') ORDER BY 1 DESC LIMIT 10) ORDER BY id DESC",
            ),
        ),
        Shape(
            "some of many to many, counted",
            '{ aggregatePost(where: { tags: { some: { name: { equals: "tag-07" } } } })'
            " { _count { _all } } }",
            lambda db: total(
                db,
                'SELECT count(DISTINCT "A") FROM "_PostToTag" WHERE "B" ='
                " (SELECT id FROM Tag WHERE name = 'tag-07')",
            ),
        ),
        Shape(
            "by a field of the parent",
            '{ findManyPost(where: { author: { is: { name: { equals: "Author 7" } } } },'
            " orderBy: { id: asc }, take: 10) { id title } }",
            lambda db: rows(
                db,
                "SELECT Post.id, title FROM Author JOIN Post ON authorId = Author.id"
                " WHERE name = 'Author 7' ORDER BY Post.id LIMIT 10",
            ),
        ),
        Shape(
            "count of all",
            "{ aggregatePost { _count { _all } } }",
            lambda db: total(db, "SELECT count(*) FROM Post"),
        ),
        Shape(
            "count by an index",
            "{ aggregatePost(where: { views: { gte: 5000 } }) { _count { _all } } }",
            lambda db: total(db, "SELECT count(*) FROM Post WHERE views >= 5000"),
        ),
        Shape(
            "count without an index",
            "{ aggregatePost(where: { published: { equals: true } }) { _count { _all } } }",
            lambda db: total(db, "SELECT count(*) FROM Post WHERE published = 1"),
        ),
        Shape(
            "smallest and largest",
            "{ aggregatePost { _min { views } _max { views } } }",
            lambda db: next(
                {"_min": {"views": low}, "_max": {"views": high}}
                for low, high in db.execute(
                    "SELECT (SELECT min(views) FROM Post), (SELECT max(views) FROM Post)"
                )
            ),
        ),
        Shape(
            "average of a scan",
            "{ aggregatePost(where: { published: { equals: true } }) { _count { _all } _avg { views } } }",
            lambda db: next(
                {"_count": {"_all": count}, "_avg": {"views": average}}
                for count, average in db.execute("SELECT count(*), avg(views) FROM Post WHERE published = 1")
            ),
        ),
        Shape(
            "groupBy",
            "{ groupByPost(by: [authorId], orderBy: { authorId: asc }, take: 100)"
            " { authorId _count { _all } _max { views } } }",
            lambda db: [
                {"authorId": author, "_count": {"_all": count}, "_max": {"views": most}}
                for author, count, most in db.execute(
                    "SELECT authorId, count(*), max(views) FROM Post GROUP BY authorId"
                    " ORDER BY authorId LIMIT 100"
                )
            ],
        ),
        Shape(
            "100 authors with 10 posts each",
            "{ findManyAuthor(orderBy: { id: asc }, take: 100)"
            " { id name posts(orderBy: { id: asc }, take: 10) { id title } } }",
            authors_with_posts,
        ),
        Shape(
            "100 posts with author and tags",
            f"{{ findManyPost(where: {{ id: {{ gt: {middle} }} }}, orderBy: {{ id: asc }}, take: 100)"
            " { id author { name } tags(orderBy: { id: asc }) { name } } }",
            lambda db: posts_with_tags(db, middle),
        ),
        Shape(
            "100 ids",
            "{ findManyPost(where: { id: { in: [" + ", ".join(map(str, range(1, 1001, 10))) + "] } },"
            " orderBy: { id: asc }) { id title } }",
            lambda db: rows(
                db,
                "SELECT id, title FROM Post WHERE id IN (" + ", ".join(map(str, range(1, 1001, 10))) + ")"
                " ORDER BY id",
            ),
        ),
        Shape(
            "text that contains a word",
            '{ findManyPost(where: { body: { contains: "zebra" } }, orderBy: { id: asc }, take: 10) { id } }',
            lambda db: rows(db, "SELECT id FROM Post WHERE body LIKE '%zebra%' ORDER BY id LIMIT 10"),
        ),
    ]


def rows(db: apsw.Connection, sql: str) -> list[dict[str, Any]]:
    """The rows as records."""
    names = _names(sql)
    return [dict(zip(names, row, strict=True)) for row in db.execute(sql)]


@cache
def _names(sql: str) -> list[str]:
    """The names of the columns that a statement of this module selects."""
    selected = sql.removeprefix("SELECT ").partition(" FROM")[0]
    return [column.rpartition(" AS ")[2].rpartition(".")[2] for column in selected.split(", ")]


def one(db: apsw.Connection, sql: str) -> dict[str, Any] | None:
    found = rows(db, sql)
    return found[0] if found else None


def counted(db: apsw.Connection, sql: str) -> list[dict[str, Any]]:
    return [
        {"id": identifier, "name": name, "_count": {"posts": posts}}
        for identifier, name, posts in db.execute(sql)
    ]


def total(db: apsw.Connection, sql: str) -> dict[str, Any]:
    return {"_count": {"_all": db.execute(sql).get}}


def authors_with_posts(db: apsw.Connection) -> Any:
    authors = db.execute("SELECT id, name FROM Author ORDER BY id LIMIT 100").fetchall()
    sql = "SELECT id, title FROM Post WHERE authorId = ? ORDER BY id LIMIT 10"
    return [
        {
            "id": author,
            "name": name,
            "posts": [{"id": post, "title": title} for post, title in db.execute(sql, (author,))],
        }
        for author, name in authors
    ]


def posts_with_tags(db: apsw.Connection, after: int) -> Any:
    found = db.execute(
        "SELECT Post.id, name FROM Post JOIN Author ON Author.id = authorId"
        f" WHERE Post.id > {after} ORDER BY Post.id LIMIT 100"
    ).fetchall()
    tags: dict[Any, list[Any]] = {post: [] for post, _ in found}
    sql = (
        'SELECT "A", name FROM "_PostToTag" JOIN Tag ON Tag.id = "B"'
        ' WHERE "A" IN (SELECT value FROM json_each(?)) ORDER BY Tag.id'
    )
    for post, name in db.execute(sql, (orjson.dumps([*tags]).decode(),)):
        tags[post].append({"name": name})
    return [{"id": post, "author": {"name": name}, "tags": tags[post]} for post, name in found]
