"""Commands on a stack, its functions and its API: real functions, CloudFormation's API by moto."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.command_line import Done, Run, run
from tests.support.s3_server import s3_endpoint
from tests.support.sigv4 import KEY, SECRET, verify

from lamdb.operator.kind import PATH

from .cluster import Cluster
from .environment import LAYER
from .gateway import Gateway, Response
from .local import LocalLambda

__all__ = ["run", "s3_endpoint"]

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
ITEM = HEAD + "model Item {\n  id   Int    @id @default(autoincrement())\n  name String\n}\n"
SIZED = ITEM.replace("  name String\n", "  name String\n  size Int    @default(3)\n")
SEED = 'mutation { createOneItem(data: { name: "seed" }) { id } }'
STACK = "shop"


@pytest.fixture
def stack(
    run: Run, cluster: Cluster, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Done]]:
    """`stack("status")` is `lamdb status --stack shop`; the stack's outputs lead to the cluster."""
    local = LocalLambda()
    for function in cluster.functions:
        local.functions[f"{function.name}%3Alive"] = local.functions[function.name] = function
    for name, text in cluster.s3.environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", local.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", s3_endpoint)
    outputs = {"ReaderFunctionName": "reader", "WriterFunctionName": "writer", "Store": cluster.s3.url}
    client = boto3.client("cloudformation")
    client.create_stack(StackName=STACK, TemplateBody=template(outputs))
    yield lambda *arguments: run(*arguments, "--stack", STACK)
    client.delete_stack(StackName=STACK)
    local.functions.clear()
    local.close()


def template(outputs: dict[str, str]) -> str:
    return json.dumps(
        {
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {name: {"Value": text} for name, text in outputs.items()},
        }
    )


@pytest.fixture
def project(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one migration; `LAMDB_DATABASE` leads to it."""
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.setenv("LAMDB_DATABASE", str(directory))
    (directory / "schema.prisma").write_text(ITEM)
    assert run("migrate", "create", "init").code == 0
    return directory


def change(project: Path, run: Run, schema: str, name: str) -> str:
    """The name of the migration that leads to the schema."""
    (project / "schema.prisma").write_text(schema)
    created: str = run("migrate", "create", name, "--json").json["created"]
    return created


def ok(done: Done) -> Done:
    assert done.code == 0, done.out + done.err
    return done


def data(done: Done) -> Any:
    return ok(done).json["data"]


def test_a_stack_from_its_first_migration_to_its_verification(
    stack: Callable[..., Done], project: Path, run: Run, cluster: Cluster
) -> None:
    # The cluster's tables were made without a history.
    refused = stack("migrate", "deploy")
    assert (refused.code, "code: P3005" in refused.err) == (1, True)
    asked = stack("migrate", "reset")
    assert (asked.code, "--force" in asked.err) == (2, True)
    (project / "seed.graphql").write_text(SEED)
    reset = ok(stack("migrate", "reset", "--force", "--json")).json
    assert (len(reset["applied"]), reset["seeded"]) == (1, True)

    second = change(project, run, SIZED, "sizes")
    behind = stack("migrate", "status", "--json")
    assert (behind.code, behind.json["pending"]) == (1, [second])
    tried = ok(stack("migrate", "deploy", "--dry-run", "--json")).json
    assert [each["name"] for each in tried["applied"]] == [second]
    assert "Unknown" in stack("query", "{ findManyItem { size } }").out or "Cannot query" in (
        stack("query", "{ findManyItem { size } }").out
    )
    done = ok(stack("migrate", "deploy"))
    assert done.out.startswith(f"applied {second}\n")
    assert ok(stack("migrate", "deploy")).out.startswith("The store is up to date")
    assert ok(stack("migrate", "status")).out.endswith("agree.\n")
    assert data(stack("query", "{ findManyItem { name size } }")) == {
        "findManyItem": [{"name": "seed", "size": 3}]
    }

    created = stack("query", "mutation ($n: String!) { createOneItem(data: {name: $n}) { id } }",
                    "--variables", '{"n": "b"}')  # fmt: skip
    assert data(created) == {"createOneItem": {"id": 2}}
    status = ok(stack("status", "--json")).json
    assert (status["readOnly"], status["store"], status["migrations"]["applied"]) == (True, cluster.s3.url, 2)
    assert "Migrations   2 applied, the last " + second in ok(stack("status")).out
    assert len(ok(stack("backups", "--json")).json["points"]) == status["restorable"]["states"]
    past = stack("query", "{ findManyItem { name } }", "--txid", str(status["txid"] - 1))
    assert data(past) == {"findManyItem": [{"name": "seed"}]}
    assert ok(stack("schema", "show", "--text")).out == SIZED

    # The reader verifies: the writer does what it can do alone.
    before = cluster.writer.log()
    assert "no faults" in ok(stack("verify")).out
    assert "Litestream restores" in ok(stack("verify", "--litestream")).out
    assert cluster.writer.log() == before
    assert ok(stack("compact", "--json")).json["merges"] >= 0
    assert data(stack("admin", "mutation { snapshot { txid } }")) == {"snapshot": {"txid": status["txid"]}}
    ok(stack("export", project / "copy.db"))
    assert (project / "copy.db").stat().st_size == status["size"]


def test_a_deployment_whose_answer_is_lost_is_found(
    stack: Callable[..., Done], project: Path, run: Run, cluster: Cluster
) -> None:
    ok(stack("migrate", "reset", "--force"))
    second = change(project, run, SIZED, "sizes")
    losing = iter([True])
    cluster.writer.loses_answer = lambda: next(losing, False)
    done = ok(stack("migrate", "deploy", "--json")).json
    assert next(losing, None) is None, "the answer was lost"
    assert done["applied"] == [{"name": second, "milliseconds": None, "changedRows": None}]
    assert done["schemaChanged"]
    again = ok(stack("migrate", "deploy", "--json")).json
    assert (again["applied"], again["txid"]) == ([], done["txid"])


def test_a_migration_that_fails_elsewhere_and_what_is_done_about_it(
    stack: Callable[..., Done], project: Path, run: Run
) -> None:
    ok(stack("migrate", "reset", "--force"))
    double = (
        'mutation { a: createOneItem(data: {name: "x"}) { id } b: createOneItem(data: {name: "x"}) { id } }'
    )
    ok(stack("query", double))
    bad = change(project, run, ITEM.replace("name String", "name String @unique"), "unique")
    failed = stack("migrate", "deploy")
    assert failed.code == 1
    assert f"{bad}/migration.sql:8" in failed.err
    assert "code: P3018" in failed.err
    assert stack("migrate", "status", "--json").json["pending"] == [bad]
    # It was not begun by a tool that leaves things half done.
    assert "P3011" in stack("migrate", "resolve", "--rolled-back", bad).err
    marked = ok(stack("migrate", "resolve", "--applied", bad))
    assert marked.out.startswith(f"{bad} is recorded as applied")
    drifted = stack("migrate", "status", "--json")
    assert (drifted.code, drifted.json["pending"]) == (1, [])
    assert "Removed unique index" in drifted.json["drift"]


def test_one_function_and_the_api(
    stack: Callable[..., Done], project: Path, run: Run, cluster: Cluster
) -> None:
    ok(run("migrate", "reset", "--force", "--function", "proxy"))
    assert ok(run("status", "--json", "--function", "writer:live")).json["readOnly"] is False
    assert ok(run("status", "--json", "--function", "proxy")).json["readOnly"] is True
    refused = run("query", "mutation { deleteManyItem { count } }", "--function", "reader")
    assert (refused.code, refused.json["errors"][0]["extensions"]["code"]) == (1, "READ_ONLY")
    created = 'mutation { createOneItem(data: {name: "a"}) { id } }'
    assert data(run("query", created, "--url", cluster.gateway.url)) == {"createOneItem": {"id": 1}}
    # Nobody has authorised this one.
    nothing = run("status", "--url", cluster.gateway.url)
    assert (nothing.code, "code: NOT_FOUND" in nothing.err) == (1, True)
    missing = run("status", "--function", "nope")
    assert (missing.code, "nope: The function cannot be invoked: ResourceNotFound" in missing.err) == (
        1,
        True,
    )


class SignedGateway(Gateway):
    """Knows the operator API's route, which IAM guards: a signed request is let in as the user `ops`."""

    def integrate(self, event: dict[str, Any]) -> Response:
        context = event["requestContext"]
        if (event["httpMethod"], event["path"]) == ("POST", PATH):
            headers = {name.lower(): text for name, text in event["headers"].items()}
            if verify("POST", context["path"], headers, base64.b64decode(event["body"])) is None:
                return self._own(403, "Missing Authentication Token")
            context["identity"]["userArn"] = "arn:aws:iam::123456789012:user/ops"
            context["resourcePath"] = event["resource"] = PATH
        return super().integrate(event)


def test_the_operator_api_behind_the_api_wants_a_signature(
    stack: Callable[..., Done], project: Path, run: Run, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = SignedGateway(cluster.proxy)
    try:
        unsigned = run("status", "--url", gateway.url)
        assert (unsigned.code, "answered 403: Missing Authentication Token" in unsigned.err) == (1, True)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        assert run("status", "--url", gateway.url, "--sign").code == 1
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        signed = ("--url", gateway.url, "--sign")
        assert ok(run("status", "--json", *signed)).json["readOnly"] is True
        assert len(ok(run("migrate", "reset", "--force", "--json", *signed)).json["applied"]) == 1
        assert ok(run("verify", *signed)).out.endswith("no faults.\n")
    finally:
        gateway.close()


def test_what_is_no_stack_of_lamdb_is_said(
    run: Run, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", s3_endpoint)
    nowhere = run("status", "--stack", STACK)
    assert (nowhere.code, "region" in nowhere.err) == (2, True)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    missing = run("status", "--stack", "missing", "--json")
    assert (missing.code, missing.json["error"]["code"]) == (1, "ValidationError")
    client = boto3.client("cloudformation")
    client.create_stack(StackName="other", TemplateBody=template({"Url": "x"}))
    other = run("status", "--stack", "other")
    assert (other.code, "no output ReaderFunctionName" in other.err) == (2, True)


def test_a_layer_without_tartiflette_takes_commands_and_no_operators_over_http(
    stack: Callable[..., Done], project: Path, run: Run, cluster: Cluster, tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "tartiflette.py").write_text("raise ImportError('not compiled')")
    for function in (cluster.reader, cluster.writer):
        paths = (absent, function.code, LAYER)
        function.variables = {**function.variables, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    assert len(ok(stack("migrate", "reset", "--force", "--json")).json["applied"]) == 1
    second = change(project, run, SIZED, "sizes")
    assert ok(stack("migrate", "deploy")).out.startswith(f"applied {second}\n")
    assert ok(stack("migrate", "status")).out.endswith("agree.\n")
    refused = stack("migrate", "resolve", "--applied", "20200101000000_nothing")
    assert (refused.code, "code: P3017" in refused.err) == (1, True)
    assert ok(stack("status", "--json")).json["migrations"]["applied"] == 2
    request = {
        "httpMethod": "POST",
        "path": "/admin/graphql",
        "headers": {"content-type": "application/json"},
    }
    inner = {
        **request,
        "method": "POST",
        "query": "",
        "body": '{"query": "{ schema }"}',
        "isBase64Encoded": False,
    }
    answer = cluster.invoke(cluster.reader, {"lamdb": {"request": inner}})
    assert (answer["statusCode"], "OPERATOR_UNAVAILABLE" in answer["body"]) == (501, True)
