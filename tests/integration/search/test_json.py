"""Lists and objects in Json fields: searched, counted, refined by, and mirrored from DynamoDB's items."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.mirroring import Letters, records, stream

from lamdb.cluster.sources.batches import Batches
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.from_settings import serving
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.stored_schema import compute, store
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.query.engine import QueryEngine
from lamdb.settings import Settings
from lamdb.storage import Database

SCHEMA = PrismaSchema.parse("""
datasource db {
  provider = "sqlite"
}

/// @lamdb.search name^4 tags details.colours
/// @lamdb.search.facets tags details.colours categories.lvl0
/// @lamdb.mirror dynamodb:Products
/// @lamdb.key id
model Product {
  id         Int    @id
  name       String
  tags       Json?
  details    Json?
  categories Json?
}
""")

API = Api(QueryEngine(SCHEMA), ApiTypes.from_dmmf(SCHEMA.dmmf))


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:") as opened:
        with opened.writer() as connection:
            migrate.push(connection, SCHEMA)
            store(connection, compute(SCHEMA))
        yield opened


def ask(database: Database, document: str) -> Any:
    answer = json.loads(API.execute(database, GraphQLRequest(document)).body)
    assert "errors" not in answer, answer
    return answer["data"]


def create(database: Database) -> None:
    ask(
        database,
        """mutation {
          a: createOneProduct(data: { id: 1, name: "Chair", tags: ["office", "red wood", 7],
            details: [{ colours: "red" }, { colours: "blue" }], categories: { lvl0: ["Home"] } }) { id }
          b: createOneProduct(data: { id: 2, name: "Lamp", tags: ["office"],
            details: { colours: ["green", "red"] }, categories: { lvl0: "Light" } }) { id }
          c: createOneProduct(data: { id: 3, name: "Empty" }) { id }
        }""",
    )


def found(database: Database, arguments: str) -> list[int]:
    answer = ask(database, f"{{ searchProduct({arguments}) {{ hits {{ node {{ id }} }} }} }}")
    return sorted(hit["node"]["id"] for hit in answer["searchProduct"]["hits"])


def test_lists_are_searched_and_counted(database: Database) -> None:
    create(database)
    assert found(database, 'query: "wood"') == [1]
    assert found(database, 'query: "wodo"') == [1]
    assert found(database, 'query: "red"') == [1, 2]
    assert found(database, 'query: "red", fields: [details_colours]') == [1, 2]
    assert found(database, 'query: "red", fields: [tags]') == [1]
    assert found(database, 'query: "colours"') == []
    answer = ask(
        database,
        """{ searchProduct(query: "", facets: [{ field: tags }, { field: details_colours },
          { field: categories_lvl0 }]) { facets { field values { value count } } } }""",
    )
    counts = {
        facet["field"]: {each["value"]: each["count"] for each in facet["values"]}
        for facet in answer["searchProduct"]["facets"]
    }
    assert counts == {
        "tags": {"office": 2, "red wood": 1, "7": 1},
        "details_colours": {"red": 2, "blue": 1, "green": 1},
        "categories_lvl0": {"Home": 1, "Light": 1},
    }


@pytest.mark.parametrize(
    ("refinement", "ids"),
    [
        ('field: tags, values: ["office"]', [1, 2]),
        ('field: tags, values: ["7", "none"]', [1]),
        ('field: details_colours, values: ["green"]', [2]),
        ('field: categories_lvl0, values: ["Home"]', [1]),
    ],
)
def test_facets_of_lists_refine(database: Database, refinement: str, ids: list[int]) -> None:
    create(database)
    assert found(database, f'query: "", facets: [{{ {refinement} }}]') == ids


def test_marks_are_set_in_each_value(database: Database) -> None:
    create(database)
    (hit,) = ask(database, '{ searchProduct(query: "wood") { hits { highlight(field: tags) } } }')[
        "searchProduct"
    ]["hits"]
    assert hit["highlight"] == "office\nred <mark>wood</mark>\n7"


def test_items_of_dynamodb_are_searched(database: Database) -> None:
    item = {"name": "Desk", "tags": {"oak", "office"}, "details": [{"colours": "brown"}]}
    batch = records(stream(1, "INSERT", 9, item, table="Products"))
    answer = Batches(database, serving(Settings()), Letters()).apply(batch).answer
    assert answer == {"batchItemFailures": []}
    assert found(database, 'query: "oak"') == found(database, 'query: "brown"') == [9]
    assert found(database, 'query: "", facets: [{ field: tags, values: ["oak"] }]') == [9]
