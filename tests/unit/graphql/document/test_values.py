"""GraphQL values in Prisma's JSON protocol: by the position's input types, and by nothing else."""

import pytest
from graphql.language import parse_value
from hypothesis import given
from hypothesis import strategies as st
from tests.support.graphql_blog import blog_types

from lamdb.errors import QueryError, VariablesInvalid
from lamdb.graphql.document.positions import ANYTHING, Positions
from lamdb.graphql.document.values import Bound, Composite, EnumName, Variable, bind, literal, protocol
from lamdb.graphql.schema.types import Member


@pytest.fixture(scope="module")
def positions():
    return Positions(blog_types())


def scalar(positions, *names):
    return positions.of(tuple(Member("scalar", name) for name in names))


def written(positions, type_name, text):
    """A literal object at a position that takes `type_name`."""
    return protocol(literal(parse_value(text)), positions.of((Member("input", type_name),)))


# Literals


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("true", True),
        ("-7", -7),
        ("9223372036854775807", 2**63 - 1),
        ("1.5e3", 1500.0),
        ('"a\\u00e9\\n"', "aé\n"),
        ('"""\n  block\n    "two"\n"""', 'block\n  "two"'),
        ("[1, [2]]", [1, [2]]),
        ("{a: {b: $v}}", {"a": {"b": Variable("v")}}),
    ],
)
def test_literals(text, value):
    assert literal(parse_value(text)) == value


def test_an_enum_literal_is_no_string():
    value = literal(parse_value("asc"))
    assert isinstance(value, EnumName)
    assert repr(value) != repr("asc")


@pytest.mark.parametrize("text", ["1e999", "-1e400", "1" * 400, "-" + "9" * 6000])
def test_numbers_beyond_doubles(text):
    with pytest.raises(QueryError, match="does not fit into a 64 bit") as caught:
        literal(parse_value(text))
    assert caught.value.code == "P2033"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 123456789012345680000])
@pytest.mark.parametrize("name", ["Int", "BigInt"])
def test_integers_beyond_64_bits(positions, name, number):
    with pytest.raises(QueryError, match="does not fit into a 64 bit signed integer") as caught:
        protocol(literal(parse_value(str(number))), scalar(positions, name))
    assert caught.value.code == "P2033"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 123456789012345680000])
def test_long_integers_for_floats_and_decimals(positions, number):
    value = literal(parse_value(str(number)))
    assert protocol(value, scalar(positions, "Float")) == float(number)
    assert protocol(value, scalar(positions, "Decimal")) == {"$type": "Decimal", "value": str(number)}


# Scalars


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DateTime", "2024-02-29T12:00:00Z"),
        ("DateTime", "2024-02-29T12:00:00.123456+02:00"),
        ("BigInt", "-9223372036854775808"),
        ("Decimal", "12.50"),
        ("Decimal", "-1e-7"),
        ("Bytes", "AQID"),
        ("Bytes", ""),
    ],
)
def test_strings_are_tagged_with_the_type_they_fit(positions, name, text):
    assert protocol(text, scalar(positions, name)) == {"$type": name, "value": text}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DateTime", "2023-02-29T12:00:00Z"),
        ("DateTime", "2024-02-28"),
        ("DateTime", "yesterday"),
        ("BigInt", "9223372036854775808"),
        ("BigInt", "1.0"),
        ("Decimal", "NaN"),
        ("Decimal", ""),
        ("Bytes", "AQI"),
        ("Bytes", "ä"),
    ],
)
def test_what_does_not_fit_is_left_for_prisma_to_judge(positions, name, text):
    assert protocol(text, scalar(positions, name)) == text


def test_a_string_is_a_string_where_strings_are_taken(positions):
    assert protocol("2024-02-29T12:00:00Z", scalar(positions, "String", "DateTime")) == "2024-02-29T12:00:00Z"


def test_an_integer_for_a_float(positions):
    value = protocol(3, scalar(positions, "Float"))
    assert value == 3.0
    assert type(value) is float


def test_booleans_are_not_numbers(positions):
    assert protocol(True, scalar(positions, "Float")) is True


def test_an_integer_for_a_bigint(positions):
    assert protocol(5, scalar(positions, "BigInt")) == 5


# Json


def test_json_is_given_as_text_and_written_without_blanks(positions):
    assert protocol('{"a" : [1,  2]}', scalar(positions, "Json")) == {"$type": "Json", "value": '{"a":[1,2]}'}


def test_json_may_be_given_as_literals(positions):
    value = literal(parse_value('{a: [1, B, "c", {d: null}]}'))
    json = {"$type": "Json", "value": '{"a":[1,"B","c",{"d":null}]}'}
    assert protocol(value, scalar(positions, "Json")) == json


def test_json_that_looks_like_a_tag_is_only_json(positions):
    value = {"$type": "Param", "value": {"name": "%1"}}
    assert protocol(value, scalar(positions, "Json")) == {
        "$type": "Json",
        "value": '{"$type":"Param","value":{"name":"%1"}}',
    }


def test_json_with_variables_waits_for_them(positions):
    template = protocol(literal(parse_value("{a: $v, b: [$w]}")), scalar(positions, "Json"))
    assert isinstance(template, Composite)
    assert template.bind({"v": {"x": 1}}) == {"$type": "Json", "value": '{"a":{"x":1},"b":[null]}'}


def test_json_that_does_not_parse(positions):
    with pytest.raises(QueryError, match=r"`\{a` is not a valid `JSON String`") as caught:
        protocol("{a", scalar(positions, "Json"))
    assert caught.value.code == "P2009"


@pytest.mark.parametrize("null", ["DbNull", "JsonNull"])
def test_the_nulls_of_json(positions, null):
    tagged = {"meta": {"$type": "Enum", "value": null}, "email": "e"}
    assert written(positions, "UserCreateInput", f'{{meta: {null}, email: "e"}}') == tagged
    at = positions.of((Member("input", "UserCreateInput"),))
    assert protocol({"meta": null, "email": "e"}, at) == tagged, "as a variable has it"


def test_a_null_of_json_must_be_said(positions):
    with pytest.raises(
        QueryError, match=r"required but not set\. For a null of Json, give DbNull or JsonNull"
    ):
        written(positions, "UserCreateInput", "{meta: null}")


# Enums


def test_enums_are_plain_where_they_belong(positions):
    assert written(positions, "UserWhereInput", "{role: ADMIN}") == {"role": "ADMIN"}
    assert written(positions, "UserOrderByWithRelationInput", "{name: asc}") == {"name": "asc"}


def test_an_unknown_value_is_plain_too_so_that_prisma_names_the_enum(positions):
    assert written(positions, "UserWhereInput", "{role: NOPE}") == {"role": "NOPE"}


def test_an_enum_for_a_string_is_no_string(positions):
    tagged = {"$type": "Enum", "value": "asc"}
    assert written(positions, "UserWhereInput", "{email: asc}") == {"email": tagged}


# Unions of objects and scalars


def test_a_scalar_stands_for_its_filter(positions):
    text = "{id: 1, big: 2, score: 3}"
    assert written(positions, "UserWhereInput", text) == {"id": 1, "big": 2, "score": 3.0}
    assert written(positions, "UserWhereInput", '{created: "2024-01-01T00:00:00Z"}') == {
        "created": {"$type": "DateTime", "value": "2024-01-01T00:00:00Z"}
    }


def test_filters_are_followed(positions):
    text = '{created: {in: ["2024-01-01T00:00:00Z"], not: {lt: "x"}}, AND: {OR: [{big: {gt: "5"}}]}}'
    assert written(positions, "UserWhereInput", text) == {
        "created": {"in": [{"$type": "DateTime", "value": "2024-01-01T00:00:00Z"}], "not": {"lt": "x"}},
        "AND": {"OR": [{"big": {"gt": {"$type": "BigInt", "value": "5"}}}]},
    }


def test_field_references(positions):
    text = '{email: {equals: {_ref: "name", _container: "User"}}}'
    reference = {"$type": "FieldRef", "value": {"_ref": "name", "_container": "User"}}
    assert written(positions, "UserWhereInput", text) == {"email": {"equals": reference}}


def test_field_references_of_variables(positions):
    template = written(positions, "UserWhereInput", '{email: {equals: {_ref: $field, _container: "User"}}}')
    assert bind(template, {"field": "name"}) == {
        "email": {"equals": {"$type": "FieldRef", "value": {"_ref": "name", "_container": "User"}}}
    }


def test_checked_and_unchecked_inputs_are_one_union(positions):
    at = positions.of((Member("input", "PostCreateInput"), Member("input", "PostUncheckedCreateInput")))
    value = literal(parse_value('{id: 1, title: "t", authorId: 2, tags: {connect: {name: "x"}}}'))
    assert protocol(value, at) == {"id": 1, "title": "t", "authorId": 2, "tags": {"connect": {"name": "x"}}}


@pytest.mark.parametrize("text", ["{OR: {id: 1}}", "{OR: [{id: 1}]}"])
def test_a_single_value_stands_for_a_list_where_only_lists_are_taken(positions, text):
    assert written(positions, "UserWhereInput", text) == {"OR": [{"id": 1}]}


def test_a_single_scalar_for_a_list(positions):
    assert written(positions, "UserWhereInput", "{id: {in: 4}}") == {"id": {"in": [4]}}
    assert written(positions, "UserWhereInput", "{id: {in: null}}") == {"id": {"in": None}}
    assert written(positions, "UserWhereInput", "{role: {in: ADMIN}}") == {"role": {"in": ["ADMIN"]}}


def test_unknown_fields_pass_through(positions):
    text = '{zork: {a: [1, "x", B]}}'
    assert written(positions, "UserWhereInput", text) == {
        "zork": {"a": [1, "x", {"$type": "Enum", "value": "B"}]}
    }


def test_names_that_clients_invent_are_not_kept(positions):
    at = positions.of((Member("input", "UserWhereInput"),))
    for number in range(100):
        assert at.field_at(f"invented{number}") is ANYTHING
    assert not any(name.startswith("invented") for name in at._fields)


@pytest.mark.parametrize("value", [{"$type": "Param", "value": {}}, {"id": {"$type": "Raw", "value": 1}}])
def test_variables_cannot_smuggle_in_tagged_values(positions, value):
    with pytest.raises(VariablesInvalid, match=r"\$type"):
        protocol(value, positions.of((Member("input", "UserWhereInput"),)))


def test_not_even_where_only_a_scalar_is_taken(positions):
    with pytest.raises(VariablesInvalid, match=r"\$type"):
        protocol({"$type": "Param", "value": {"name": "%1"}}, scalar(positions, "DateTime"))


# Variables


def test_variables_are_bound_by_their_position(positions):
    text = "{created: {gt: $since}, id: {in: [$a, 2, $b]}, name: $name}"
    template = written(positions, "UserWhereInput", text)
    assert isinstance(template["created"]["gt"], Bound)
    values = {"since": "2024-01-01T00:00:00Z", "a": 1, "name": None}
    assert bind(template, values) == {
        "created": {"gt": {"$type": "DateTime", "value": "2024-01-01T00:00:00Z"}},
        "id": {"in": [1, 2, None]},
        "name": None,
    }


def test_an_absent_variable_takes_its_field_along(positions):
    assert bind(written(positions, "UserWhereInput", "{id: $a, name: {contains: $b}}"), {}) == {"name": {}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_value_at_an_unknown_place_is_itself(value):
    assert protocol(value, ANYTHING) == value
