"""The sample events are shaped as AWS shapes them: Powertools' models of each source take them."""

import base64
import hashlib
import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser import models

from lamdb.cluster.invocation import events
from lamdb.graphql.api import Api
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.transport.http import GraphQLRequest
from lamdb.graphql.transport.wire import Call, receive
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

from .stack import ROOT, of_type, stack

EVENTS = ROOT / "events"
MODELS = {
    "apigateway-get": models.APIGatewayProxyEventModel,
    "apigateway-post": models.APIGatewayProxyEventModel,
    "dynamodb-stream": models.DynamoDBStreamModel,
    "eventbridge": models.EventBridgeModel,
    "function-url": models.LambdaFunctionUrlModel,
    "s3": models.S3Model,
    "s3-eventbridge": models.S3EventNotificationEventBridgeModel,
    "sqs": models.SqsModel,
}
PLAIN = {"admin", "invoke", "maintenance", "verify"}


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def test_every_sample_is_tested() -> None:
    assert {path.stem for path in EVENTS.iterdir()} == MODELS.keys() | PLAIN


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_is_shaped_as_its_source_shapes_it(name: str) -> None:
    MODELS[name].model_validate(event(name))


@pytest.mark.parametrize("name", ["maintenance", "verify"])
def test_the_envelopes_are_what_the_schedules_send(name: str) -> None:
    schedules = of_type(stack("IAM"), "AWS::Scheduler::Schedule").values()
    inputs = [schedule["Target"]["Input"] for schedule in schedules]
    assert event(name) in [json.loads(text) for text in inputs]


def requests() -> dict[str, dict[str, Any]]:
    """The GraphQL requests in the samples, by sample."""
    post = event("apigateway-post")
    assert post["isBase64Encoded"], "the API passes bodies on as bytes"
    record = event("sqs")["Records"][0]
    assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
    asked = event("apigateway-get")["queryStringParameters"]
    return {
        "apigateway-get": {"query": asked["query"], "variables": json.loads(asked["variables"])},
        "apigateway-post": json.loads(base64.b64decode(post["body"])),
        "eventbridge": event("eventbridge")["detail"],
        "function-url": json.loads(event("function-url")["body"]),
        "invoke": event("invoke"),
        "sqs": json.loads(record["body"]),
    }


def test_the_requests_in_the_samples_are_answered_by_the_demo() -> None:
    schema = PrismaSchema.parse((ROOT / "database/schema.prisma").read_text())
    api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
    database = Database.open("memory:")
    try:
        with database.writer() as connection:
            push(connection, schema)
        for name, request in requests().items():
            result = api.execute(
                database,
                GraphQLRequest(request["query"], request["variables"], request.get("operationName")),
            )
            assert "errors" not in json.loads(result.body), name
    finally:
        database.close()


EVENTS_OF_OTHERS = {"dynamodb-stream", "eventbridge", "s3", "s3-eventbridge", "sqs"}


@pytest.mark.parametrize("name", sorted(MODELS.keys() | PLAIN))
def test_the_functions_tell_requests_commands_and_events_apart(name: str) -> None:
    if name in EVENTS_OF_OTHERS:
        assert events.read(event(name)) == events.Events(event(name))
    elif name in ("maintenance", "verify"):
        arguments = {"litestream": True} if name == "verify" else {}
        assert events.read(event(name)) == events.OperatorCommand(name, arguments)
    else:
        received = events.read(event(name))
        assert isinstance(received, events.Received)
        assert received.is_operators == (name == "admin")
        call = receive(received.request)
        assert isinstance(call, Call)
        if name == "admin":
            assert call.parameters.query == event(name)["lamdb"]["admin"]["query"]
            return
        assert call.parameters.query == requests()[name]["query"]
        assert call.parameters.variables == requests()[name]["variables"]
