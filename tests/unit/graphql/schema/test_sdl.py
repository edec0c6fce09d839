"""The SDL: it builds in graphql-core, and says what the lazily built schema says."""

import pytest
from graphql import build_schema, graphql_sync, print_schema, validate_schema
from tests.support.graphql_schemas import SCHEMAS, full_schema, lazy_schema, parse_schema, schema_text

from lamdb.graphql.schema import sdl
from lamdb.graphql.schema.names import CUSTOM_SCALARS, SPECIFICATIONS
from lamdb.graphql.schema.types import ApiTypes


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_builds_and_is_the_lazy_schema(name):
    built = full_schema(name)
    assert validate_schema(built) == []
    assert print_schema(built) == print_schema(lazy_schema(name))
    assert print_schema(built) + "\n" == schema_text(name)


def test_a_model_named_subscription_is_no_root_type():
    built = full_schema("names")
    assert built.subscription_type is None
    assert "queryId" in built.type_map["Subscription"].fields


@pytest.mark.parametrize("name", CUSTOM_SCALARS)
@pytest.mark.parametrize("schema", ["names", "press"])
def test_custom_scalars_name_their_specification(schema, name):
    assert f'scalar {name} @specifiedBy(url: "{SPECIFICATIONS[name]}")\n' in schema_text(schema)
    asked = graphql_sync(lazy_schema(schema), f'{{ __type(name: "{name}") {{ specifiedByURL }} }}')
    assert asked.data == {"__type": {"specifiedByURL": SPECIFICATIONS[name]}}


def test_the_directive_of_live_queries_is_there():
    assert "directive @live(" in schema_text("press")
    directive = full_schema("press").get_directive("live")
    assert [location.name for location in directive.locations] == ["QUERY"]
    assert {name: str(argument.type) for name, argument in directive.args.items()} == {
        "if": "Boolean",
        "throttle": "Int",
    }
    assert directive.args["if"].default_value is True


def test_it_is_documented():
    text = schema_text("press")
    assert '"""\nSomebody who writes.\nMost write a lot.\n"""\ntype Author {' in text
    assert '  """Where to "reach" them."""\n  email: String!' in text
    assert '"""Everybody can see it."""\n  LIVE' in text
    assert "shows one of them" in text


def test_annotations_for_lamdb_are_no_documentation():
    schema = parse_schema(
        "/// Somebody.\n/// @lamdb.mirror dynamodb:people\n"
        "model A {\n  /// @lamdb.from person.id\n  id String @id\n}\n"
    )
    text = sdl.render(ApiTypes.from_dmmf(schema.dmmf))
    assert '"""Somebody."""\ntype A {\n  id: String!' in text
    assert "@lamdb" not in text


def test_models_come_right_after_the_root_types():
    names = [line.split()[1] for line in schema_text("press").splitlines() if line.startswith("type ")]
    assert names[:6] == ["Query", "Mutation", "Author", "Article", "Tag", "Comment"]


@pytest.mark.parametrize(
    "documentation",
    ['/// """quoted""" and \\ back', "/// trailing \\", "/// ünïcode 🙂", "/// # not a comment", "///"],
)
def test_any_documentation_survives(documentation):
    types = ApiTypes.from_dmmf(parse_schema(f"{documentation}\nmodel M {{\n  id Int @id\n}}").dmmf)
    built = build_schema(sdl.render(types))
    assert (built.type_map["M"].description or "") == (types.output("M").description or "")
