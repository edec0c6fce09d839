"""`sam local start-api` and `sam local invoke` as they are: the built functions in Lambda's containers."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from moto.server import ThreadedMotoServer
from tests.support.sam_build import NEEDS_LINUX, NEEDS_SAM, ROOT, SAM, sam_build

from lamdb.server.instance import Instance
from lamdb.settings import Settings

from .engine import Engine

# The first test waits for the build, too.
pytestmark = [pytest.mark.slow, NEEDS_SAM, NEEDS_LINUX, pytest.mark.timeout(900)]

# Long enough for a machine that is very busy otherwise.
START_SECONDS = 300
STOP_SECONDS = 200

# Each sample's function, and what is right as its answer. The demo mirrors a table, but no bucket.
EVENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "admin": ("ReaderFunction", lambda answer: answer["data"]["database"]["txid"] >= 1),
    "apigateway-get": ("ProxyFunction", lambda answer: "findManyArticle" in answer["body"]),
    "apigateway-post": ("ProxyFunction", lambda answer: '"name":"serverless"' in answer["body"]),
    "dynamodb-stream": ("WriterFunction", lambda answer: answer == {"batchItemFailures": []}),
    "eventbridge": ("WriterFunction", lambda answer: answer == {}),
    "function-url": ("ProxyFunction", lambda answer: "findManyTag" in answer["body"]),
    "invoke": ("ReaderFunction", lambda answer: len(answer["data"]["findManyArticle"]) > 0),
    "maintenance": ("WriterFunction", lambda answer: answer["finished"]),
    "s3": ("WriterFunction", lambda answer: answer["errorType"] == "EventError"),
    "s3-eventbridge": ("WriterFunction", lambda answer: answer["errorType"] == "EventError"),
    "sqs": ("WriterFunction", lambda answer: answer == {"batchItemFailures": []}),
    "verify": ("ReaderFunction", lambda answer: answer["txid"] >= 1),
}

TAGS = "{ findManyTag { name } }"


class Sam:
    """SAM's command in a built checkout, where `samconfig.toml` says the rest."""

    def __init__(self, engine: Engine, image: str, checkout: Path, home: Path) -> None:
        self._checkout = checkout
        self._options = ["--skip-pull-image", "--invoke-image", image]
        home.mkdir(exist_ok=True)
        without = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "LAMDB_"))}
        self._environment = {**without, **engine.environment, "HOME": str(home), "SAM_CLI_TELEMETRY": "0"}
        # There SAM locks the build of an image. A lock that a killed one left behind lasts for five minutes.
        self._environment["TMPDIR"] = str(home)
        # There are no credentials to be found, and this is faster than asking the network for them.
        self._environment["AWS_EC2_METADATA_DISABLED"] = "true"

    def invoke(self, function: str, event: str | Path, *options: str, **variables: str) -> tuple[Any, str]:
        """Returns the output of `sam local invoke`: the answer, and the logs."""
        command = [SAM, "local", "invoke", "-e", str(event), *options, *self._options, function]
        done = subprocess.run(
            command,
            cwd=self._checkout,
            env=self._environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    def start_api(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SAM, "local", "start-api", "--port", "0", *self._options],
            cwd=self._checkout,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


class Api:
    """One `sam local start-api`."""

    def __init__(self, sam: Sam) -> None:
        self._process = sam.start_api()
        self._lines: list[str] = []
        self._running = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._running.wait(START_SECONDS)
        found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", self.said)
        if found is None:
            self.stop()
            raise AssertionError(f"it does not start:\n{self.said}")
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=START_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
            if "Running on" in line:
                self._running.set()
        self._running.set()

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def post(self, query: str, path: str = "/graphql", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.client.post(path, json={"query": query}, headers=named)

    def tags(self) -> list[str]:
        return [tag["name"] for tag in self.post(TAGS).json()["data"]["findManyTag"]]

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_build(tmp_path_factory).parents[1]


@pytest.fixture(scope="module")
def sam(engine: Engine, lambda_image: str, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Sam:
    return Sam(engine, lambda_image, checkout, tmp_path_factory.mktemp("sam") / "home")


@pytest.fixture(scope="module")
def api(sam: Sam) -> Iterator[Api]:
    started = Api(sam)
    yield started
    started.stop()


def test_six_routes_are_mounted(api: Api) -> None:
    mounted = re.findall(r"Mounting (\w+) at http://[^/]+(/\S*) \[", api.said)
    assert sorted(mounted) == [
        ("ProxyFunction", "/"),
        ("ProxyFunction", "/admin/graphql"),
        ("ProxyFunction", "/graphql"),
        ("ProxyFunction", "/{proxy+}"),
        ("ReaderFunction", "/reader"),
        ("WriterFunction", "/writer"),
    ]


def test_the_next_read_sees_a_write_and_the_past_does_not(api: Api) -> None:
    before = api.post(TAGS)
    assert before.status_code == 200, api.said
    seeded = before.json()["data"]["findManyTag"]
    assert {"name": "history"} in seeded, "the demo's seed"
    for name in ("first", "second", "third"):
        written = api.post(f'mutation {{ createOneTag(data: {{ name: "{name}" }}) {{ name }} }}')
        assert written.json() == {"data": {"createOneTag": {"name": name}}}
        assert name in api.tags()
    past = api.post(TAGS, x_lamdb_as_of=before.headers["x-lamdb-txid"])
    assert past.json()["data"]["findManyTag"] == seeded


def test_a_request_twice_under_one_key_is_executed_once(api: Api) -> None:
    create = 'mutation { createOneTag(data: { name: "once" }) { id } }'
    first, again = (api.post(create, idempotency_key="a-key-of-mine") for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["x-lamdb-replayed"] == "true"


def test_direct_routes_go_to_reader_and_writer(api: Api) -> None:
    create = 'mutation { createOneTag(data: { name: "directly" }) { name } }'
    refused = api.post(create, "/reader").json()
    assert refused["errors"][0]["extensions"]["code"] == "READ_ONLY"
    assert {"name": "history"} in api.post(TAGS, "/reader").json()["data"]["findManyTag"]
    assert api.post(create, "/writer").json() == {"data": {"createOneTag": {"name": "directly"}}}
    assert {"name": "directly"} in api.post(TAGS, "/writer").json()["data"]["findManyTag"]


def test_a_browser_gets_graphiql(api: Api) -> None:
    for path in ("/", "/graphql"):
        page = api.client.get(path, headers={"accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        # A clean checkout has not built GraphiQL, and the page then says so.
        assert "<title>lamDB" in page.text


def test_operators_are_let_in_by_a_loopback_name_only(api: Api) -> None:
    status = "{ database { txid } migrations { name } }"
    answer = api.post(status, "/admin/graphql").json()
    assert answer["data"]["database"]["txid"] >= 1
    assert len(answer["data"]["migrations"]) == len([*(ROOT / "database/migrations").glob("*/migration.sql")])
    elsewhere = api.post(status, "/admin/graphql", host="rebound.example")
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")


def test_migrations_are_deployed_by_the_command_line(api: Api, tmp_path: Path) -> None:
    project = tmp_path / "database"
    subprocess.run(["cp", "-R", ROOT / "database", project], check=True)
    schema = project / "schema.prisma"
    schema.write_text(schema.read_text() + "\nmodel Planet {\n  id   Int    @id\n  name String\n}\n")
    lamdb = Path(sys.executable).with_name("lamdb")
    for command in (["create", "planets"], ["deploy", "--url", api.url]):
        done = subprocess.run(
            [lamdb, "migrate", *command, "--database", project], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    created = api.post('mutation { createOnePlanet(data: { id: 4, name: "Mars" }) { name } }')
    assert created.json() == {"data": {"createOnePlanet": {"name": "Mars"}}}


def test_every_sample_is_invoked() -> None:
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == EVENTS.keys()


@pytest.mark.parametrize("event", EVENTS)
def test_a_sample_is_answered(sam: Sam, event: str) -> None:
    function, is_right = EVENTS[event]
    answer, logs = sam.invoke(function, f"events/{event}.json")
    assert is_right(answer), f"{answer}\n{logs}"


def test_a_bucket_that_is_given_is_shared_by_all_functions(
    engine: Engine, sam: Sam, checkout: Path, tmp_path: Path
) -> None:
    """The template of the test names an S3 on this machine, where a developer's has that of AWS."""
    gateway = engine.run("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    server = ThreadedMotoServer(gateway or "172.17.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        httpx.put(f"{endpoint}/bucket-of-mine", timeout=60).raise_for_status()
        build = checkout / ".aws-sam/build"
        template = yaml.safe_load((build / "template.yaml").read_text())
        template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL_S3"] = endpoint
        (build / "elsewhere.yaml").write_text(yaml.safe_dump(template))
        options = ["--template", str(build / "elsewhere.yaml"), "--parameter-overrides"]
        options.append("ExistingBucket=bucket-of-mine")
        credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        credentials |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
        with pytest.MonkeyPatch.context() as patch:
            for name, text in credentials.items():
                patch.setenv(name, text)
            settings = {"LAMDB_STORE": "s3://bucket-of-mine/lamdb", "LAMDB_DATABASE": str(ROOT / "database")}
            with Instance.open(Settings.load(settings)):
                pass
        written, logs = sam.invoke("ProxyFunction", "events/apigateway-post.json", *options, **credentials)
        assert '"name":"serverless"' in written["body"], f"{written}\n{logs}"
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"query": TAGS}))
        answer, logs = sam.invoke("ReaderFunction", event, *options, **credentials)
        assert {"name": "serverless"} in answer["data"]["findManyTag"], f"{answer}\n{logs}"
    finally:
        server.stop()
