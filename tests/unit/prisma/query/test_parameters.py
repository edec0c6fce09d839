"""Requests become shapes: which values become placeholders, of which type, and which stay."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.errors import QueryError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query.inputs import InputGraph
from lamdb.prisma.query.parameters import ABSENT, RequestTemplate, TemplateVariable, parameterise

SCHEMA = """
datasource db {
  provider = "sqlite"
}

enum Role {
  ADMIN
  USER  @map("user")
}

model User {
  id    Int     @id
  email String  @unique
  name  String?
  role  Role?
  posts Post[]
  tags  Tag[]
}

model Post {
  id       Int       @id
  title    String
  views    Int       @default(0)
  big      BigInt?
  rating   Float?
  price    Decimal?
  live     Boolean?
  at       DateTime?
  data     Json?
  blob     Bytes?
  author   User?     @relation(fields: [authorId], references: [id])
  authorId Int?
}

model Tag {
  id    Int    @id
  name  String @unique
  users User[]
}
"""


@pytest.fixture(scope="module", params=["from the DMMF", "stored"])
def graph(request: pytest.FixtureRequest) -> InputGraph:
    graph = InputGraph.from_dmmf(PrismaSchema.parse(SCHEMA).dmmf)
    return graph if request.param == "from the DMMF" else InputGraph.loads(graph.dumps())


def request(model: str, action: str, selection: Any = None, **arguments: Any) -> dict[str, Any]:
    selection = selection or {"$scalars": True}
    return {"modelName": model, "action": action, "query": {"arguments": arguments, "selection": selection}}


def tagged(kind: str, value: Any) -> dict[str, Any]:
    return {"$type": kind, "value": value}


def placeholder(kind: str, name: str = "%1") -> dict[str, Any]:
    outer, _, inner = kind.partition(" of ")
    described: dict[str, Any] = {"name": name, "type": outer}
    if inner:
        described["inner"] = {"type": inner}
    return {"$type": "Param", "value": described}


def only(graph: InputGraph, field: str, value: Any) -> tuple[Any, list[Any]]:
    """The result for a value that a post's field is set to: (its shape, the values of its placeholders)."""
    found = parameterise(graph, request("Post", "updateMany", data={field: value}))
    return found.shape["query"]["arguments"]["data"][field], list(found.values.values())


MOMENT = "2024-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("field", "value", "kind", "bound"),
    [
        ("title", "x", "String", "x"),
        ("views", 5, "Int", 5),
        ("views", {"increment": 5}, "Int", 5),
        ("big", 5, "Int", 5),
        ("big", 2**40, "BigInt", 2**40),
        ("big", str(2**40), "BigInt", str(2**40)),
        ("big", tagged("BigInt", "-7"), "BigInt", "-7"),
        ("rating", 5, "Int", 5),
        ("rating", 1.5, "Float", 1.5),
        ("rating", 2**40, "Float", 2**40),
        ("rating", 2**70, "Float", float(2**70)),
        ("price", tagged("Decimal", "1.50"), "Float", "1.50"),
        ("price", "1.50", "Float", "1.50"),
        ("price", 2, "Float", 2),
        ("live", True, "Boolean", True),
        ("at", tagged("DateTime", MOMENT), "DateTime", MOMENT),
        ("at", MOMENT, "DateTime", MOMENT),
        ("data", tagged("Json", '{"a":1}'), "Json", '{"a":1}'),
        (
            "data",
            [1, {"b": tagged("Json", "[2]")}, tagged("DateTime", MOMENT)],
            "Json",
            f'[1,{{"b":[2]}},"{MOMENT}"]',
        ),
        ("blob", tagged("Bytes", "AAEC"), "Bytes", "AAEC"),
        ("blob", "AAEC", "Bytes", "AAEC"),
    ],
)
def test_scalars_become_placeholders(
    graph: InputGraph, field: str, value: Any, kind: str, bound: Any
) -> None:
    shape, values = only(graph, field, value)
    if isinstance(value, dict) and "$type" not in value:
        (shape,) = shape.values()
        assert shape["value"].pop("name") == "%1!Int"  # the operand of an Int's arithmetic
        assert shape == {"$type": "Param", "value": {"type": kind}}
    else:
        assert shape == placeholder(kind)
    assert values == [bound]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", None),
        ("title", 5),
        ("title", True),
        ("views", "5"),
        ("views", 1.5),
        ("views", True),
        ("views", 2**31),
        ("big", 2**63),
        ("big", "1.5"),
        ("big", str(2**63)),
        ("big", tagged("BigInt", "many")),
        ("rating", "1.5"),
        ("price", "much"),
        ("price", "NaN"),
        ("price", tagged("Decimal", "Infinity")),
        ("live", 1),
        ("at", "yesterday"),
        ("at", "2024-01-02"),
        ("at", "2024-13-02T03:04:05Z"),
        ("at", tagged("DateTime", "2024-02-30T00:00:00Z")),
        ("data", tagged("Json", "{")),
        ("data", tagged("Enum", "JsonNull")),
        ("blob", "not base64!"),
        ("blob", tagged("Bytes", 5)),
        ("absent", "x"),
        ("views", tagged("FieldRef", {"_ref": "id", "_container": "Post"})),
    ],
)
def test_what_the_compiler_must_judge_stays(graph: InputGraph, field: str, value: Any) -> None:
    assert only(graph, field, value) == (value, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rating", 10**400),
        ("rating", float("inf")),
        ("price", 10**400),
        ("price", 2**64 + 1),
        ("price", "12345678901234567890.12"),
        ("price", tagged("Decimal", "0.1234567890123456789")),
        ("price", "1e400"),
        ("price", "1e-400"),
    ],
)
def test_numbers_that_sqlite_would_round_are_refused(graph: InputGraph, field: str, value: Any) -> None:
    with pytest.raises(QueryError) as caught:
        only(graph, field, value)
    assert caught.value.code == "P2033"


def where(graph: InputGraph, model: str = "User", **conditions: Any) -> tuple[Any, list[Any]]:
    found = parameterise(graph, request(model, "findMany", where=conditions))
    return found.shape["query"]["arguments"]["where"], list(found.values.values())


def test_a_list_is_one_placeholder_whatever_its_length(graph: InputGraph) -> None:
    for values in ([1], [1, 2, 3], list(range(5000))):
        assert where(graph, id={"in": values}) == ({"id": {"in": placeholder("List of Int")}}, [values])
    assert where(graph, name={"notIn": ["a"]})[0] == {"name": {"notIn": placeholder("List of String")}}


@pytest.mark.parametrize(
    ("field", "values", "kind", "bound"),
    [
        ("big", [1, 2**40], "BigInt", [1, 2**40]),
        ("big", [1, tagged("BigInt", "2")], "BigInt", [1, "2"]),
        ("rating", [1, 1.5], "Float", [1, 1.5]),
        ("price", [tagged("Decimal", "1.5")], "Float", ["1.5"]),
        ("at", [tagged("DateTime", MOMENT)], "DateTime", [MOMENT]),
        ("blob", [tagged("Bytes", "AAEC")], "Bytes", ["AAEC"]),
    ],
)
def test_lists_have_the_widest_type_of_their_items(
    graph: InputGraph, field: str, values: list[Any], kind: str, bound: list[Any]
) -> None:
    assert where(graph, "Post", **{field: {"in": values}})[0][field]["in"] == placeholder(f"List of {kind}")
    assert where(graph, "Post", **{field: {"in": values}})[1] == [bound]


@pytest.mark.parametrize("values", [[], [1, None], [1, "2"], [tagged("FieldRef", {}), 1]])
def test_other_lists_stay(graph: InputGraph, values: list[Any]) -> None:
    assert where(graph, id={"in": values}) == ({"id": {"in": values}}, [])


def test_enums_are_bound_as_the_database_has_them(graph: InputGraph) -> None:
    assert where(graph, role="USER") == ({"role": placeholder("Enum")}, ["user"])
    listed = where(graph, role={"in": ["USER", "ADMIN"]})
    assert listed == ({"role": {"in": placeholder("List of Enum")}}, [["user", "ADMIN"]])
    assert where(graph, role="user") == ({"role": "user"}, [])
    assert where(graph, role={"in": ["USER", "NOBODY"]})[1] == []


def test_structure_stays(graph: InputGraph) -> None:
    arguments = {
        "take": 5,
        "skip": 1,
        "orderBy": [{"name": {"sort": "asc", "nulls": "last"}}],
        "distinct": ["name"],
        "where": {"AND": [{"name": None}], "posts": {"none": {}}},
    }
    found = parameterise(graph, request("User", "findMany", **arguments))
    assert found.shape["query"]["arguments"] == arguments
    assert found.values == {}


def test_relations_and_selections_are_walked(graph: InputGraph) -> None:
    selection = {
        "email": True,
        "posts": {"arguments": {"where": {"views": {"gt": 7}}, "take": 2}, "selection": {"$scalars": True}},
        "_count": {"selection": {"posts": {"arguments": {"where": {"title": "t"}}, "selection": {}}}},
    }
    data = {"email": "e", "posts": {"create": [{"id": 1, "title": "a"}, {"id": 2, "title": "a"}]}}
    before = copy.deepcopy((selection, data))
    found = parameterise(graph, request("User", "createOne", selection, data=data))
    assert found.values == {"%1": "e", "%2": 1, "%3": "a", "%4": 2, "%5": "a", "%6": 7, "%7": "t"}
    assert found.shape["query"]["selection"]["posts"]["arguments"]["take"] == 2
    assert (selection, data) == before  # the request itself is left alone


def test_unchecked_input_is_walked_too(graph: InputGraph) -> None:
    found = parameterise(graph, request("Post", "createOne", data={"id": 1, "title": "a", "authorId": 5}))
    assert list(found.values.values()) == [1, "a", 5]


def test_unknown_models_and_arguments_are_left_to_the_compiler(graph: InputGraph) -> None:
    for odd in (request("Nobody", "findMany", where={"id": 1}), request("User", "explode", where={"id": 1})):
        assert parameterise(graph, odd).shape == odd
    odd = request("User", "findMany", nonsense={"id": 1}, where={"nonsense": {"equals": [{"x": 1}]}})
    assert parameterise(graph, odd).shape == odd


def test_raw_requests_are_left_alone(graph: InputGraph) -> None:
    raw = {
        "action": "queryRaw",
        "query": {"arguments": {"query": "SELECT ?", "parameters": "[1]"}, "selection": {}},
    }
    assert parameterise(graph, raw).shape == raw


# --- equal values ---------------------------------------------------------------------------------


def test_equal_values_share_a_placeholder_where_the_compiler_compares_them(graph: InputGraph) -> None:
    upsert = request("Tag", "upsertOne", where={"name": "x"}, create={"id": 1, "name": "x"}, update={"id": 1})
    found = parameterise(graph, upsert)
    assert found.values == {"%1": "x", "%2": 1}
    different = {**upsert["query"]["arguments"], "where": {"name": "y"}}
    assert parameterise(graph, request("Tag", "upsertOne", **different)).values == {
        "%1": "y",
        "%2": 1,
        "%3": "x",
    }


def test_equality_knows_types(graph: InputGraph) -> None:
    data = {"where": {"id": 1}, "create": {"id": 1, "title": "1", "rating": 1.0, "live": True}, "update": {}}
    found = parameterise(graph, request("Post", "upsertOne", **data))
    assert list(found.values.values()) == [1, "1", 1.0, True]


def test_elsewhere_every_value_has_its_own(graph: InputGraph) -> None:
    rows = [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}]
    assert len(parameterise(graph, request("Tag", "createMany", data=rows)).values) == 4


def test_repeated_records_share(graph: InputGraph) -> None:
    data = {"tags": {"connect": [{"id": 1}, {"id": 1}]}}
    assert len(parameterise(graph, request("User", "updateOne", where={"id": 3}, data=data)).values) == 2


# --- templates ------------------------------------------------------------------------------------


def substitute(value: Any, variables: dict[str, Any]) -> Any:
    """The request with the variables' values written in."""
    if isinstance(value, TemplateVariable):
        return variables.get(value.name, ABSENT)
    if isinstance(value, dict):
        items = ((key, substitute(item, variables)) for key, item in value.items())
        return {key: item for key, item in items if item is not ABSENT}
    if isinstance(value, list):
        items_ = [substitute(item, variables) for item in value]
        return [None if item is ABSENT else item for item in items_]
    return value


def bound(template: RequestTemplate, variables: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """(shape, values) by the way a template takes."""
    _, values = template.read(variables)
    variant = template.variant(variables)
    return variant.shape, {**variant.constants, **dict(zip(variant.names, values, strict=True))}


scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([2**40, 1.5, "a", "b", MOMENT, "USER"])
    | st.just(tagged("DateTime", MOMENT))
)  # fmt: skip
values_ = scalars | st.lists(scalars, max_size=3) | st.dictionaries(
    st.sampled_from(["id", "name", "email", "equals", "in", "posts", "create", "title"]), scalars, max_size=3
)  # fmt: skip
NAMES = ["a", "b", "c"]
variable = st.sampled_from(NAMES).map(TemplateVariable)
places = variable | scalars


def find(x: Any, y: Any, z: Any) -> Any:
    return request("User", "findMany", where={"OR": [{"id": {"in": x}}, y, {"role": z}]})


def page(x: Any, y: Any, z: Any) -> Any:
    below = {"arguments": {"where": {"at": z}, "skip": y}, "selection": {"id": True}}
    return request("User", "findMany", {"posts": below}, where=x, take=y)


def upsert(x: Any, y: Any, z: Any) -> Any:
    return request("Tag", "upsertOne", where={"name": x}, create={"id": 1, "name": y}, update={"name": z})


def connect(x: Any, y: Any, z: Any) -> Any:
    data = {"tags": {"connect": [{"id": y}, z, {"id": 1}]}}
    return request("User", "updateOne", where={"id": x}, data=data)


def create(x: Any, y: Any, z: Any) -> Any:
    return request("Post", "createMany", data=[{"id": x, "title": "t", "big": z}, y])


templates = st.builds(
    lambda make, *values: make(*values),
    st.sampled_from([find, page, upsert, connect, create]),
    places,
    places,
    places,
)


@settings(max_examples=300, deadline=None)
@given(template=templates, variables=st.dictionaries(st.sampled_from(NAMES), values_))
def test_a_template_gives_what_the_whole_request_would(
    graph: InputGraph, template: dict[str, Any], variables: dict[str, Any]
) -> None:
    shape, values = bound(RequestTemplate(graph, template), variables)
    whole = parameterise(graph, substitute(template, variables))
    assert orjson.dumps(shape) == orjson.dumps(whole.shape)
    assert values == whole.values


@settings(max_examples=300, deadline=None)
@given(
    template=templates,
    one=st.dictionaries(st.sampled_from(NAMES), values_),
    other=st.dictionaries(st.sampled_from(NAMES), values_),
)
def test_equal_keys_mean_equal_shapes(
    graph: InputGraph, template: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    prepared = RequestTemplate(graph, template)
    if prepared.read(one)[0] == prepared.read(other)[0]:
        assert orjson.dumps(prepared.variant(one).shape) == orjson.dumps(prepared.variant(other).shape)
        assert prepared.variant(one).names == prepared.variant(other).names


def test_reading_scalars_takes_no_walk(graph: InputGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    template = RequestTemplate(
        graph, request("User", "findMany", where={"id": {"in": TemplateVariable("a")}, "name": "n"})
    )
    monkeypatch.setattr("lamdb.prisma.query.parameters.Walk", None)
    assert template.read({"a": [1, 2]}) == (("List<Int>",), [[1, 2]])
    assert template.read({"a": [1]})[0] == template.read({"a": [7, 8, 9]})[0]
    assert template.read({}) == ((ABSENT,), [])


def test_a_missing_variable_leaves_its_place_out(graph: InputGraph) -> None:
    template = RequestTemplate(
        graph, request("User", "findMany", where={"id": TemplateVariable("a")}, take=TemplateVariable("b"))
    )
    assert template.variant({}).shape["query"]["arguments"] == {"where": {}}
    assert template.variant({"a": None}).shape["query"]["arguments"] == {"where": {"id": None}}
    assert repr(ABSENT) == "ABSENT"


# --- lists with variables in them, and numbers that stay in the shape ------------------------------


@pytest.mark.parametrize("field", ["rating", "price"])
@pytest.mark.parametrize("operator", ["in", "notIn"])
def test_a_list_of_variables_is_one_placeholder(graph: InputGraph, field: str, operator: str) -> None:
    wanted = {field: {operator: [TemplateVariable("a"), 0.30000000000000004, TemplateVariable("b")]}}
    template = RequestTemplate(graph, request("Post", "findMany", where=wanted))
    keys = set()
    for values in ({"a": 0.1, "b": 5e-324}, {"a": 1.5, "b": 0.2}):
        key, bound = template.read(values)
        variant = template.variant(values)
        keys.add(key)
        assert bound == [[values["a"], 0.30000000000000004, values["b"]]]
        shape = variant.shape["query"]["arguments"]["where"][field][operator]
        assert shape == placeholder("List of Float")
        assert len(variant.names) == 1
    assert len(keys) == 1


@pytest.mark.parametrize("number", [0.30000000000000004, 1.7976931348623157e308, 5e-324, -1e22])
@pytest.mark.parametrize("field", ["rating", "price"])
def test_a_number_that_stays_in_the_shape_keeps_its_digits(
    graph: InputGraph, field: str, number: float
) -> None:
    for items in ([number, None], [TemplateVariable("a"), number]):
        template = RequestTemplate(graph, request("Post", "findMany", where={field: {"in": items}}))
        shape = template.variant({"a": None}).shape["query"]["arguments"]["where"][field]["in"]
        (kept,) = [item for item in shape if item is not None]
        assert kept["$type"] == "Decimal"
        assert float(kept["value"]) == number
