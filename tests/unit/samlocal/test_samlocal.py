"""The functions under `sam local`; on AWS none of this is used."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from lamdb.cluster import writer
from lamdb.cluster.runtime.observability import Observer
from lamdb.cluster.service import Service
from lamdb.errors import SettingsError
from lamdb.samlocal.detection import is_sam_local
from lamdb.samlocal.functions import AtOnce, InProcess, LocalProxy
from lamdb.samlocal.store import fill, local_settings, names_bucket

ROOT = Path(__file__).parents[3]

# What SAM gives a container (samcli.local.lambdafn.env_vars), as far as lamDB could read it.
SAM = {
    "AWS_SAM_LOCAL": "true",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_LOG_GROUP_NAME": "aws/lambda/ProxyFunction",
    "AWS_LAMBDA_LOG_STREAM_NAME": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "defaultkey",
    "AWS_SECRET_ACCESS_KEY": "defaultsecret",
    "LAMDB_STORE": "s3://DataBucket/lamdb",
    "LAMDB_GRAPHIQL": "false",
}

# What Lambda gives an execution environment.
AWS = {
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/lamdb-proxy",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/28/[7]0123456789abcdef0123456789abcdef",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "ASIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "LAMDB_STORE": "s3://lamdb-databucket-abc/lamdb",
    "LAMDB_GRAPHIQL": "false",
    "LAMDB_READER_FUNCTION": "reader",
    "LAMDB_WRITER_FUNCTION": "writer",
}
WITH_SNAPSTART = {name: text for name, text in AWS.items() if "LOG_" not in name} | {
    "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"
}
ON_AWS = {
    "plain": AWS,
    "snapstart": WITH_SNAPSTART,
    "latest": AWS | {"AWS_LAMBDA_FUNCTION_VERSION": "$LATEST"},
    # A configuration may have this variable, but no name of a log stream.
    "marked": AWS | {"AWS_SAM_LOCAL": "true"},
    "marked-snapstart": WITH_SNAPSTART | {"AWS_SAM_LOCAL": "true"},
    "marked-latest": AWS | {"AWS_SAM_LOCAL": "true", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST"},
}


def test_a_container_of_sam_is_told_by_its_mark_and_its_log_stream() -> None:
    assert is_sam_local(SAM)
    assert not is_sam_local({name: text for name, text in SAM.items() if name != "AWS_SAM_LOCAL"})
    assert not is_sam_local(SAM | {"AWS_SAM_LOCAL": "false"})
    assert not is_sam_local({})


@pytest.mark.parametrize("case", ON_AWS)
def test_no_environment_of_aws_is_taken_for_one_of_sam(case: str) -> None:
    assert not is_sam_local(ON_AWS[case])


PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import app
made = app.handler.__self__
unsigned = {"httpMethod": "POST", "path": "/admin/graphql", "resource": "/admin/graphql",
            "headers": {"host": "localhost", "content-type": "application/json"},
            "body": '{"query": "{ database { txid } }"}',
            "requestContext": {"resourcePath": "/admin/graphql"}}
page = {"httpMethod": "GET", "path": "/", "resource": "/", "headers": {"accept": "text/html"}}
print("made", json.dumps({
    "type": type(made).__name__,
    "invoker": type(getattr(made, "_invoke", None)).__name__,
    "operators": app.handler(unsigned, None)["statusCode"],
    "page": app.handler(page, None)["statusCode"],
    "loaded": sorted(name for name in sys.modules if name.startswith("lamdb.samlocal.")),
}))
"""


def started(function: str, environment: dict[str, str], directory: Path) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-c", PROBE, ROOT / "functions" / function],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("made "))
    made: dict[str, Any] = json.loads(line.removeprefix("made "))
    return made


@pytest.mark.parametrize("case", ["plain", "marked", "marked-snapstart"])
def test_on_aws_the_proxy_is_the_proxy_alone(case: str, tmp_path: Path) -> None:
    assert started("proxy", ON_AWS[case], tmp_path) == {
        "type": "Proxy",
        "invoker": "LambdaInvoker",
        "operators": 404,
        "page": 404,
        "loaded": ["lamdb.samlocal.detection"],
    }


@pytest.mark.parametrize("function", ["reader", "writer"])
def test_on_aws_reader_and_writer_use_the_store_they_are_given(function: str, tmp_path: Path) -> None:
    store = {"LAMDB_STORE": (tmp_path / "store").as_uri(), "AWS_SAM_LOCAL": "true"}
    made = started(function, AWS | store, tmp_path)
    assert made["loaded"] == ["lamdb.samlocal.detection"]
    assert (made["type"], made["operators"]) == ("Service", 404)


@pytest.mark.parametrize(
    ("variables", "store"),
    [
        ({}, "file:///somewhere"),
        ({"LAMDB_STORE": ""}, "file:///somewhere"),
        ({"LAMDB_STORE": "s3://DataBucket/some/where"}, "file:///somewhere"),
        ({"LAMDB_STORE": "s3://bucket-of-mine/lamdb"}, "s3://bucket-of-mine/lamdb"),
        ({"LAMDB_STORE": "file:///elsewhere"}, "file:///elsewhere"),
        ({"AWS_ENDPOINT_URL_S3": "http://172.17.0.1:9000"}, "s3://DataBucket/lamdb"),
        ({"AWS_ENDPOINT_URL": "http://172.17.0.1:9000"}, "s3://DataBucket/lamdb"),
    ],
)
def test_the_store_is_a_directory_unless_one_is_named(variables: dict[str, str], store: str) -> None:
    settings = local_settings(SAM | variables, Path("/somewhere"))
    assert settings.store == store
    assert settings.graphiql
    assert names_bucket(SAM | variables) == (store != "file:///somewhere")


def test_other_settings_are_kept_and_checked() -> None:
    assert local_settings(SAM | {"LAMDB_WRITE_QUEUE": "WritesQueue"}).write_queue == ""
    assert local_settings(SAM | {"LAMDB_IDEMPOTENCY_SECONDS": "77"}).idempotency_seconds == 77
    with pytest.raises(SettingsError):
        local_settings(SAM | {"LAMDB_RETRY_SECONDS": "soon"})


@pytest.fixture
def proxy(tmp_path: Path) -> LocalProxy:
    environment = SAM | {"LAMDB_DATABASE": str(ROOT / "database")}
    settings = local_settings(environment, tmp_path / "store")
    fill(settings)
    service = Service(writer.role(), settings)
    return LocalProxy(settings, InProcess(service), Observer("proxy"), AtOnce(service))


def ask(proxy: LocalProxy, path: str, query: str, **headers: str) -> tuple[int, Any]:
    event = {
        "httpMethod": "POST",
        "path": path,
        "resource": path,
        "headers": {"content-type": "application/json", **headers},
        "body": json.dumps({"query": query}),
        "requestContext": {"resourcePath": path, "stage": "v1", "identity": {"userArn": None}},
    }
    answer = proxy.handle(event, None)
    return answer["statusCode"], orjson.loads(answer["body"])


def test_the_next_read_sees_each_write(proxy: LocalProxy) -> None:
    tags = "{ findManyTag { name } }"
    before = len(ask(proxy, "/graphql", tags)[1]["data"]["findManyTag"])
    assert before > 0, "the project's seed"
    for number in range(1, 4):
        ask(proxy, "/graphql", f'mutation {{ createOneTag(data: {{ name: "{number}" }}) {{ name }} }}')
        found = ask(proxy, "/graphql", tags)[1]["data"]["findManyTag"]
        assert len(found) == before + number


def test_a_client_that_does_not_wait_finds_its_answer(proxy: LocalProxy) -> None:
    create = 'mutation { createOneTag(data: { name: "later" }) { name } }'
    key = {"idempotency-key": "a-key", "prefer": "respond-async"}
    status, answer = ask(proxy, "/graphql", create, **key)
    assert status == 202, answer
    event = {"httpMethod": "GET", "path": "/writes/a-key", "headers": {}, "requestContext": {}}
    shown = proxy.handle(event, None)
    assert (shown["statusCode"], "later" in shown["body"]) == (200, True), shown


def test_a_directory_is_filled_once(tmp_path: Path, proxy: LocalProxy) -> None:
    ask(proxy, "/graphql", "mutation { deleteManyTag { count } }")
    kept = ask(proxy, "/admin/graphql", "{ database { txid } }", host="localhost:3000")[1]
    fill(local_settings(SAM | {"LAMDB_DATABASE": str(ROOT / "database")}, tmp_path / "store"))
    assert ask(proxy, "/admin/graphql", "{ database { txid } }", host="localhost:3000")[1] == kept


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000"])
def test_operators_need_no_signature(proxy: LocalProxy, host: str) -> None:
    status, answer = ask(proxy, "/admin/graphql", "{ database { txid } }", host=host)
    assert (status, answer["data"]["database"]["txid"] > 0) == (200, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "192.0.2.7:3000"},
        {"host": "localhost:3000", "origin": "https://elsewhere.example"},
        {"host": "localhost:3000", "origin": "null"},
    ],
)
def test_pages_of_others_are_no_operators(proxy: LocalProxy, headers: dict[str, str]) -> None:
    status, answer = ask(proxy, "/admin/graphql", "{ database { txid } }", **headers)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:3000"}, 200),
        ({"host": "127.0.0.1:3000", "origin": "http://127.0.0.1:3000"}, 200),
        ({"host": "rebound.example", "origin": "http://rebound.example"}, 403),
        ({"host": "127.0.0.1:3000", "origin": "https://elsewhere.example"}, 403),
    ],
)
def test_the_studio_is_for_its_own_page(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    variables = {"LAMDB_STUDIO": "auto", "LAMDB_SQL": "true", "LAMDB_SQL_ROLE": "admin"}
    settings = local_settings(
        SAM | variables | {"LAMDB_DATABASE": str(ROOT / "database")}, tmp_path / "store"
    )
    fill(settings)
    local = LocalProxy(settings, InProcess(Service(writer.role(), settings)), Observer("proxy"))

    def send(method: str, name: str, body: Any = None) -> dict[str, Any]:
        event = {
            "httpMethod": method,
            "path": f"/studio/{name}",
            "resource": "/{proxy+}",
            "pathParameters": {"proxy": f"studio/{name}"},
            "headers": {"content-type": "application/json", **headers},
            "body": json.dumps(body),
            "requestContext": {"resourcePath": "/{proxy+}", "stage": "Prod", "path": "/{proxy+}"},
        }
        return local.handle(event, None)

    session = send("GET", "session")
    assert session["statusCode"] == status
    texts = ["INSERT INTO Tag (name) VALUES ('by the studio')", "SELECT name FROM Tag WHERE name LIKE 'by %'"]
    answers = [
        send("POST", "v3/pipeline", {"requests": [{"type": "execute", "stmt": {"sql": text}}]})
        for text in texts
    ]
    assert [each["statusCode"] for each in answers] == [status, status], answers
    assert ("by the studio" in answers[1]["body"]) == (status == 200)


@pytest.mark.parametrize("found", ["nothing", "no-migrations", "bad-seed"])
def test_without_a_project_that_can_be_applied_the_function_starts_all_the_same(
    found: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if found != "nothing":
        project = tmp_path / "database"
        subprocess.run(["cp", "-R", ROOT / "database", project], check=True)
        if found == "no-migrations":
            subprocess.run(["rm", "-r", project / "migrations"], check=True)
        else:
            (project / "seed.graphql").write_text("mutation { noSuchField }")
    settings = local_settings(SAM, tmp_path / "store")
    fill(settings)
    assert ("the project is not applied" in caplog.text) == (found != "nothing")
    local = LocalProxy(settings, InProcess(Service(writer.role(), settings)), Observer("proxy"))
    code = ask(local, "/graphql", "{ __typename }")[1]
    assert code == {"data": {"__typename": "Query"}} if found == "bad-seed" else "errors" in code


def test_a_bucket_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a developer's bucket was opened")

    monkeypatch.setattr("lamdb.samlocal.store.Instance.open", refuse)
    fill(local_settings(SAM | {"LAMDB_STORE": "s3://bucket-of-mine/lamdb"}))
