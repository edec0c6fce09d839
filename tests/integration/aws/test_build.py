"""`sam build` in a clean checkout, and what the layer it makes is like: alone it has to be enough."""

import importlib
import importlib.util
import json
import marshal
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from moto.server import ThreadedMotoServer
from samtranslator.yaml_helper import yaml_parse
from tests.support.mirroring import sample
from tests.support.s3_faults import FaultyS3
from tests.support.sam_build import NEEDS_LINUX, NEEDS_SAM, SAM, sam_build

# `lambda` is no name that an import statement takes.
local = importlib.import_module("tests.lambda.local")
environment = importlib.import_module("tests.lambda.environment")
buses = importlib.import_module("tests.lambda.buses")
cluster = importlib.import_module("tests.lambda.cluster")

ROOT = Path(__file__).parents[3]
LAYER_SOURCE = ROOT / "layers/sqlite-engine"

LARGEST = 180 * 1000 * 1000
"""Bytes. Lambda takes 250 MB of layers and code together; this leaves room for what users add."""

NEWEST = {"GLIBC_": (2, 34), "GLIBCXX_": (3, 4, 29), "CXXABI_": (1, 3, 13)}
"""The libraries of Amazon Linux 2023, on which Lambda's Python 3.13 runs: glibc, and the C++ library of gcc
11."""

MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64", "arm64": "EM_AARCH64"}

pytestmark = [pytest.mark.slow, NEEDS_SAM, NEEDS_LINUX]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_build(tmp_path_factory)


@pytest.fixture(scope="module")
def layer(build: Path) -> Path:
    """The folder that becomes /opt."""
    return build / "SqliteEngineLayer"


def files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def binaries(layer: Path) -> Iterator[Path]:
    for path in files(layer):
        with path.open("rb") as file:
            # Prisma's compiled engines are ELF files too, for wasmtime and no other loader.
            if file.read(4) == b"\x7fELF" and path.suffix != ".cwasm":
                yield path


def test_the_layer_is_small_enough(layer: Path) -> None:
    size = sum(path.stat().st_size for path in files(layer))
    assert size < LARGEST, f"{size / 1e6:.0f} MB"


def test_the_layer_has_what_it_needs_and_not_what_it_does_not(layer: Path) -> None:
    packages = {path.name for path in (layer / "python").iterdir()}
    assert {"apsw", "aws_lambda_powertools", "graphql", "lamdb", "obstore", "orjson", "wasmtime"} <= packages
    # The runtime has the SDK; servers and development tools have no place in a function.
    assert not packages & {
        "boto3",
        "botocore",
        "granian",
        "httptools",
        "moto",
        "pytest",
        "pip",
        "setuptools",
        "bin",
    }
    # What the operator API needs is compiled with the layer.
    assert {"tartiflette", "lark", "cffi", "pycparser"} <= packages
    assert not packages & {"cmake", "wheel", "bin"}
    engines = json.loads((layer / "python/lamdb/prisma/engines/manifest.json").read_text())
    assert engines["target"].endswith("-unknown-linux-gnu")
    assert not list((layer / "python").rglob("tests"))


def test_native_code_loads_on_amazon_linux(layer: Path) -> None:
    found = list(binaries(layer))
    assert len(found) > 5, "the wheels have native code"
    for path in found:
        with path.open("rb") as file:
            elf = ELFFile(file)
            assert elf["e_machine"] == MACHINES[platform.machine()], path.name
            for section in elf.iter_sections():
                if isinstance(section, GNUVerNeedSection):
                    for need in (need for _, needs in section.iter_versions() for need in needs):
                        library, _, version = need.name.rpartition("_")
                        if version[0].isdigit() and library + "_" in NEWEST:
                            assert tuple(map(int, version.split("."))) <= NEWEST[library + "_"], (
                                f"{path.name} wants {need.name}"
                            )


def test_every_module_is_compiled_and_never_checked(layer: Path) -> None:
    for source in (layer / "python").rglob("*.py"):
        compiled = Path(importlib.util.cache_from_source(str(source)))
        assert compiled.is_file(), f"{source.relative_to(layer)} has no .pyc file"
        header = compiled.read_bytes()[:8]
        assert header[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(header[4:], "little") == 0b01, "by hash, and not to be compared with the source"


def test_the_methods_of_dataclasses_are_compiled(layer: Path) -> None:
    runtime = layer / "python/lamdb/cluster/runtime"
    content = (runtime / "dataclasses.bin").read_bytes()
    assert content.startswith(importlib.util.MAGIC_NUMBER)
    codes = marshal.loads(content[len(importlib.util.MAGIC_NUMBER) :])
    assert len(codes) > 100
    built = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    assert (runtime / "architecture").read_text().strip() == built


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from lamdb.graphql.api import Api
from lamdb.graphql.transport.http import GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.storage import Database
import aws_lambda_powertools

schema = PrismaSchema.parse(sys.argv[2])
database = Database.open("memory:")
with database.writer() as connection:
    push(connection, schema)
api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
for text in ('mutation { createOneTag(data: { name: "alone" }) { id } }', "{ findManyTag { name } }"):
    print(api.execute(database, GraphQLRequest(text)).body.decode())

assert not {"tartiflette", "cffi", "lark", "lamdb.operator"} & set(sys.modules)
from lamdb.graphql.apis import Apis
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.operator.api import OperatorApi, OperatorContext
from lamdb.settings import Settings
operators = OperatorApi(OperatorContext(database, Apis(lambda _: api), Settings()))
body = b'{"query": "{ database { txid } }"}'
request = HttpRequest("POST", "/admin/graphql", "", {"content-type": "application/json"}, body)
print(operators.handle(request).body.decode())
database.close()
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    assert "site-packages" not in file, file
"""


def test_the_layer_alone_answers_queries(layer: Path, tmp_path: Path) -> None:
    schema = (ROOT / "database/schema.prisma").read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", ALONE, layer / "python", schema],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["data"] for line in done.stdout.splitlines()] == [
        {"createOneTag": {"id": 1}},
        {"findManyTag": [{"name": "alone"}]},
        {"database": {"txid": 2}},
    ]


def test_the_litestream_command_runs(layer: Path) -> None:
    done = subprocess.run([layer / "bin/litestream", "version"], capture_output=True, text=True, check=True)
    assert "0.5.17" in done.stdout + done.stderr


def test_the_build_puts_the_functions_beside_the_layer(build: Path) -> None:
    for name in ("Proxy", "Publisher", "Reader", "Writer"):
        assert [path.name for path in (build / f"{name}Function").glob("*.py")] == ["app.py"]


def test_the_nested_stack_is_packaged_for_the_capability_of_the_main_one(build: Path, tmp_path: Path) -> None:
    """`sam deploy` does the same first. A Transform in the nested template would need another capability."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "HOME": str(tmp_path)}
        environment |= {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "SAM_CLI_TELEMETRY": "0",
        }
        s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        s3.create_bucket(Bucket="artifacts")
        command = [
            SAM,
            "package",
            "--s3-bucket",
            "artifacts",
            "--output-template-file",
            tmp_path / "packaged.yaml",
        ]
        done = subprocess.run(
            command, cwd=build.parents[1], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        main = yaml_parse((tmp_path / "packaged.yaml").read_text())
        url = main["Resources"]["Monitoring"]["Properties"]["TemplateURL"]
        key = url.removeprefix(f"{endpoint}/artifacts/")
        nested = yaml_parse(s3.get_object(Bucket="artifacts", Key=key)["Body"].read().decode())
    finally:
        server.stop()
    source = yaml_parse((ROOT / "monitoring.yaml").read_text())
    assert {key: nested[key] for key in ("Parameters", "Conditions")} == {
        key: source[key] for key in ("Parameters", "Conditions")
    }
    assert nested["Resources"].keys() == source["Resources"].keys()
    assert "Transform" not in nested


# The functions, from what was built alone. The SDK comes with Lambda's runtime, so it is lent to them.

RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")

INVOKE = """
import json, sys, types
sys.path[:0] = json.loads(sys.argv[1])
import app
context = types.SimpleNamespace(
    aws_request_id="7c1f0c1e", function_name="f", memory_limit_in_mb=512, function_version="1",
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:f:live",
    get_remaining_time_in_millis=lambda: 20_000,
)
answers = [app.handler(event, context) for event in json.loads(sys.argv[2])]
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    assert "site-packages" not in file, file
print("answers", json.dumps(answers))
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME:
        found = importlib.util.find_spec(name.removesuffix(".py"))
        assert found is not None
        assert found.origin is not None
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (shutil.copytree if source.is_dir() else shutil.copy)(source, directory / name)
    return directory


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo database, without a row."""
    url = f"file://{tmp_path_factory.mktemp('store')}"
    lamdb = [Path(sys.executable).parent / "lamdb", "migrate", "deploy", "--store", url]
    subprocess.run([*lamdb, "--database", ROOT / "database"], capture_output=True, check=True)
    return url


@pytest.fixture
def calls(build: Path, layer: Path, runtime: Path, store: str, tmp_path: Path) -> Callable[..., list[Any]]:
    def call(function: str, events: list[Any], **variables: str) -> list[Any]:
        """The responses of a function to events, one after the other in a new process."""
        path = [build / f"{function}Function", layer / "python", runtime]
        environment = {
            "HOME": str(tmp_path),
            # Lambda has /opt/bin on its path.
            "PATH": str(layer / "bin"),
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "LAMDB_STORE": store,
            "LAMDB_READER_FUNCTION": "reader",
            "LAMDB_WRITER_FUNCTION": "writer",
            **variables,
        }
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-B",
                "-c",
                INVOKE,
                json.dumps(path, default=str),
                json.dumps(events),
            ],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("answers "))
        answers: list[Any] = json.loads(line.removeprefix("answers "))
        return answers

    return call


@pytest.fixture
def invoke(calls: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """The same with samples from events/."""
    return lambda function, *names: calls(function, [sample(name) for name in names])


def test_the_writer_answers_from_what_was_built(invoke: Callable[..., list[Any]]) -> None:
    first, again, kept = invoke("Writer", "apigateway-post", "apigateway-post", "maintenance")
    assert (first["statusCode"], again["statusCode"]) == (200, 200)
    assert first["body"] == again["body"], "the sample has an idempotency key"
    assert json.loads(first["body"])["data"]["createOneTag"]["name"] == "serverless"
    assert kept["uncompacted"] >= 0


def test_the_reader_answers_from_what_was_built(invoke: Callable[..., list[Any]]) -> None:
    got, direct, verified = invoke("Reader", "apigateway-get", "invoke", "verify")
    assert got["statusCode"] == 200
    assert direct["data"] == {"findManyArticle": []}
    assert verified["txid"] >= 1


def test_the_writer_applies_events_from_what_was_built(
    invoke: Callable[..., list[Any]], calls: Callable[..., list[Any]]
) -> None:
    queue, again, bus, table = invoke("Writer", "sqs", "sqs", "eventbridge", "dynamodb-stream")
    assert queue == again == table == {"batchItemFailures": []}
    assert bus == {}
    (read,) = calls("Reader", [{"query": "{ findManyTag { name } }"}])
    assert {"from-a-queue", "from-a-bus", "from-a-table"} <= {
        tag["name"] for tag in read["data"]["findManyTag"]
    }


def test_the_publisher_publishes_from_what_was_built(
    calls: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = buses.LocalBus()
    try:
        with FaultyS3() as s3:
            for name, text in s3.environment.items():
                monkeypatch.setenv(name, text)
            cluster.deploy(s3.url, cluster.SCHEMA.replace("model Item", "/// @lamdb.changes\nmodel Item"))
            variables = {**s3.environment, "LAMDB_STORE": s3.url, "LAMDB_PUBLISH_BUS": "shop"}
            variables |= {"AWS_ENDPOINT_URL_EVENTBRIDGE": bus.url, "AWS_DEFAULT_REGION": "us-east-1"}
            publish = {"lamdb": {"operation": "publish"}}
            (first,) = calls("Publisher", [publish], **variables)
            calls("Writer", [{"query": cluster.CREATE, "variables": {"name": "a"}}], **variables)
            (second,) = calls("Publisher", [publish], **variables)
    finally:
        bus.close()
    assert (first["gaps"], first["finished"]) == (1, True)
    assert (second["published"], second["finished"]) == (1, True)
    assert [entry["DetailType"] for entry in bus.accepted] == ["Changes missing", "Item created"]


class Built:
    """A function to the local Invoke API: each invocation is a new process of what was built."""

    def __init__(self, name: str, call: Callable[..., list[Any]]) -> None:
        self.name = name
        self.paths: list[str] = []
        self._call = call

    def invoke(self, payload: bytes) -> Any:
        event = json.loads(payload)
        self.paths.append(event["lamdb"]["request"]["path"])
        (answer,) = self._call(self.name.capitalize(), [event])
        return environment.Answer(json.dumps(answer).encode())

    def loses_answer(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_the_proxy_sends_requests_on_from_what_was_built(calls: Callable[..., list[Any]]) -> None:
    lamda = local.LocalLambda()
    reader, writer = lamda.add(Built("reader", calls)), lamda.add(Built("writer", calls))
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    try:
        post, got, schema, health = calls(
            "Proxy",
            [
                sample("apigateway-post"),
                sample("apigateway-get"),
                {"httpMethod": "GET", "path": "/schema.graphql"},
                {"httpMethod": "GET", "path": "/healthz"},
            ],
            AWS_ENDPOINT_URL_LAMBDA=lamda.url,
            **credentials,
        )
    finally:
        lamda.close()
    assert json.loads(post["body"])["data"]["createOneTag"]["name"] == "serverless"
    assert (got["statusCode"], schema["statusCode"], health["statusCode"]) == (200, 200, 200)
    assert "type Tag {" in schema["body"]
    assert (writer.paths, reader.paths) == (["/graphql"], ["/graphql", "/schema.graphql"])


# Building by hand


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "build-SqliteEngineLayer", *arguments],
        cwd=LAYER_SOURCE,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_layer_for_another_processor_is_refused_with_a_way_out(tmp_path: Path) -> None:
    foreign = "x86_64" if platform.machine() in ("aarch64", "arm64") else "arm64"
    done = make(f"ARTIFACTS_DIR={tmp_path}", f"LAMDB_ARCH={foreign}")
    assert done.returncode != 0
    assert f"The layer for {foreign} cannot be built on" in done.stderr
    assert "--use-container" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "ARTIFACTS_DIR is not set"),
        (("ARTIFACTS_DIR=nowhere", "LAMDB_ARCH=sparc"), "LAMDB_ARCH is 'sparc'"),
        (("ARTIFACTS_DIR=nowhere", "PYTHON="), "needs Python 3.13"),
    ],
)
def test_a_build_that_cannot_work_says_why(arguments: tuple[str, ...], complaint: str) -> None:
    done = make(*arguments)
    assert done.returncode != 0
    assert complaint in done.stderr
