"""Telling mutations by their outline: the same answers as graphql-core's parser gives, or its errors."""

import subprocess
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lamdb.cluster.routing.operation_type import is_mutation
from lamdb.errors import RequestError
from lamdb.graphql.document.document import operation_kind
from lamdb.graphql.request import GraphQLRequest

SELECTIONS = [
    "{ a }",
    "{ mutation: b(x: {y: [1, {}]}) { ...F @include(if: $c) } }",
    '{ a(x: "}") # }\n }',
    '{ a(x: """ " \\""" } mutation M { """) }',
    '{ a(x: "\\"}\\\\") ... on Mutation { b } }',
]
HEADS = [
    "",
    "query",
    "mutation",
    "subscription",
    "query mutation",
    "mutation query",
    "mutation M",
    "query Q($a: T = {x: [{}]}, $mutation: [Int!]! = [1]) @d(x: {y: 1}) @mutation",
    'mutation N($a: String = "{") @d',
    "# mutation {\nquery R",
    "fragment F on Mutation",
    "fragment mutation on T @d",
]
NAMES = st.sampled_from([None, "M", "N", "Q", "R", "mutation", "query", "F", "", "nobody"])


def expected(text: str, name: str | None) -> object:
    try:
        return operation_kind(text, name).value == "mutation"
    except RequestError as error:
        return error.code


def told(text: str, name: str | None) -> object:
    try:
        return is_mutation(GraphQLRequest(text, operation_name=name))
    except RequestError as error:
        return error.code


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.sampled_from(HEADS), st.sampled_from(SELECTIONS)), min_size=1, max_size=4),
    NAMES,
)
def test_what_can_be_executed_is_told_as_the_parser_tells_it(
    definitions: list[tuple[str, str]], name: str | None
) -> None:
    text = "\n".join(f"{head} {selection}" for head, selection in definitions)
    parsed = expected(text, name)
    assume(isinstance(parsed, bool) or (parsed == "OPERATION_RESOLUTION_FAILURE" and "mutation" in text))
    assert told(text, name) == parsed


@settings(max_examples=400)
@given(st.lists(st.sampled_from([*HEADS, *SELECTIONS, "{", "}", "(", ")", '"', '"""', "#", "\n", "!"])))
def test_no_soup_of_tokens_is_told_otherwise_than_the_parser_tells_it(parts: list[str]) -> None:
    text = " ".join(parts)
    parsed = expected(text, None)
    if isinstance(parsed, bool):
        assert told(text, None) == parsed


@pytest.mark.parametrize("text", ["mutation", "mutation {", "mutation } {", 'mutation { a(x: ") }'])
def test_what_is_no_document_has_the_parsers_error(text: str) -> None:
    assert told(text, None) == expected(text, None) == "GRAPHQL_PARSE_FAILED"


def test_large_documents_are_told_at_once() -> None:
    text = "mutation { " + 'a(x: "{\\"") ' * 20_000 + "}"
    assert told(text, None) is True
    assert told('mutation { a(x: """' + '\\"' * 200_000, None) == "DOCUMENT_TOO_LARGE"


def test_the_parser_is_not_loaded_for_it() -> None:
    script = """if True:
        import sys
        from lamdb.cluster.routing.operation_type import is_mutation
        from lamdb.graphql.request import GraphQLRequest
        assert is_mutation(GraphQLRequest("mutation M { a }", operation_name="M"))
        assert "graphql" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", script], check=True)
