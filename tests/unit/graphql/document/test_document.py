"""Documents as text: what is refused before it is parsed, what it is measured by."""

import pytest
from graphql import GraphQLSyntaxError
from graphql import parse as graphql_parse
from graphql.language import OperationType
from hypothesis import given
from hypothesis import strategies as st

from lamdb.errors import DocumentInvalid, DocumentTooDeep, DocumentTooLarge
from lamdb.graphql.document.document import (
    DEFAULT_LIMITS,
    Limits,
    check_text,
    load,
    operation_kind,
)


def test_a_document_knows_its_operations_and_fragments():
    document = load("query A { x ...F } mutation B { y } fragment F on Query { z }")
    assert list(document.operations) == ["A", "B"]
    assert list(document.fragments) == ["F"]
    assert document.operation("B").operation is OperationType.MUTATION


def test_the_only_operation_needs_no_name():
    assert load("{ x }").operation(None).operation is OperationType.QUERY
    assert load("mutation M { x }").operation(None).operation is OperationType.MUTATION


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("query A { x } query B { x }", None, "Must provide operation name"),
        ("query A { x }", "C", 'Unknown operation named "C"'),
        ("{ x }", "", 'Unknown operation named ""'),
        ("fragment F on Query { x }", None, "no operation"),
    ],
)
def test_an_operation_that_cannot_be_told(text, name, message):
    with pytest.raises(DocumentInvalid, match=message) as caught:
        load(text).operation(name)
    assert caught.value.code == "OPERATION_RESOLUTION_FAILURE"


def test_the_kind_is_known_without_a_schema():
    assert operation_kind("query A { x } mutation B { y }", "B") is OperationType.MUTATION


def test_a_syntax_error_has_its_place():
    with pytest.raises(DocumentInvalid, match="Syntax Error") as caught:
        load("{\n  a(b: }\n}")
    assert caught.value.entries == [
        {
            "message": "Syntax Error: Unexpected '}'.",
            "locations": [{"line": 2, "column": 8}],
            "extensions": {"code": "GRAPHQL_PARSE_FAILED"},
        }
    ]


# Limits of the text


@pytest.mark.parametrize("brackets", ["{", "[", "(", "{[("])
def test_a_hundred_thousand_brackets_are_refused(brackets):
    with pytest.raises(DocumentTooDeep, match="64 levels"):
        load((brackets * 100_000)[:100_000])


def test_brackets_in_strings_and_comments_do_not_count():
    deep = "{" * 200
    load(f'{{ a(b: "{deep}", c: """{deep} \\""" {deep}""") # {deep}\n }}')


def test_a_bracket_after_an_escaped_quote_is_still_in_the_string():
    load('{ a(b: "\\"' + "{" * 200 + '") }')


def test_a_string_ends_with_its_line():
    with pytest.raises(DocumentTooDeep):
        load('{ a(b: "unterminated\n' + "{" * 200)


def test_bytes_are_counted_as_utf8():
    limits = Limits(bytes=20)
    check_text('{ a(b: "aaaaaaa") }', limits)
    with pytest.raises(DocumentTooLarge, match="26 bytes"):
        check_text('{ a(b: "ééééééé") }', limits)


def test_tokens_are_counted():
    with pytest.raises(DocumentTooLarge, match="11 tokens"):
        check_text("{ a a a a a a a a a }", Limits(tokens=10))


@given(st.text(alphabet='{}[]()"\\\n#a :"', max_size=400))
def test_whatever_passes_the_check_is_parsed_without_recursion_errors(text):
    try:
        check_text(text, Limits(depth=12))
    except DocumentTooDeep:
        return
    try:
        graphql_parse(text, no_location=True)
    except GraphQLSyntaxError:
        return
    depth = deepest = 0
    for token in _punctuation(text):
        depth += 1 if token in "{[(" else -1
        deepest = max(deepest, depth)
    assert deepest <= 12


def _punctuation(text):
    """The brackets of a document as graphql-core's own lexer sees them."""
    from graphql.language import Lexer, Source, TokenKind

    lexer = Lexer(Source(text))
    while (token := lexer.advance()).kind is not TokenKind.EOF:
        if token.kind.value in "{}[]()":
            yield token.kind.value


@pytest.mark.parametrize("number", ["1" * 500, "-" + "1" * 5000, "1e" + "1" * 500])
def test_numbers_that_python_would_not_read(number):
    with pytest.raises(DocumentInvalid, match="64 bit signed integer") as caught:
        load(f"{{ a(b: {number}) }}")
    assert caught.value.code == "P2033"


def test_long_digits_in_strings_and_names_are_none():
    load(f'{{ a{"1" * 500}(b: "{"1" * 500}") }}')


# Limits of what the text amounts to


def test_a_fragment_that_spreads_itself():
    with pytest.raises(DocumentInvalid, match='Cannot spread fragment "F" within itself') as caught:
        load("{ ...F } fragment F on Query { a { ...F } }")
    assert caught.value.entries[0]["locations"] == [{"line": 1, "column": 36}]


def test_fragments_that_spread_each_other():
    with pytest.raises(DocumentInvalid, match="within itself"):
        load("{ x } fragment F on Q { ...G } fragment G on Q { b { ...H } } fragment H on Q { ...F }")


def test_a_fragment_may_be_spread_twice():
    load("{ ...F ...G } fragment F on Q { a ...H } fragment G on Q { b ...H } fragment H on Q { c }")


def test_fragments_that_double_at_every_step():
    twice = "fragment F{0} on Q {{ a {{ ...F{1} }} b {{ ...F{1} }} }}"
    doubling = " ".join(twice.format(n, n + 1) for n in range(30))
    with pytest.raises(DocumentTooLarge, match="fragments expanded"):
        load(f"{{ ...F0 }} {doubling} fragment F30 on Q {{ x }}")


def test_fragments_that_nest_deeper_than_brackets_may():
    chain = " ".join(f"fragment F{n} on Q {{ a {{ ...F{n + 1} }} }}" for n in range(100))
    with pytest.raises(DocumentTooDeep, match="64 levels"):
        load(f"{{ ...F0 }} {chain} fragment F100 on Q {{ x }}")


def test_one_field_many_times():
    load("{ " + "a " * 400 + "}")
    with pytest.raises(DocumentTooLarge, match="same fields too many times"):
        load("{ " + "a " * 600 + "}")


def test_many_times_through_merged_parents():
    with pytest.raises(DocumentTooLarge, match="same fields too many times"):
        load("{ " + ("a { " + "b " * 30 + "} ") * 30 + "}")


def test_many_root_fields():
    with pytest.raises(DocumentTooLarge, match="201 root fields"):
        load("{ " + " ".join(f"a{n}: x" for n in range(201)) + " }")


def test_many_definitions():
    with pytest.raises(DocumentTooLarge, match="257 definitions"):
        load(" ".join(f"query Q{n} {{ a }}" for n in range(257)))


def test_the_introspection_query_of_every_tool_is_within_the_limits():
    from graphql import get_introspection_query

    load(get_introspection_query(input_value_deprecation=True, specified_by_url=True))


def test_the_defaults_take_an_insert_of_a_thousand_rows():
    rows = ", ".join(f'{{ id: {n}, title: "title {n}", likes: {n} }}' for n in range(1000))
    load(f"mutation {{ createManyPost(data: [{rows}]) {{ count }} }}", DEFAULT_LIMITS)
