"""Schemas with few types: what features add to the API must bring the types that it needs."""

import json

import pytest
from graphql import build_client_schema, build_schema, get_introspection_query, validate_schema

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.sdl import render
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.stored_schema import compute, store
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
ANNOTATIONS = {
    "nothing": "",
    "search": "/// @lamdb.search name\n",
    "facets": "/// @lamdb.search name\n/// @lamdb.search.facets name\n",
    "changes": "/// @lamdb.changes\n",
    "both": "/// @lamdb.search name\n/// @lamdb.changes\n",
    "mirror": "/// @lamdb.mirror dynamodb:Things\n",
}
IDS = {"text": "id String @id", "number": "id Int @id", "time": "id DateTime @id"}


@pytest.mark.parametrize("annotations", ANNOTATIONS.values(), ids=ANNOTATIONS)
@pytest.mark.parametrize("id_", IDS.values(), ids=IDS)
def test_a_model_with_one_field_beside_its_id(annotations: str, id_: str) -> None:
    schema = PrismaSchema.parse(f"{HEAD}{annotations}model Thing {{\n  {id_}\n  name String\n}}\n")
    types = ApiTypes.from_dmmf(schema.dmmf)
    assert validate_schema(build_schema(render(types))) == []
    api = Api(QueryEngine(schema), types)
    with Database.open("memory:") as database:
        with database.writer() as connection:
            migrate.push(connection, schema)
            store(connection, compute(schema))
        answer = json.loads(api.execute(database, GraphQLRequest(get_introspection_query())).body)
    assert "errors" not in answer
    assert validate_schema(build_client_schema(answer["data"])) == []
