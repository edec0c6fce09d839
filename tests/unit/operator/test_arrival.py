"""From the client's document through tartiflette to a resolver: values arrive as graphql-core reads them."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from graphql import parse
from graphql.language import OperationDefinitionNode
from graphql.utilities import value_from_ast_untyped
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.graphql.request import GraphQLRequest
from lamdb.operator import engine
from lamdb.operator.guard import admit
from lamdb.operator.session import OperatorSession

pytest.importorskip("tartiflette", reason="the operator API is not compiled: `make setup` says why")


class Spy:
    """A resolver that remembers its arguments."""

    received: Mapping[str, Any]

    def __call__(self, _: OperatorSession, arguments: Mapping[str, Any]) -> None:
        self.received = dict(arguments)


@pytest.fixture(scope="module")
def spy() -> Iterator[Spy]:
    """In the place of the real resolvers."""
    made, patch = Spy(), pytest.MonkeyPatch()
    patch.setattr(
        engine, "RESOLVERS", {**engine.RESOLVERS, "Mutation.resolve": made, "Mutation.migrate": made}
    )
    patch.setattr(engine, "_engine", None)
    yield made
    patch.undo()


def arguments_of(document: str, variables: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The arguments of the only field, as graphql-core's parser reads them."""
    operation = parse(document).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    field: Any = operation.selection_set.selections[0]
    return {
        each.name.value: value_from_ast_untyped(each.value, dict(variables or {})) for each in field.arguments
    }


def run(spy: Spy, document: str, variables: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Returns the arguments that the resolver gets."""
    admitted = admit(GraphQLRequest(document, variables))
    assert admitted.safe is not None
    engine.execute(admitted.safe, cast(OperatorSession, None))
    return spy.received


characters = st.characters(codec="utf-8") | st.sampled_from('"\\\0\n\r\t\b\f/{}[]()$#:,\ufeff\u2028')
texts = st.text(characters, max_size=40)


@st.composite
def literals(draw: st.DrawFn) -> tuple[str, str]:
    """A string, and one way to write it."""
    text = draw(texts)
    written = []
    for character in text:
        unit = character.encode("utf-16-be")
        ways = ["".join(f"\\u{unit[n]:02X}{unit[n + 1]:02x}" for n in range(0, len(unit), 2))]
        ways.append(f"\\u{{{ord(character):X}}}")
        if character >= " " and character not in '"\\':
            ways.append(character)
        written.append(draw(st.sampled_from(ways)))
    return text, '"' + "".join(written) + '"'


@given(literal=literals())
@settings(max_examples=200, deadline=None)
def test_any_string(spy: Spy, literal: tuple[str, str]) -> None:
    text, written = literal
    document = f"mutation {{ resolve(migration: {written}, as: APPLIED) {{ name }} }}"
    assert run(spy, document) == arguments_of(document) == {"migration": text, "as": "APPLIED"}


@given(name=literals(), script=literals(), schema=texts, dry=st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_string_in_objects_lists_and_variables(
    spy: Spy, name: tuple[str, str], script: tuple[str, str], schema: str, dry: bool
) -> None:
    document = (
        "mutation ($s: String!, $dry: Boolean)"
        " { migrate(schema: $s, dryRun: $dry, allowUnmigrated: false, acceptDataLoss: false,"
        f" migrations: [{{ sql: {script[1]}, name: {name[1]} }}, {{ name: $s, sql: $s }}]) {{ txid }} }}"
    )
    variables = {"s": schema, "dry": dry}
    expected = {
        "schema": schema,
        "dryRun": dry,
        "allowUnmigrated": False,
        "acceptDataLoss": False,
        "migrations": [{"name": name[0], "sql": script[0]}, {"name": schema, "sql": schema}],
    }
    assert run(spy, document, variables) == arguments_of(document, variables) == expected


@pytest.mark.parametrize("size", [100_000, 4_000_000])
def test_large_variables(spy: Spy, size: int) -> None:
    script = "é\0" * (size // 2)
    document = "mutation ($m: [MigrationInput!]!) { migrate(migrations: $m) { txid } }"
    received = run(spy, document, {"m": [{"name": "a", "sql": script}]})
    assert received["migrations"][0]["sql"] == script
