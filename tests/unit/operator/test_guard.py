"""The guard: what tartiflette gets is written here, and means what the client's document means."""

import re
from typing import Any

import pytest
from graphql import parse, specified_rules
from graphql.language import FieldNode, OperationDefinitionNode, StringValueNode
from graphql.validation.specified_rules import recommended_rules
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.operator_documents import DEEP, LARGE, REFUSED

from lamdb.errors import DocumentInvalid, DocumentTooLarge, LamdbError, VariablesInvalid
from lamdb.graphql.document import document
from lamdb.graphql.request import GraphQLRequest
from lamdb.operator.guard import Admitted, admit
from lamdb.operator.kind import LIMITS, kind_of
from lamdb.operator.schema import operator_schema

HARMLESS = re.compile(r"(?:query|mutation)[A-Za-z0-9_$:!\[\]{}(), ]*")
"""Names, types, variables: no string, no number, no comment, nothing that is not ASCII."""

RESTORE = "mutation { restore(to: %s) { store } }"


def admitted(query: str, variables: Any = None, operation: str | None = None) -> Admitted:
    return admit(GraphQLRequest(query, variables, operation))


def argument(found: Admitted) -> Any:
    """The value of the only variable."""
    assert found.safe is not None
    assert HARMLESS.fullmatch(found.safe.text)
    (value,) = found.safe.variables.values()
    return value


# Strings


ESCAPES = [
    (r'"\u00e9"', "é"),
    (r'"\u4e2d\u6587"', "中文"),
    (r'"\ud83d\ude00"', "😀"),
    (r'"\u{1F600}"', "😀"),
    (r'"a\u0000b"', "a\0b"),
    ('"a\0b"', "a\0b"),
    (r'"\u0022 \u005c \u007d"', '" \\ }'),
    (r'"\" \\ \/ \b \f \n \r \t"', '" \\ / \b \f \n \r \t'),
    (r'"\u2028\u2029\ufeff\u0085"', "\u2028\u2029\ufeff\x85"),
    ('"""\n  a \\u00e9 "b" \\""" c\\n\n    d\n"""', 'a \\u00e9 "b" """ c\\n\n  d'),
    ('"é 中 😀"', "é 中 😀"),
    ('""', ""),
    ('"$x #{ [ ("', "$x #{ [ ("),
]


@pytest.mark.parametrize(("written", "meant"), ESCAPES)
def test_a_string_arrives_as_it_was_meant(written: str, meant: str) -> None:
    assert argument(admitted(RESTORE % written)) == meant


@pytest.mark.parametrize("written", [r'"\ud800"', r'"\udc00\ud800"', r'"\u12"', r'"\x41"', '"a\nb"'])
def test_what_is_no_string_is_refused(written: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        admitted(RESTORE % written)
    assert refused.value.code == "GRAPHQL_PARSE_FAILED"


def escaped(text: str, choose: Any) -> str:
    """A string literal that means `text`, each character written in one of the ways there are."""
    pieces = []
    for character in text:
        unit = character.encode("utf-16-be")
        ways = ["".join(f"\\u{unit[n]:02x}{unit[n + 1]:02X}" for n in range(0, len(unit), 2))]
        ways.append(f"\\u{{{ord(character):x}}}")
        if character in '"\\/\b\f\n\r\t':
            letters = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
            ways.append("\\" + letters.get(character, character))
        elif ord(character) >= 32:
            ways.append(character)
        pieces.append(choose(ways))
    return '"' + "".join(pieces) + '"'


@given(text=st.text(), data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_string_arrives_however_it_is_escaped(text: str, data: st.DataObject) -> None:
    document = RESTORE % escaped(text, lambda ways: data.draw(st.sampled_from(ways)))
    operation = parse(document).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    field = operation.selection_set.selections[0]
    assert isinstance(field, FieldNode)
    literal = field.arguments[0].value
    assert isinstance(literal, StringValueNode)
    assert argument(admitted(document)) == literal.value == text


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\r")))
@settings(max_examples=200, deadline=None)
def test_any_block_string_arrives(text: str) -> None:
    literal = '"""' + text.replace('"""', '\\"""') + '"""'
    try:
        operation = parse(RESTORE % literal).definitions[0]
    except Exception:  # noqa: BLE001 - a quote at the end, a control character: no block string
        with pytest.raises(DocumentInvalid):
            admitted(RESTORE % literal)
        return
    meant = operation.selection_set.selections[0].arguments[0].value.value  # type: ignore[attr-defined]
    assert argument(admitted(RESTORE % literal)) == meant


@given(text=st.text())
@settings(max_examples=100, deadline=None)
def test_any_string_arrives_within_an_input_object(text: str) -> None:
    literal = escaped(text, lambda ways: ways[0])
    query = "mutation ($n: String!) { migrate(schema: %s, migrations: [{ name: $n, sql: %s }]) { txid } }"
    found = admitted(query % (literal, literal), {"n": text})
    assert found.safe is not None
    assert HARMLESS.fullmatch(found.safe.text)
    assert found.safe.variables["v1"] == text
    assert found.safe.variables["v0"] == [{"name": text, "sql": text}]


# What is written


@pytest.mark.parametrize(
    ("query", "variables", "text", "values"),
    [
        ("{schema}", None, "query { schema }", {}),
        ("query Name { a: schema }", None, "query { a: schema }", {}),
        (
            "{ restorePoints { txid } }",
            None,
            "query($v0: Int) { restorePoints(first: $v0) { txid } }",
            {"v0": 100},
        ),
        (
            "query ($n: Int = 5) { restorePoints(first: $n) { txid } }",
            None,
            "query($v0: Int) { restorePoints(first: $v0) { txid } }",
            {"v0": 5},
        ),
        (
            "query ($n: Int = 5) { restorePoints(first: $n) { txid } }",
            {"n": 7},
            "query($v0: Int) { restorePoints(first: $v0) { txid } }",
            {"v0": 7},
        ),
        (
            "{ ...A database { size } } fragment A on Query { database { txid ... on Database { size } } }",
            None,
            "query { database { txid size } }",
            {},
        ),
        (
            "query ($s: Boolean!) { schema @skip(if: $s) "
            "database @include(if: $s) { txid size @skip(if: true) } }",
            {"s": True},
            "query { database { txid } }",
            {},
        ),
        (
            'mutation { resolve(migration: "a", as: APPLIED) { name } }',
            None,
            "mutation($v0: String!, $v1: Resolution!) { resolve(migration: $v0, as: $v1) { name } }",
            {"v0": "a", "v1": "APPLIED"},
        ),
        (
            'mutation ($at: DateTime) { restore(to: "x", txid: null, at: $at) { txid } }',
            None,
            "mutation($v0: String!, $v1: Long) { restore(to: $v0, txid: $v1) { txid } }",
            {"v0": "x", "v1": None},
        ),
        (
            'mutation { migrate(migrations: {name: "a", sql: "b"}) { txid } }',
            None,
            "mutation($v0: [MigrationInput!]!, $v1: Boolean, $v2: Boolean, $v3: Boolean) "
            "{ migrate(migrations: $v0, dryRun: $v1, allowUnmigrated: $v2, acceptDataLoss: $v3) { txid } }",
            {"v0": [{"name": "a", "sql": "b"}], "v1": False, "v2": False, "v3": False},
        ),
    ],
)
def test_the_document_that_is_written(query: str, variables: Any, text: str, values: Any) -> None:
    found = admitted(query, variables)
    assert found.safe is not None
    assert (found.safe.text, found.safe.variables) == (text, values)
    assert HARMLESS.fullmatch(found.safe.text)


def test_introspection_is_kept_apart() -> None:
    found = admitted('{ first: schema kind: __typename __type(name: "Long") { name } }')
    assert found.keys == ("first", "kind", "__type")
    assert found.fields == ("schema",)
    assert found.safe is not None
    assert found.safe.text == "query { first: schema }"
    assert found.introspection is not None
    assert found.introspection.text == "query($v0: String!) { kind: __typename __type(name: $v0) { name } }"


def test_errors_point_into_the_clients_document() -> None:
    found = admitted("{\n  schema\n  ...F }\nfragment F on Query {\n  list: restorePoints { at: time } }")
    assert found.locations(["list"]) == [{"line": 5, "column": 3}]
    assert found.locations(["list", 3, "at"]) == [{"line": 5, "column": 25}]
    assert found.locations(["nowhere"]) == []


# What is refused


def test_there_is_a_document_for_each_rule() -> None:
    rules = {rule.__name__.removesuffix("Rule") for rule in (*specified_rules, *recommended_rules)}
    # Those are about what this API does not have.
    assert rules - set(REFUSED) <= {
        "SingleFieldSubscriptions",
        "UniqueOperationTypes",
        "DeferStreamDirectives",
    }


@pytest.mark.parametrize(
    ("rule", "query"), [(rule, query) for rule, queries in REFUSED.items() for query in queries]
)
def test_what_is_not_valid_is_refused(rule: str, query: str) -> None:
    with pytest.raises(LamdbError) as refused:
        admitted(query, operation="A" if query.startswith(("query A", "{ schema } query A")) else None)
    assert refused.value.status in (400, 413)
    assert refused.value.code == "GRAPHQL_VALIDATION_FAILED"
    assert isinstance(refused.value, DocumentInvalid)
    assert refused.value.entries[0]["message"]


@pytest.mark.parametrize("what", DEEP)
def test_what_is_deep_is_refused(what: str) -> None:
    with pytest.raises(LamdbError) as refused:
        admitted(DEEP[what])
    assert refused.value.code in {"DOCUMENT_TOO_DEEP", "DOCUMENT_TOO_LARGE", "GRAPHQL_PARSE_FAILED"}


@pytest.mark.parametrize("what", LARGE)
def test_what_is_large_is_refused(what: str) -> None:
    with pytest.raises(DocumentTooLarge, match="the limit is 65536"):
        admitted(LARGE[what])


def test_a_request_holds_one_mutation() -> None:
    with pytest.raises(DocumentInvalid, match="one mutation"):
        admitted("mutation { snapshot { txid } verify { ok } }")
    with pytest.raises(DocumentInvalid, match="one mutation"):
        admitted("mutation { ...F snapshot { txid } } fragment F on Mutation { again: snapshot { txid } }")
    assert admitted("mutation { __typename snapshot { txid } }").fields == ("snapshot",)
    # What is skipped is not there.
    assert admitted("mutation { verify @skip(if: true) { ok } snapshot { txid } }").fields == ("snapshot",)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (None, "required type 'Int!' was not provided"),
        ({"n": None}, "must not be null"),
        ({"n": "1"}, "Int cannot represent non-integer value"),
        ({"n": 2**31}, "Int cannot represent non 32-bit"),
        ({"n": [1]}, "Int cannot represent"),
        ({"n": {"a": "b"}}, "Int cannot represent"),
    ],
)
def test_variables_of_the_wrong_type_are_refused(variables: Any, message: str) -> None:
    with pytest.raises(DocumentInvalid, match=re.escape(message)) as refused:
        admitted("query ($n: Int!) { restorePoints(first: $n) { txid } }", variables)
    assert refused.value.code == "BAD_VARIABLES"


def test_a_null_that_a_default_let_through_is_refused() -> None:
    query = 'mutation ($to: String = "x") { restore(to: $to) { txid } }'
    assert admitted(query).safe is not None
    with pytest.raises(DocumentInvalid, match="must not be null"):
        admitted(query, {"to": None})
    with pytest.raises(VariablesInvalid, match="must not be null"):
        admitted("query ($s: Boolean = true) { schema @skip(if: $s) }", {"s": None})


def test_deep_variables_are_refused() -> None:
    nested: Any = 1
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(LamdbError):
        admitted("query ($n: Int) { restorePoints(first: $n) { txid } }", {"n": nested})


@pytest.mark.parametrize("query", ["subscription { a }", "subscription S { a } query Q { schema }"])
def test_subscriptions_are_refused(query: str) -> None:
    with pytest.raises(DocumentInvalid, match="Subscriptions are not supported"):
        kind_of(document.load(query).operation("S" if "S" in query else None))
    with pytest.raises(DocumentInvalid):
        admitted(query, operation="S" if "S {" in query else None)


@pytest.mark.parametrize(
    ("query", "name", "kind"),
    [
        ("{ schema }", None, "query"),
        ('query A { schema } mutation B { reset(confirm: "mutation") { txid } }', "A", "query"),
        ('query A { schema } mutation B { reset(confirm: "mutation") { txid } }', "B", "mutation"),
        ("query mutation { schema }", None, "query"),
        ("{ nope }", None, "query"),
    ],
)
def test_the_kind_of_a_request_is_known_without_the_types(query: str, name: str | None, kind: str) -> None:
    assert kind_of(document.load(query).operation(name)) == kind


def test_the_largest_document_takes_a_moment_only() -> None:
    """Within the limits nothing takes long: as many fields as may be, with all their arguments."""
    fields = " ".join(f"a{n}: txid" for n in range(1500))
    query = f"{{ database {{ {fields} }} }}"
    assert len(query) < LIMITS.bytes
    found = admitted(query)
    assert found.safe is not None
    assert len(found.safe.text) < LIMITS.bytes


def test_every_type_and_field_is_described() -> None:
    bare = []
    for name, kind in operator_schema().type_map.items():
        if name.startswith("__"):
            continue
        for field_name, field in getattr(kind, "fields", {}).items():
            arguments = getattr(field, "args", {}).items()
            bare += [f"{name}.{field_name}({a})" for a, argument in arguments if not argument.description]
            bare += [] if field.description else [f"{name}.{field_name}"]
        bare += [f"{name}.{v}" for v, value in getattr(kind, "values", {}).items() if not value.description]
        bare += [] if kind.description else [name]
    assert bare == []
