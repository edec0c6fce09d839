"""Compiled execution against graphql-core's own executor, field by field, on the same database.

The reference resolves every field by itself: a root field reads its records' identities, a field is read from
its record by identity, one request each. Whatever a document does with aliases, fragments, merging,
directives and arguments, both must answer the same, down to the order of the keys.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLResolveInfo, execute_sync, get_named_type, is_leaf_type, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.graphql_blog import blog_api, blog_engine, blog_types, empty_blog

from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.document.validation import validate
from lamdb.graphql.document.values import protocol
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.schema.lazy import LazySchema
from lamdb.storage import Database

SEED = """mutation {
  a: createOneUser(data: { email: "ann@x", name: "Ann", big: 5, meta: "[1]", posts: { create: [
    { id: 1, title: "one", likes: 5, tags: { create: [{ name: "red" }, { name: "blue" }] } },
    { id: 2, title: "two", likes: 7, tags: { connect: [{ name: "red" }] } },
    { id: 3, title: "three", likes: 5 } ] } }) { id }
  b: createOneUser(data: { email: "bob@x", posts: { create: [
      { id: 4, title: "four", parentId: 1, tags: { connect: { name: "blue" } } },
      { id: 5, title: "five", parentId: 1, likes: 9 } ] },
    seats: { create: [
      { row: 1, column: "A", labels: { create: [{ id: 1, text: "x" }, { id: 2, text: "y" }] } },
      { row: 1, column: "B", labels: { create: { id: 3, text: "z" } } } ] } }) { id }
  c: createOnePost(data: { id: 6, title: "alone" }) { id }
}"""

ORDER = {"User": "id", "Post": "id", "Tag": "name", "Seat": "column", "Label": "id"}
SCALARS = {
    "User": ["id", "email", "name", "role", "big", "meta", "active"],
    "Post": ["id", "title", "likes", "authorId"],
    "Tag": ["name"],
    "Seat": ["row", "column", "userId"],
    "Label": ["id", "text"],
}
LISTS = {
    "User": {"posts": "Post", "seats": "Seat"},
    "Post": {"tags": "Tag", "replies": "Post"},
    "Tag": {"posts": "Post"},
    "Seat": {"labels": "Label"},
    "Label": {},
}
SINGLES = {
    "User": {},
    "Post": {"author": "User", "parent": "Post"},
    "Tag": {},
    "Seat": {"user": "User"},
    "Label": {"seat": "Seat"},
}
CONDITIONS = {
    "User": ['name: { equals: "Ann" }', "posts: { some: { likes: { gt: 5 } } }"],
    "Post": ["likes: { gt: $n }", 'title: { contains: "o" }', "tags: { none: {} }"],
    "Tag": ['name: { startsWith: "r" }'],
    "Seat": ['column: { equals: "A" }'],
    "Label": ["id: { lt: 3 }"],
}

DIRECTIVES = ["", "", "", "@include(if: $yes)", "@skip(if: $yes)", "@skip(if: false)"]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with empty_blog() as made:
        body = blog_api().execute(made, GraphQLRequest(SEED)).body
        assert b"errors" not in body
        yield made


# Documents


@st.composite
def list_arguments(draw: st.DrawFn, type_name: str) -> str:
    parts = [f"orderBy: {{ {ORDER[type_name]}: {draw(st.sampled_from(['asc', 'desc']))} }}"]
    if draw(st.booleans()):
        parts.append(f"where: {{ {draw(st.sampled_from(CONDITIONS[type_name]))} }}")
    if draw(st.booleans()):
        parts.append(f"take: {draw(st.sampled_from(['1', '2', '$n', '-1']))}")
    if draw(st.integers(0, 3)) == 0:
        parts.append("skip: 1")
    return "(" + ", ".join(parts) + ")"


class Names:
    """An alias for every field with its arguments, so that equal names can always be merged."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def alias(self, field: str, variant: int) -> str:
        return self._known.setdefault(f"{field} {variant}", f"a{len(self._known)}")


@st.composite
def selections(draw: st.DrawFn, type_name: str, names: Names, depth: int) -> str:
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(
            st.sampled_from(["scalar", "scalar", "list", "list", "single", "count", "typename", "inline"])
        )
        directive = draw(st.sampled_from(DIRECTIVES))
        if kind == "scalar":
            field = draw(st.sampled_from(SCALARS[type_name]))
            alias = draw(st.sampled_from(["", f"{names.alias(field, 0)}: "]))
            parts.append(f"{alias}{field} {directive}")
        elif kind == "typename":
            parts.append(draw(st.sampled_from(["__typename", f"t: __typename {directive}"])))
        elif kind == "inline":
            on = draw(st.sampled_from(["", f"on {type_name}"]))
            parts.append(f"... {on} {directive} {{ {draw(selections(type_name, names, depth))} }}")
        elif kind == "count" and LISTS[type_name]:
            field, target = draw(st.sampled_from(sorted(LISTS[type_name].items())))
            where = draw(st.sampled_from(["", f"(where: {{ {draw(st.sampled_from(CONDITIONS[target]))} }})"]))
            inner = names.alias(type_name + field + where, 0)
            outer = draw(st.sampled_from(["_count", "n: _count"]))
            parts.append(f"{outer} {directive} {{ {inner}: {field}{where} }}")
        elif kind in ("list", "single") and depth > 0:
            known = (LISTS if kind == "list" else SINGLES)[type_name]
            if not known:
                continue
            field, target = draw(st.sampled_from(sorted(known.items())))
            arguments = draw(list_arguments(target)) if kind == "list" else ""
            alias = names.alias(type_name + field + arguments, draw(st.integers(0, 1)))
            parts.append(
                f"{alias}: {field}{arguments} {directive} {{ {draw(selections(target, names, depth - 1))} }}"
            )
    return " ".join(parts) or "__typename"


@st.composite
def documents(draw: st.DrawFn) -> str:
    names = Names()
    fields = []
    for number in range(draw(st.integers(1, 3))):
        target = draw(st.sampled_from(sorted(ORDER)))
        arguments = draw(list_arguments(target))
        below = draw(selections(target, names, 3))
        spread = draw(st.sampled_from(["", f"...F{target}"]))
        fields.append(f"r{number}: findMany{target}{arguments} {{ {below} {spread} }}")
    text = " ".join(fields)
    for target in ORDER:
        if f"...F{target}" in text:
            text_of_fragment = draw(selections(target, names, 1))
            text += f" }} fragment F{target} on {target} {{ {text_of_fragment}"
    declared = [made for made in ("$n: Int", "$yes: Boolean = true") if made.partition(":")[0] in text]
    return f"query {f'({", ".join(declared)})' if declared else ''} {{ {text} }}"


# The reference


class Reference:
    """Resolvers that read one field at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._compiler = OperationCompiler(blog_types())

    def __call__(self, source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        parent, name = info.parent_type.name, info.field_name
        if parent == "Query":
            return self._root(info, arguments)
        if parent.endswith("CountOutputType"):
            model, identity = source
            given = self._arguments(parent, name, arguments)
            below = {"_count": {"selection": {name: {"arguments": given, "selection": {}}}}}
            return self._read(model, identity, below)["_count"][name]
        if name == "_count":
            return parent, source
        if is_leaf_type(get_named_type(info.return_type)):
            return self._read(parent, source, {name: True})[name]
        given = self._arguments(parent, name, arguments)
        target = get_named_type(info.return_type).name
        selection = dict.fromkeys(self._compiler.identity(target), True)
        return self._read(parent, source, {name: {"arguments": given, "selection": selection}})[name]

    def _root(self, info: GraphQLResolveInfo, arguments: dict[str, Any]) -> Any:
        root = blog_types().root("query", info.field_name)
        assert root is not None
        assert root.model is not None
        query = {
            "arguments": self._arguments("Query", info.field_name, arguments),
            "selection": dict.fromkeys(self._compiler.identity(root.model), True),
        }
        return blog_engine().run(
            self._connection, {"modelName": root.model, "action": root.action, "query": query}
        )

    def _read(self, model: str, identity: dict[str, Any], selection: dict[str, Any]) -> Any:
        key = {name: identity[name] for name in self._compiler.identity(model)}
        where = key if len(key) == 1 else {"_".join(key): key}
        query = {"arguments": {"where": where}, "selection": selection}
        return blog_engine().run(
            self._connection, {"modelName": model, "action": "findUnique", "query": query}
        )

    def _arguments(self, type_name: str, field: str, arguments: dict[str, Any]) -> dict[str, Any]:
        infos = blog_types().output(type_name).fields[field].args
        positions = self._compiler.positions
        return {name: protocol(value, positions.of(infos[name].members)) for name, value in arguments.items()}


@given(text=documents(), number=st.sampled_from([1, 5]), yes=st.sampled_from([None, True, False]))
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_both_answer_the_same(database: Database, text: str, number: int, yes: bool | None) -> None:
    variables = {"n": number} | ({} if yes is None else {"yes": yes})
    schema = LazySchema(blog_types())
    document = parse(text)
    assert not validate(schema, document)
    body = blog_api().execute(database, GraphQLRequest(text, variables)).body
    with database.reader() as connection:
        expected = execute_sync(
            schema, document, variable_values=variables, field_resolver=Reference(connection)
        )
    assert expected.errors is None
    assert json.dumps(json.loads(body)) == json.dumps({"data": expected.data})
