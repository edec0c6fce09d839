"""Closures, positional rows and JSON made by SQLite give the same answer: plans and data by hypothesis."""

from functools import cache
from typing import Any

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.prisma.query.plan.plan_nodes import (
    INT,
    Node,
    child,
    data_map,
    get,
    join,
    let,
    map_field,
    node,
    param,
    process,
    query,
    record,
    run_read,
    scalar,
)

ENUMS = {"Role": {"ADMIN": "ADMIN", "user": "USER"}}
COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "author": {
        "id": scalar("id", arity="required"),
        "name": scalar("name", "string"),
        "born": scalar("born", "datetime"),
        "active": scalar("active", "boolean"),
        "rating": scalar("rating", "float"),
        "followers": scalar("followers", "bigint"),
        "role": scalar("role", "enum", name="Role"),
    },
    "post": {
        "id": scalar("id", arity="required"),
        "title": scalar("title", "string"),
        "price": scalar("price", "decimal"),
        "author_id": scalar("author_id"),
    },
    "tag": {"id": scalar("id", arity="required"), "label": scalar("label", "string")},
}
# relation → (from, to, the parent's key, the child's key, the child's SQL before the keys, unique)
RELATIONS: dict[str, tuple[str, str, str, str, str, bool]] = {
    "posts": ("author", "post", "id", "author_id", "FROM `post` WHERE `post`.`author_id` IN ", False),
    "author": ("post", "author", "author_id", "id", "FROM `author` WHERE `author`.`id` IN ", True),
    "tags": (
        "post", "tag", "id", "link@Post",
        "FROM `tag` INNER JOIN `link` AS `t0` ON `t0`.`b` = `tag`.`id` WHERE (1=1 AND `t0`.`a` IN ", False,
    ),
}  # fmt: skip
LINK_COLUMN = {"tags": "`t0`.`a` AS `link@Post`"}

small = st.integers(1, 6)
texts = (
    st.none()
    | st.sampled_from(["", "a", 'q"uo\\te', "line\nbreak", "é😀\u2028", "%_'"])
    | st.text(max_size=3)
)
moments = st.none() | st.sampled_from(["2024-02-29T12:30:00.123+00:00", "1969-12-31T23:59:59.999+00:00"])
floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)
prices = st.none() | st.integers(-(10**6), 10**6).map(lambda cents: cents / 100) | st.integers(-5, 5)
bigs = st.none() | st.integers(-(2**63), 2**63 - 1)

authors = st.lists(
    st.tuples(small, texts, moments, st.sampled_from([None, 0, 1]), floats, bigs,
              st.sampled_from([None, "ADMIN", "user"])),
    max_size=5, unique_by=lambda row: row[0],
)  # fmt: skip
posts = st.lists(st.tuples(small, texts, prices, st.none() | small), max_size=6, unique_by=lambda row: row[0])
tags = st.lists(st.tuples(small, texts), max_size=4, unique_by=lambda row: row[0])
links = st.sets(st.tuples(small, small), max_size=8)


@cache
def database() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(
        """
        CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT, born DATETIME, active BOOLEAN, rating REAL,
                             followers BIGINT, role TEXT);
        CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT, price DECIMAL, author_id INTEGER);
        CREATE INDEX post_author ON post (author_id);
        CREATE TABLE tag (id INTEGER PRIMARY KEY, label TEXT);
        CREATE TABLE link (a INTEGER, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
        """
    )
    return connection


def fill(**tables: Any) -> apsw.Connection:
    connection = database()
    for table, rows in tables.items():
        connection.execute(f"DELETE FROM {table}")
        marks = {"author": 7, "post": 4, "tag": 2, "link": 2}[table]
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * marks)})", list(rows))
    return connection


@st.composite
def selections(draw: st.DrawFn, model: str, depth: int) -> tuple[list[str], dict[str, Any]]:
    """(scalars, relation → (its selection, take and skip of a to-many one))."""
    fields = draw(st.lists(st.sampled_from(list(COLUMNS[model])), unique=True))
    below = {}
    for name, (source, target, *_, unique) in RELATIONS.items():
        if source == model and depth > 0 and draw(st.booleans()):
            page = st.none() | st.fixed_dictionaries(
                {"take": st.none() | st.integers(0, 3), "skip": st.none() | st.integers(0, 2)}
            )
            below[name] = (draw(selections(target, depth - 1)), None if unique else draw(page))
    return fields, below


def select(model: str, columns: list[str], rest: tuple[Any, ...], order: str) -> Node:
    listed = ", ".join(column if " AS " in column else f"`{model}`.`{column}`" for column in columns)
    return query(f"SELECT {listed} ", *rest, order)


def read(model: str, selection: Any, rest: tuple[Any, ...], order: str, extra: list[str]) -> Node:
    """The plan that reads a model's records with the relations selected below them."""
    fields, below = selection
    keys = {RELATIONS[name][2] for name in below}
    columns = list(dict.fromkeys([*fields, *sorted(keys), *extra])) or ["id"]
    records = select(model, columns, rest, order)
    if not below:
        return records
    children = [child(*related(name, *what)) for name, what in below.items() if not RELATIONS[name][5]]
    children += [
        child(*related(name, *what), unique=True) for name, what in below.items() if RELATIONS[name][5]
    ]
    bound = {f"@parent${key}": map_field(key, get("@parent")) for key in sorted(keys)}
    return let({"@parent": records}, let(bound, join(get("@parent"), *children)))


def related(
    name: str, selection: Any, page: dict[str, Any] | None
) -> tuple[Node, list[tuple[str, str]], str]:
    _, target, parent_key, child_key, sql, _ = RELATIONS[name]
    extra = [LINK_COLUMN.get(name, child_key)]
    rest = (sql, (param(f"@parent${parent_key}"), [INT]))
    closing = ")" if name in LINK_COLUMN else ""
    plan = read(target, selection, rest, f"{closing} ORDER BY `{target}`.`id` DESC", extra)
    if page is not None and (page["take"] is not None or page["skip"] is not None):
        plan = process(plan, **page, linking=[child_key])
    return plan, [(parent_key, child_key)], f"@nested${name}"


def structure(model: str, selection: Any, under: str | None = None) -> dict[str, Any]:
    fields, below = selection
    members = {name: COLUMNS[model][name] for name in fields}
    for name, (what, _) in below.items():
        members[name] = structure(RELATIONS[name][1], what, f"@nested${name}")
    return record(members, under=under)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), author=authors, post=posts, tag=tags, link=links)
def test_all_ways_give_the_same_answer(
    data: st.DataObject, author: Any, post: Any, tag: Any, link: Any
) -> None:
    db = fill(author=author, post=post, tag=tag, link=link)
    model = data.draw(st.sampled_from(["author", "post"]))
    selection = data.draw(selections(model, 3))
    order = data.draw(st.sampled_from(["", " ORDER BY `id` DESC", " ORDER BY `id` LIMIT 3"]))
    plan = read(
        model, selection, (f"FROM `{model}` WHERE `{model}`.`id` <> ", (param("not"), INT)), order, []
    )
    if "id" in selection[0] and data.draw(st.booleans()):
        distinct = data.draw(st.none() | st.just(["id"]))
        plan = process(
            plan, take=data.draw(st.integers(0, 4)), distinct=distinct, reverse=data.draw(st.booleans())
        )
    run_read(data_map(plan, structure(model, selection), ENUMS), db, {"not": 2})


@settings(max_examples=40, deadline=None)
@given(data=st.data(), author=authors, post=posts, tag=tags, link=links, wanted=small)
def test_all_ways_give_the_same_record(
    data: st.DataObject, author: Any, post: Any, tag: Any, link: Any, wanted: int
) -> None:
    db = fill(author=author, post=post, tag=tag, link=link)
    selection = data.draw(selections("post", 2))
    plan = read("post", selection, ("FROM `post` WHERE `post`.`id` = ", (param("id"), INT)), " LIMIT 1", [])
    if plan["type"] == "let":
        bindings = plan["args"]["bindings"]
        bindings[0]["expr"] = node("unique", bindings[0]["expr"])
    else:
        plan = node("unique", plan)
    answer = run_read(data_map(plan, structure("post", selection), ENUMS), db, {"id": wanted})
    assert (answer is None) is (wanted not in {row[0] for row in post})
