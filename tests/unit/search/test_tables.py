"""The tables and triggers of a search: whatever statement changes the rows, the index agrees with them."""

import random
import re
from dataclasses import replace

import apsw
import pytest

from lamdb.search.definition import (
    ColumnSource,
    Facet,
    FacetKind,
    Hop,
    Language,
    Rank,
    SearchDefinition,
    SearchField,
)
from lamdb.search.tables import ddl, drop, fill, objects

TAGS = (
    Hop("_PostToTag", (("id", "A"),), (("A", "B"),), many=True),
    Hop("Tag", (("B", "id"),), (("id",), ("name",))),
)
AUTHOR = (Hop("Author", (("authorId", "id"),), (("id",),)),)

POST = SearchDefinition(
    model="Post",
    table="Post",
    rowid="id",
    index="Post_search",
    fields=(
        SearchField(("title",), "title", 4, ColumnSource("title")),
        SearchField(("body",), "body", 1, ColumnSource("body")),
        SearchField(("tags", "name"), "tags_name", 2, ColumnSource("name", TAGS)),
        SearchField(("author", "name"), "author_name", 1, ColumnSource("name", AUTHOR)),
    ),
    uniques=(("id",), ("slug",)),
    cascades=True,
    facets=(
        Facet("category", "category", FacetKind.TEXT, ColumnSource("category")),
        Facet("tags.name", "tags_name_values", FacetKind.TEXT, ColumnSource("name", TAGS), many=True),
        Facet("author.name", "author_name", FacetKind.TEXT, ColumnSource("name", AUTHOR)),
    ),
    rank=(Rank("views", "views", True, ColumnSource("views")),),
    language=Language.EN,
)

TABLES = """
CREATE TABLE Author (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE Post (
  {key}, slug TEXT UNIQUE, title TEXT, body TEXT, category TEXT, views INT DEFAULT 0,
  authorId INT REFERENCES Author(id) ON DELETE {action} ON UPDATE CASCADE
);
CREATE TABLE Tag (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE _PostToTag (
  A INT NOT NULL REFERENCES Post(id) ON DELETE CASCADE ON UPDATE CASCADE,
  B INT NOT NULL REFERENCES Tag(id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX _PostToTag_AB_unique ON _PostToTag (A, B);
CREATE INDEX _PostToTag_B_index ON _PostToTag (B);
"""
WORDS = ["cat", "cats", "dog", "running", "run", "Ärger", "sql", "light", "a-b", ""]


def database(definition: SearchDefinition, action: str = "CASCADE") -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    key = "id INTEGER PRIMARY KEY" if definition.rowid == "id" else "id INT UNIQUE NOT NULL"
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(TABLES.format(action=action, key=key))
    for statement in ddl(definition):
        connection.execute(statement)
    return connection


def check(connection: apsw.Connection, definition: SearchDefinition) -> None:
    index = definition.index
    connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")
    columns = ", ".join(["docid", *definition.side_columns])
    kept = set(connection.execute(f"SELECT {columns} FROM {definition.side}"))
    assert kept == set(connection.execute(f"SELECT {columns} FROM {definition.rows}"))
    docs = set(connection.execute(f"SELECT {definition.rowid} FROM {definition.table}"))
    assert set(connection.execute(f"SELECT id FROM {index}_docsize")) == docs
    texts = ", ".join(field.column for field in definition.fields)
    for word in ("cat", "dog", "arger"):
        found = {rowid for (rowid,) in connection.execute(f"SELECT rowid FROM {index}(?)", (word,))}
        rows = connection.execute(f"SELECT docid, {texts} FROM {definition.rows}")
        assert found == {row[0] for row in rows if word in stems(row[1:])}


def stems(texts: tuple[object, ...]) -> set[str]:
    words = re.findall(r"\w+", " ".join(str(text or "") for text in texts).lower().replace("ä", "a"))
    return {word.removesuffix("s") for word in words}


def statement(chance: random.Random) -> tuple[str, tuple[object, ...]]:
    def text() -> str | None:
        return " ".join(chance.choices(WORDS, k=chance.randrange(4))) if chance.random() < 0.9 else None

    def one() -> int:
        return chance.randrange(1, 7)

    conflict = chance.choice(["", "", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT"])
    slug = chance.choice(["s1", "s2", "s3", "s4", None])
    return chance.choice(
        [
            (
                f"INSERT {conflict} INTO Post (id, slug, title, body, category, views, authorId)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (one(), slug, text(), text(), text(), one(), one()),
            ),
            (
                f"INSERT {conflict} INTO Post (id, slug, title) VALUES (?, ?, ?), (?, 's2', ?)",
                (one(), slug, text(), one(), text()),
            ),
            (
                "INSERT INTO Post (id, slug, title) VALUES (?, ?, ?)"
                " ON CONFLICT (slug) DO UPDATE SET title = excluded.title, views = 9",
                (one(), slug, text()),
            ),
            ("INSERT INTO Post (id, title) VALUES (?, ?) ON CONFLICT DO NOTHING", (one(), text())),
            (f"UPDATE {conflict} Post SET title = ?, category = ? WHERE id = ?", (text(), text(), one())),
            (f"UPDATE {conflict} Post SET slug = ? WHERE id = ?", (slug, one())),
            (f"UPDATE {conflict} Post SET id = ? WHERE id = ?", (one(), one())),
            (f"UPDATE {conflict} Post SET rowid = ? WHERE rowid = ?", (one(), one())),
            ("UPDATE Post SET views = views + 1, body = body || 'x' WHERE id < ?", (one(),)),
            ("UPDATE Post SET views = views + 1", ()),
            (f"UPDATE {conflict} Post SET authorId = ? WHERE id > ?", (one(), one())),
            ("DELETE FROM Post WHERE id = ?", (one(),)),
            (f"INSERT {conflict} INTO Author VALUES (?, ?)", (one(), text())),
            (f"UPDATE {conflict} Author SET name = ? WHERE id = ?", (text(), one())),
            (f"UPDATE {conflict} Author SET id = ? WHERE id = ?", (one(), one())),
            ("DELETE FROM Author WHERE id = ?", (one(),)),
            (f"INSERT {conflict} INTO Tag VALUES (?, ?)", (one(), text())),
            (f"UPDATE {conflict} Tag SET name = ? WHERE id = ?", (text(), one())),
            (f"UPDATE {conflict} Tag SET id = ? WHERE id = ?", (one(), one())),
            ("DELETE FROM Tag WHERE id = ?", (one(),)),
            (f"INSERT {conflict} INTO _PostToTag VALUES (?, ?)", (one(), one())),
            (f"UPDATE {conflict} _PostToTag SET B = ? WHERE A = ?", (one(), one())),
            ("DELETE FROM _PostToTag WHERE A = ?", (one(),)),
        ]
    )


SIMPLE = replace(POST, fields=POST.fields[:2], facets=POST.facets[:1], cascades=False)
"""Without texts of relations: rows may be replaced."""


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "NO ACTION"])
@pytest.mark.parametrize("definition", [POST, SIMPLE], ids=["relations", "simple"])
@pytest.mark.parametrize("key", ["id", "rowid"])
@pytest.mark.parametrize("seed", range(3))
def test_any_statements_leave_the_index_true(
    definition: SearchDefinition, action: str, key: str, seed: int
) -> None:
    chance = random.Random(seed)
    definition = replace(definition, rowid=key)
    connection = database(definition, action)
    done = 0
    for number in range(250):
        try:
            connection.execute(*statement(chance))
            done += 1
        except apsw.ConstraintError:
            pass
        if number % 5 == 0:
            check(connection, definition)
    check(connection, definition)
    assert done > 100


@pytest.mark.parametrize("definition", [POST, SIMPLE], ids=["relations", "simple"])
def test_without_foreign_keys_the_index_stays_true(definition: SearchDefinition) -> None:
    connection = database(definition)
    connection.execute("PRAGMA foreign_keys = OFF")
    chance = random.Random(99)
    for _ in range(300):
        try:
            connection.execute(*statement(chance))
        except apsw.ConstraintError:
            continue
        check(connection, definition)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR REPLACE INTO Post (id, title) VALUES (1, 'dog')",
        "REPLACE INTO Post (id, slug, title) VALUES (7, 's', 'dog')",
        "UPDATE OR REPLACE Post SET id = 1, title = 'dog' WHERE id = 2",
    ],
)
def test_replaced_rows_leave_the_index(sql: str) -> None:
    connection = database(SIMPLE)
    connection.execute("INSERT INTO Post (id, slug, title) VALUES (1, 's', 'cat'), (2, 't', 'cow')")
    connection.execute(sql)
    check(connection, SIMPLE)
    assert connection.execute("SELECT rowid FROM Post_search('cat')").fetchall() == []
    assert len(connection.execute("SELECT rowid FROM Post_search('dog')").fetchall()) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR REPLACE INTO Post (id, title) VALUES (1, 'dog')",
        "REPLACE INTO Tag VALUES (1, 'dog')",
        "UPDATE OR REPLACE Tag SET name = 'x' WHERE id = 2",
    ],
)
def test_rows_searched_with_relations_are_not_replaced(sql: str) -> None:
    connection = database(POST)
    connection.execute("INSERT INTO Post (id, slug, title) VALUES (1, 's', 'cat')")
    connection.execute("INSERT INTO Tag VALUES (1, 'x'), (2, 'y')")
    connection.execute("INSERT INTO _PostToTag VALUES (1, 1), (1, 2)")
    with pytest.raises(apsw.ConstraintError, match="ON CONFLICT"):
        connection.execute(sql)
    check(connection, POST)
    # What would do nothing, or change the row, does.
    connection.execute("INSERT OR IGNORE INTO Tag VALUES (1, 'dog')")
    connection.execute("INSERT INTO Tag VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET name = 'dog'")
    connection.execute("REPLACE INTO Tag VALUES (9, 'new')")
    check(connection, POST)
    assert connection.execute("SELECT rowid FROM Post_search('tags_name: dog')").fetchall() == [(1,)]


def test_what_is_filled_and_dropped() -> None:
    connection = database(POST)
    connection.execute("INSERT INTO Author VALUES (1, 'Cat')")
    connection.execute("INSERT INTO Post (id, title, authorId) VALUES (1, 'A dog', 1)")
    before = set(connection.execute("SELECT name FROM sqlite_schema"))
    for each in fill(POST):
        connection.execute(each)
    check(connection, POST)
    assert {(name,) for name in objects(POST)} <= before
    for each in drop(POST):
        connection.execute(each)
    left = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert left == {
        "Author", "Post", "Tag", "_PostToTag", "_PostToTag_AB_unique", "_PostToTag_B_index",
        "sqlite_autoindex_Post_1", "sqlite_autoindex_Tag_1",
    }  # fmt: skip


def test_the_blocks_of_the_index_fill_the_pages() -> None:
    connection = database(POST)
    size = connection.pragma("page_size")
    assert connection.execute("SELECT v FROM Post_search_config WHERE k = 'pgsz'").get == size - 50


def test_a_write_that_changes_no_text_leaves_the_index_alone() -> None:
    connection = database(POST)
    connection.execute("INSERT INTO Post (id, title, body) VALUES (1, 'cat', 'dog')")
    before = connection.execute("SELECT id, hex(block) FROM Post_search_data").fetchall()
    connection.execute("UPDATE Post SET views = 5, title = 'cat' WHERE id = 1")
    assert connection.execute("SELECT id, hex(block) FROM Post_search_data").fetchall() == before
    check(connection, POST)
