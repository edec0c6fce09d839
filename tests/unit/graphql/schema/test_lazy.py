"""The lazily built schema: complete when everything is read, and small for one document."""

import pytest
from graphql import GraphQLSchema, is_equal_type, parse, print_schema, print_type
from tests.support.graphql_schemas import SCHEMAS, api_types, full_schema, lazy_schema, parse_schema

from lamdb.graphql.document.validation import validate
from lamdb.graphql.schema.lazy import NO_FIELD, LazySchema
from lamdb.graphql.schema.types import ApiTypes


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_type_is_that_of_the_full_schema(name):
    lazy, full = lazy_schema(name), full_schema(name)
    assert set(lazy.type_map) == set(full.type_map)
    assert len(lazy.type_map) == len(full.type_map)
    for type_name, made in full.type_map.items():
        assert print_type(lazy.type_map[type_name]) == print_type(made)
    assert print_schema(lazy) == print_schema(full)


@pytest.mark.parametrize("name", SCHEMAS)
def test_roots_are_those_of_the_full_schema(name):
    lazy, full = lazy_schema(name), full_schema(name)
    assert lazy.query_type.name == full.query_type.name == "Query"
    assert lazy.mutation_type.name == full.mutation_type.name == "Mutation"
    assert lazy.subscription_type is full.subscription_type is None
    assert lazy.get_type("Zork") is None
    assert "Zork" not in lazy.type_map


def test_a_document_builds_the_types_it_names_and_few_more():
    schema = LazySchema(api_types("press"))
    assert isinstance(schema, GraphQLSchema)
    assert validate(schema, parse('{ findManyTag(where: { name: { contains: "a" } }) { name } }')) == []
    built = {name for name in dict.keys(schema.type_map) if not name.startswith("__")}
    assert {"Query", "Mutation", "Tag", "TagWhereInput"} <= built
    assert not any(name.startswith(("Author", "Comment", "Article")) for name in built)


def test_a_type_is_made_once():
    schema = LazySchema(api_types("press"))
    author = schema.type_map["Author"]
    assert schema.get_type("Author") is author
    articles = author.fields["articles"]
    assert author.fields["articles"] is articles
    assert is_equal_type(articles.type, schema.query_type.fields["findManyArticle"].type)


def test_an_input_without_fields_has_a_field_for_graphql_alone():
    api = api_types("names")
    assert list(api.input("CounterCreateInput").fields) == []
    schema = LazySchema(api)
    assert list(schema.type_map["CounterCreateInput"].fields) == [NO_FIELD]
    assert validate(schema, parse("mutation { createOneCounter(data: {}) { id } }")) == []


def test_a_schema_of_views_has_no_mutation_type():
    schema = LazySchema(ApiTypes.from_dmmf(parse_schema("view V {\n  id Int @unique\n}").dmmf))
    assert schema.mutation_type is None
    errors = validate(schema, parse("mutation { createOneV(data: {}) { id } }"))
    assert [error.message for error in errors] == ["The schema has no mutation operations."]
