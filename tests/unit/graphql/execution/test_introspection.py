"""Introspection: what graphql-core would answer on the full schema, precomputed or at once, and bounded."""

import gzip
import json

import pytest
from graphql import (
    build_client_schema,
    execute,
    get_introspection_query,
    lexicographic_sort_schema,
    print_schema,
    validate_schema,
)
from tests.support.graphql_schemas import SCHEMAS, api_types, full_schema, lazy_schema

from lamdb.errors import DocumentTooLarge
from lamdb.graphql.document import document
from lamdb.graphql.document.selection import Collector
from lamdb.graphql.document.validation import validate
from lamdb.graphql.execution.introspection import Introspector, precompute
from lamdb.graphql.schema.lazy import InputObjectType
from lamdb.graphql.schema.sdl import render
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema


def ask(name, query, variables=None):
    """The data of a query of introspection fields only, each field resolved by itself."""
    loaded = document.load(query)
    assert validate(lazy_schema(name), loaded.ast) == []
    collector = Collector(loaded.fragments, variables or {})
    introspector = Introspector(api_types(name))
    selected = collector.collect([loaded.operation(None).selection_set])
    return {made.key: introspector.resolve(made, collector, variables or {}) for made in selected}


def ask_core(name, query, variables=None):
    answer = execute(full_schema(name), document.parse(query).ast, variable_values=variables)
    assert answer.errors is None
    return answer.data


def by_name(data):
    """The answer with its types in one order: graphql-core lists them as it meets them."""
    schema = data["__schema"]
    return {**data, "__schema": {**schema, "types": sorted(schema["types"], key=lambda made: made["name"])}}


def whole(introspector, query):
    loaded = document.load(query)
    body = introspector.whole(loaded.operation(None), loaded.fragments)
    return None if body is None else json.loads(gzip.decompress(body))["data"]


EVERYTHING = get_introspection_query(
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("query", [get_introspection_query(), EVERYTHING], ids=["standard", "everything"])
def test_the_whole_schema_is_what_graphql_core_says(name, query):
    expected = by_name(ask_core(name, query))
    assert by_name(whole(Introspector(api_types(name)), query)) == expected
    assert by_name(ask(name, query)) == expected


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_round_trips_through_a_client(name):
    client = build_client_schema(whole(Introspector(api_types(name)), EVERYTHING))
    assert validate_schema(client) == []
    assert print_schema(lexicographic_sort_schema(client)) == print_schema(
        lexicographic_sort_schema(full_schema(name))
    )


def test_precomputed_answers_are_served_as_they_are():
    blob = precompute(api_types("press"))
    introspector = Introspector(api_types("press"), blob, max_values=0)
    standard = whole(introspector, get_introspection_query())
    assert standard == whole(Introspector(api_types("press")), get_introspection_query())
    assert precompute(api_types("press")) == blob, "the same schema gives the same bytes"


# As graphql.js wrote it for years.
CLASSIC = """
query IntrospectionQuery {
  __schema {
    queryType { name }
    mutationType { name }
    subscriptionType { name }
    types { ...FullType }
    directives { name description locations args { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description
  fields(includeDeprecated: true) {
    name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
  }
  inputFields { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType {
    kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }
}
"""


@pytest.mark.parametrize(
    "query",
    [
        CLASSIC,
        get_introspection_query(type_depth=7),
        get_introspection_query(type_depth=20),
        get_introspection_query().replace("IntrospectionQuery", "Other").replace("TypeRef", "Reference"),
        " ".join(get_introspection_query().split()),
    ],
    ids=["classic", "less deep", "deeper", "other names", "one line"],
)
def test_a_query_is_known_by_what_it_selects(query):
    introspector = Introspector(api_types("press"), precompute(api_types("press")), max_values=0)
    assert whole(introspector, query)["__schema"]["queryType"]["name"] == "Query"


def test_another_query_is_computed_and_then_kept():
    introspector = Introspector(api_types("press"))
    query = "{ __schema { types { name } } }"
    first = whole(introspector, query)
    introspector._max_values = 0
    assert whole(introspector, query) == first == ask("press", query)
    for number in range(20):
        introspector._max_values = 10_000
        whole(introspector, f"{{ a{number}: __schema {{ types {{ name }} }} }}")
    introspector._max_values = 0
    with pytest.raises(DocumentTooLarge):
        whole(introspector, query)


@pytest.mark.parametrize(
    "query",
    [
        '{ __type(name: "Tag") { name } }',
        "{ __schema { queryType { name } } findManyTag { name } }",
        "{ __typename }",
        "query ($d: Boolean) { __schema { types { fields(includeDeprecated: $d) { name } } } }",
        "mutation { __schema { queryType { name } } }",
    ],
)
def test_only_queries_of_the_schema_alone_are_answered_whole(query):
    assert whole(Introspector(api_types("press")), query) is None


QUERIES = [
    ('{ __type(name: "Author") { kind name fields { name args { name defaultValue } } } }', None),
    ('{ __type(name: "Zork") { name } }', None),
    ('{ __type(name: "State") { enumValues { name description isDeprecated } fields { name } } }', None),
    ("query ($n: String!) { __type(name: $n) { name inputFields { name type { kind ofType { name } } } } }",
     {"n": "AuthorCreateInput"}),
    ("query ($d: Boolean) { __type(name: \"Author\") { fields(includeDeprecated: $d) { name } } }", None),
    ("query ($d: Boolean) { __type(name: \"Author\") { fields(includeDeprecated: $d) { name } } }",
     {"d": True}),
    ('{ a: __type(name: "Tag") { ...T } b: __type(name: "Comment") { ...T } } '
     'fragment T on __Type { __typename x: name name fields { ... on __Field { n: name } } }', None),
    ('{ __schema { __typename directives { name locations args { name type { name } } } } }', None),
    ('{ __schema { queryType { name } mutationType { name } subscriptionType { name } } }', None),
    ("query ($s: Boolean!) { __type(name: \"Tag\") { name @skip(if: $s) kind @include(if: $s) } }",
     {"s": True}),
    ('{ __type(name: "Tag") { fields { name } fields { type { kind } } } }', None),
    ('{ __type(name: "DateTime") { kind specifiedByURL possibleTypes { name } interfaces { name } } }', None),
    ('{ __type(name: "Int") { name } f: __type(name: "ID") { name } }', None),
]  # fmt: skip


@pytest.mark.parametrize(("query", "variables"), QUERIES)
def test_arbitrary_selections_are_what_graphql_core_says(query, variables):
    assert ask("press", query, variables) == ask_core("press", query, variables)


def test_the_work_is_bounded():
    loaded = document.load("{ __schema { types { fields { type { fields { type { name } } } } } } }")
    collector = Collector(loaded.fragments, {})
    (selected,) = collector.collect([loaded.operation(None).selection_set])
    with pytest.raises(DocumentTooLarge, match="too much of the schema"):
        Introspector(api_types("press"), max_values=1000).resolve(selected, collector, {})


def test_circles_through_the_schema_are_refused():
    query = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert [error.message for error in validate(lazy_schema("press"), document.parse(query).ast)] == [
        "Maximum introspection depth exceeded"
    ]


def hub(count: int) -> ApiTypes:
    """The types of a model that `count` others refer to: many input types, most fields of which are alike."""
    others = "".join(
        f"model M{number} {{\n  id Int @id\n  hubId Int\n"
        "  hub Hub @relation(fields: [hubId], references: [id])\n}\n"
        for number in range(count)
    )
    lists = "".join(f"  m{number} M{number}[]\n" for number in range(count))
    text = f'datasource db {{\n  provider = "sqlite"\n}}\nmodel Hub {{\n  id Int @id\n{lists}}}\n{others}'
    return ApiTypes.from_dmmf(PrismaSchema.parse(text).dmmf)


@pytest.mark.parametrize("make", [precompute, render])
def test_fields_that_many_input_types_have_are_made_once(make, monkeypatch):
    types = hub(12)
    inputs = [types.input(name).fields.raw for name in types.names() if types.kind(name) == "input"]
    distinct = {field for fields in inputs for field in fields.items()}
    made = []
    original = InputObjectType._field

    def counted(self, name, info):
        made.append(name)
        return original(self, name, info)

    monkeypatch.setattr(InputObjectType, "_field", counted)
    make(types)
    assert len(made) <= len(distinct)
    assert sum(map(len, inputs)) > 3 * len(distinct)


def test_a_large_schema_can_be_deployed_all_the_same(monkeypatch):
    types = api_types("press")
    monkeypatch.setitem(Introspector.__init__.__kwdefaults__, "max_values", 10)
    with pytest.raises(DocumentTooLarge):
        whole(Introspector(types), get_introspection_query())
    assert whole(Introspector(types, precompute(types)), get_introspection_query())["__schema"]["types"]
