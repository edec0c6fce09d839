"""The same verdict on documents as graphql-core on the whole schema, and as Prisma on its own dialect.

Documents are written at random from seeds. Standard ones, valid or broken in one way, are validated twice:
by lamDB on its lazily built schema, and by graphql-core's own rules on what it builds of the SDL. Those in
Prisma's dialect, many of which graphql-core alone would refuse, are also executed: Prisma's compiler says
whether it takes their input.
"""

import json
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import graphql.validation
import pytest
from graphql import parse
from graphql import validate as core_validate
from graphql.language import ValueNode
from graphql.validation import SingleFieldSubscriptionsRule, specified_rules
from tests.support.graphql_schemas import SCHEMAS, api_types, engine, full_schema, lazy_schema, prisma_schema

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.document.input_position import InputPosition
from lamdb.graphql.document.input_rule import InputRule
from lamdb.graphql.document.validation import validate
from lamdb.graphql.document.value_faults import faults
from lamdb.graphql.document.values import EnumName, literal
from lamdb.prisma.migrate.migrate import push
from lamdb.storage import Database

from .graphql_core import breakage
from .graphql_core.dialect import DialectWriter
from .graphql_core.standard import StandardWriter

VALID_DOCUMENTS = 150
"""For each schema."""
BROKEN_DOCUMENTS = 4
"""For each schema and each way of breaking a document."""
DIALECT_DOCUMENTS = 250
"""For each schema."""

INPUT_REFUSED = {"P2009", "P2012", "P2013"}


@cache
def empty_database(name: str) -> Database:
    database = Database.open("memory:")
    with database.writer() as connection:
        push(connection, prisma_schema(name))
    return database


@cache
def api(name: str) -> Api:
    return Api(engine(name), api_types(name))


def codes(name: str, operation: str) -> set[str]:
    """The codes of the errors that an operation is answered with."""
    body = json.loads(api(name).execute(empty_database(name), GraphQLRequest(operation)).body)
    return {error["extensions"]["code"] for error in body.get("errors", [])}


@pytest.mark.parametrize("name", SCHEMAS)
def test_valid_documents_are_valid_for_both(name):
    for seed in range(VALID_DOCUMENTS):
        document = parse(StandardWriter(full_schema(name), seed).document())
        assert core_validate(full_schema(name), document) == [], f"seed {seed}: the writer is wrong"
        assert validate(lazy_schema(name), document) == [], f"seed {seed}"


@pytest.mark.parametrize("way", breakage.WAYS)
def test_broken_documents_are_invalid_for_both(way):
    rule = getattr(graphql.validation, breakage.WAYS[way][0])
    for name in SCHEMAS:
        for text in islice(broken_documents(name, way), BROKEN_DOCUMENTS):
            document = parse(text)
            assert core_validate(full_schema(name), document, [rule]), f"not broken:\n{text}"
            assert validate(lazy_schema(name), document), f"accepted:\n{text}"


def broken_documents(name: str, way: str) -> Iterator[str]:
    """Documents that are broken in one way; not every valid one has a place for it."""
    found = 0
    for seed in range(100):
        text = breakage.broken(name, way, seed)
        if text is not None:
            found += 1
            yield text
    assert found, "no document had a place for it"


def test_every_rule_is_broken_by_some_document():
    # The API has no subscriptions, so graphql-core has no type to hold them against.
    wanted = {rule.__name__ for rule in specified_rules if rule is not SingleFieldSubscriptionsRule}
    assert {rule for rule, _ in breakage.WAYS.values()} == wanted


@pytest.mark.parametrize("name", SCHEMAS)
def test_prismas_dialect_is_accepted_as_prisma_does(name):
    beyond_the_standard = 0
    for seed in range(DIALECT_DOCUMENTS):
        operation = DialectWriter(api_types(name), seed).operation()
        document = parse(operation)
        assert validate(lazy_schema(name), document) == [], f"seed {seed}: {operation}"
        assert not codes(name, operation) & {*INPUT_REFUSED, "ENGINE", "INTERNAL"}, (
            f"seed {seed}: {operation}"
        )
        beyond_the_standard += bool(core_validate(full_schema(name), document))
    assert beyond_the_standard > DIALECT_DOCUMENTS / 5, "hardly a document that graphql-core would refuse"


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_validation_refuses_of_the_dialect_prisma_refuses_too(name):
    refused = 0
    for seed in range(DIALECT_DOCUMENTS):
        writer = DialectWriter(api_types(name), seed)
        spoilt = writer.spoil(writer.operation())
        if spoilt is None:
            continue
        errors = validate(lazy_schema(name), parse(spoilt))
        if errors:
            refused += 1
            # Beside GraphQL's own errors the response has what Prisma's compiler says.
            assert codes(name, spoilt) & INPUT_REFUSED, f"seed {seed}: {errors[0].message}\n{spoilt}"
    assert refused > DIALECT_DOCUMENTS / 3


# Values of variables: what validation says of a literal holds for the same value in a variable


class _Values(InputRule):
    """Collects the literals of arguments, with what is expected there."""

    found: list[tuple[ValueNode, InputPosition]]

    def _check(self, value: ValueNode, position: InputPosition) -> None:
        if position.members:
            self.found.append((value, position))


def values_in(name: str, document: str) -> list[tuple[Any, InputPosition]]:
    found: list[tuple[ValueNode, InputPosition]] = []
    rule = type("Collecting", (_Values,), {"found": found})
    core_validate(lazy_schema(name), parse(document), [rule])
    return [(in_a_variable(literal(value)), position) for value, position in found]


def in_a_variable(value: Any) -> Any:
    """A literal's value as JSON has it."""
    if isinstance(value, dict):
        return {name: in_a_variable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [in_a_variable(each) for each in value]
    return str(value) if isinstance(value, EnumName) else value


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_value_that_prisma_takes_is_a_fault_of_a_variable(name: str) -> None:
    values = 0
    for seed in range(DIALECT_DOCUMENTS):
        for value, position in values_in(name, DialectWriter(api_types(name), seed).operation()):
            values += 1
            assert list(faults(api_types(name), value, position)) == [], f"seed {seed}: {value}"
    assert values > DIALECT_DOCUMENTS


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_validation_refuses_as_a_literal_is_a_fault_of_a_variable(name: str) -> None:
    refused = 0
    for seed in range(DIALECT_DOCUMENTS):
        writer = DialectWriter(api_types(name), seed)
        spoilt = writer.spoil(writer.operation())
        if spoilt is None or not core_validate(lazy_schema(name), parse(spoilt), [InputRule]):
            continue
        refused += 1
        found = [
            fault
            for value, position in values_in(name, spoilt)
            for fault in faults(api_types(name), value, position)
        ]
        assert found, f"seed {seed}: {spoilt}"
    assert refused > DIALECT_DOCUMENTS / 3
