"""The tables of Prisma's implicit many-to-many relations: lists on both sides, and no model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from tests.support.imported_databases import Imported, imported, in_sync

from lamdb.prisma.datamodel.naming import Style
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push

SCHEMA = """
datasource db {
  provider = "sqlite"
}
model Post {
  id       Int    @id @default(autoincrement())
  tags     Tag[]
  authorId Int
  author   User   @relation("wrote", fields: [authorId], references: [id])
  likedBy  User[] @relation("Likes")
}
model Tag {
  name  String @id
  posts Post[]
}
model User {
  id       Int    @id
  posts    Post[] @relation("wrote")
  likes    Post[] @relation("Likes")
  followed User[] @relation("follows")
  follower User[] @relation("follows")
}
"""
ROWS = """
INSERT INTO User (id) VALUES (1), (2), (3);
INSERT INTO Post (id, authorId) VALUES (1, 1), (2, 1);
INSERT INTO Tag (name) VALUES ('a'), ('b');
INSERT INTO _PostToTag VALUES (1, 'a'), (1, 'b'), (2, 'b');
INSERT INTO _Likes VALUES (1, 2), (1, 3), (2, 3);
INSERT INTO _follows VALUES (1, 2), (1, 3);
"""
SIDE = 'REFERENCES "{}" ("id") ON DELETE CASCADE ON UPDATE CASCADE'
TO_A, TO_B = SIDE.format("a"), SIDE.format("b")


@contextmanager
def pushed(place: Path, style: Style) -> Iterator[Imported]:
    connection = apsw.Connection(str(place / "x.db"))
    push(connection, PrismaSchema.parse(SCHEMA))
    connection.execute(ROWS)
    connection.close()
    with imported(place / "x.db", place, style=style) as found:
        yield found


def test_what_prisma_made_is_read_as_relations(tmp_path: Path) -> None:
    with pushed(tmp_path, Style.PRISMA) as found:
        assert [block.name for block in found.served] == ["Post", "Tag", "User"]
        assert not found.report["findings"]
        assert in_sync(found)
        tags = (
            '{ rows: findManyPost(where: {tags: {some: {name: "a"}}})'
            " { id tags { name } usersByLikes { id } } }"
        )
        assert found.ask(tags) == {
            "rows": [
                {"id": 1, "tags": [{"name": "a"}, {"name": "b"}], "usersByLikes": [{"id": 2}, {"id": 3}]}
            ]
        }
        data = "{posts: {connect: {id: 2}}}"
        change = f'updateOneTag(where: {{name: "a"}}, data: {data}) {{ posts {{ id }} }}'
        assert found.ask(f"mutation {{ {change} }}") == {"updateOneTag": {"posts": [{"id": 1}, {"id": 2}]}}


@pytest.mark.parametrize("style", list(Style))
def test_a_relation_of_a_model_to_itself_keeps_its_direction(tmp_path: Path, style: Style) -> None:
    with pushed(tmp_path, style) as found:
        one, other = ("followsA", "followsB") if style is Style.PRISMA else ("User_A", "User_B")
        connection = apsw.Connection(str(found.source))
        rows = found.ask(
            f"{{ rows: findManyUser(orderBy: {{id: asc}}) {{ id {one} {{ id }} {other} {{ id }} }} }}"
        )["rows"]
        pairs = {(row["id"], each["id"]) for row in rows for each in row[one]}
        assert pairs == set(connection.execute("SELECT A, B FROM _follows").fetchall())
        assert {(each["id"], row["id"]) for row in rows for each in row[other]} == pairs


@pytest.mark.parametrize("unique", ["PRIMARY KEY (A, B)", "UNIQUE (A, B)", ""])
def test_the_pair_may_be_unique_by_a_key_or_an_index(tmp_path: Path, unique: str) -> None:
    script = f"""
    CREATE TABLE posts (id INTEGER NOT NULL PRIMARY KEY); CREATE TABLE tags (id INTEGER NOT NULL PRIMARY KEY);
    CREATE TABLE _PostToTag (
        A INTEGER NOT NULL {SIDE.format("posts")}, B INTEGER NOT NULL {SIDE.format("tags")}
        {"," + unique if unique else ""});
    {"" if unique else 'CREATE UNIQUE INDEX "_PostToTag_AB_unique" ON _PostToTag (A, B);'}
    CREATE INDEX "_PostToTag_B_index" ON _PostToTag (B);
    INSERT INTO posts VALUES (1); INSERT INTO tags VALUES (7), (8); INSERT INTO _PostToTag VALUES (1, 7);
    """
    connection = apsw.Connection(str(tmp_path / "x.db"))
    connection.execute(script)
    connection.close()
    with imported(tmp_path / "x.db", tmp_path) as found:
        assert {block.name: [field.name for field in block.fields] for block in found.served} == {
            "Post": ["id", "tags"],
            "Tag": ["id", "posts"],
        }
        assert not found.findings("difference")
        assert in_sync(found)
        assert found.ask("{ a: findManyPost { tags { id } } }") == {"a": [{"tags": [{"id": 7}]}]}
        found.ask("mutation { updateOnePost(where: {id: 1}, data: {tags: {set: [{id: 8}]}}) { id } }")
        assert found.ask("{ a: findManyTag { posts { id } } }") == {
            "a": [{"posts": []}, {"posts": [{"id": 1}]}]
        }


@pytest.mark.parametrize(
    "table",
    [
        # B has no index, A goes not along, another column, no unique pair, the order of the models' names.
        f"CREATE TABLE _x (A INT NOT NULL {TO_A}, B INT NOT NULL {TO_B}, UNIQUE (A, B))",
        f"CREATE TABLE _x (A INT NOT NULL REFERENCES a, B INT NOT NULL {TO_B}, UNIQUE (A, B)); INDEX",
        f"CREATE TABLE _x (A INT NOT NULL {TO_A}, B INT NOT NULL {TO_B}, c, UNIQUE (A, B)); INDEX",
        f"CREATE TABLE _x (A INT NOT NULL {TO_A}, B INT NOT NULL {TO_B}); INDEX",
        f"CREATE TABLE _x (A INT NOT NULL {TO_B}, B INT NOT NULL {TO_A}, UNIQUE (A, B)); INDEX",
    ],
)  # fmt: skip
def test_any_other_table_stays_a_model(tmp_path: Path, table: str) -> None:
    connection = apsw.Connection(str(tmp_path / "x.db"))
    connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)")
    connection.execute(table.replace("INDEX", 'CREATE INDEX "_x_B_index" ON _x (B)'))
    connection.close()
    with imported(tmp_path / "x.db", tmp_path) as found:
        assert {block.name for block in found.served} == {"A", "B", "X"}
        assert in_sync(found)
