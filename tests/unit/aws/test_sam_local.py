"""What `make sam-local` makes of the template, and how its S3 keeps the bucket."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from tools.sam_local.__main__ import PARAMETERS
from tools.sam_local.s3 import BUCKET, LocalS3
from tools.sam_local.template import Decision, function_arn, local_template

from .stack import of_type, source, text_of

VARIABLES = {"AWS_ENDPOINT_URL_S3": "http://s3"}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return local_template(source(), PARAMETERS, VARIABLES)


def test_nothing_is_left_that_sam_cannot_decide(template: dict[str, Any]) -> None:
    text = text_of(template)
    assert all(part not in text for part in ("Fn::If", "AWS::NoValue", ".Alias", '"Condition"'))


def test_functions_layer_and_api_are_left_as_they_are(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Serverless::Function")
    assert functions.keys() == {"ProxyFunction", "ReaderFunction", "WriterFunction"}
    assert len(of_type(template, "AWS::Serverless::LayerVersion")) == 1
    assert len(template["Resources"]) == 5, "roles, alarms and queues do not run in containers"
    before = of_type(source(), "AWS::Serverless::Function")
    for name, function in functions.items():
        assert function["MemorySize"] == before[name]["MemorySize"]
        assert function["Environment"]["Variables"].keys() <= before[name]["Environment"]["Variables"].keys()


def test_functions_find_each_other_and_the_bucket(template: dict[str, Any]) -> None:
    functions = of_type(template, "AWS::Serverless::Function")
    assert template["Globals"]["Function"]["Environment"]["Variables"].items() >= VARIABLES.items()
    proxy = functions["ProxyFunction"]["Environment"]["Variables"]
    assert proxy["LAMDB_WRITER_FUNCTION"] == function_arn("WriterFunction")
    assert proxy["LAMDB_READER_FUNCTION"] == function_arn("ReaderFunction")
    store = functions["WriterFunction"]["Environment"]["Variables"]["LAMDB_STORE"]
    assert store == {"Fn::Sub": ["s3://${Bucket}/${StorePrefix}", {"Bucket": {"Ref": "ExistingBucket"}}]}
    assert template["Parameters"]["ExistingBucket"]["Default"] == BUCKET


def test_the_api_has_its_routes(template: dict[str, Any]) -> None:
    (api,) = of_type(template, "AWS::Serverless::Api").values()
    routes = api["DefinitionBody"]["paths"]
    assert routes.keys() >= {"/", "/graphql", "/graphiql/{proxy+}", "/reader", "/writer", "/{proxy+}"}
    uri = routes["/graphql"]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]["uri"]
    assert uri["Fn::Sub"][1] == {"Function": function_arn("ProxyFunction")}


def test_the_source_is_not_changed() -> None:
    given = source()
    local_template(given, PARAMETERS, VARIABLES)
    assert given == source()


def test_a_parameter_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError, match="no parameter Colour"):
        local_template(source(), {"Colour": "red"}, {})


def test_conditions_are_decided_by_values() -> None:
    decide = Decision({"Red": {"Fn::Equals": [{"Ref": "Colour"}, "red"]}}, {"Colour": "red"})
    red = {"Condition": "Red"}
    assert decide.holds(red)
    assert decide.holds({"Fn::Or": [{"Fn::Not": [red]}, red]})
    assert not decide.holds({"Fn::And": [{"Fn::Not": [red]}, red]})
    with pytest.raises(ValueError, match="unknown kind"):
        decide.holds({"Fn::Contains": [["red"], "red"]})


def test_the_bucket_is_kept_in_a_directory(tmp_path: Path) -> None:
    def client(s3: LocalS3) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{s3.port}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    with LocalS3("127.0.0.1", tmp_path) as s3:
        client(s3).put_object(Bucket=BUCKET, Key="lamdb/0000/a.ltx", Body=b"1")
        client(s3).put_object(Bucket=BUCKET, Key="lamdb/0000/b.ltx", Body=b"2")
        s3.save()
        assert (tmp_path / "lamdb/0000/a.ltx").read_bytes() == b"1"
        client(s3).delete_object(Bucket=BUCKET, Key="lamdb/0000/a.ltx")
        client(s3).put_object(Bucket=BUCKET, Key="lamdb/0000/b.ltx", Body=b"3")
    assert {path.name: path.read_bytes() for path in (tmp_path / "lamdb/0000").iterdir()} == {"b.ltx": b"3"}
    with LocalS3("127.0.0.1", tmp_path) as s3:
        assert client(s3).get_object(Bucket=BUCKET, Key="lamdb/0000/b.ltx")["Body"].read() == b"3"
        client(s3).delete_object(Bucket=BUCKET, Key="lamdb/0000/b.ltx")
    assert list((tmp_path / "lamdb/0000").iterdir()) == []
