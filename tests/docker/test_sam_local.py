"""`make sam-local` and `sam local invoke`: the built functions in Lambda's containers, in a real engine."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from ..sam_build import NEEDS_LINUX, NEEDS_SAM, ROOT, SAM, sam_build
from .engine import Engine

# The first test waits for the build, too.
pytestmark = [pytest.mark.slow, NEEDS_SAM, NEEDS_LINUX, pytest.mark.timeout(900)]

# Long enough for a machine that is very busy otherwise.
START_SECONDS = 600
STOP_SECONDS = 200

# Whom the source of a sample calls, and what it hears. The demo mirrors a table, but no bucket.
EVENTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "admin": ("ReaderFunction", lambda answer: answer["data"]["database"]["txid"] >= 1),
    "apigateway-get": ("ProxyFunction", lambda answer: "findManyArticle" in answer["body"]),
    "apigateway-post": ("ProxyFunction", lambda answer: '"name":"serverless"' in answer["body"]),
    "dynamodb-stream": ("WriterFunction", lambda answer: answer == {"batchItemFailures": []}),
    "eventbridge": ("WriterFunction", lambda answer: answer == {}),
    "invoke": ("ReaderFunction", lambda answer: len(answer["data"]["findManyArticle"]) > 0),
    "maintenance": ("WriterFunction", lambda answer: answer["finished"]),
    "s3": ("WriterFunction", lambda answer: answer["errorType"] == "EventError"),
    "s3-eventbridge": ("WriterFunction", lambda answer: answer["errorType"] == "EventError"),
    "sqs": ("WriterFunction", lambda answer: answer == {"batchItemFailures": []}),
    "verify": ("ReaderFunction", lambda answer: answer["txid"] >= 1),
}

# The tag that there is afterwards.
WRITTEN = {
    "apigateway-post": "serverless",
    "dynamodb-stream": "from-a-table",
    "eventbridge": "from-a-bus",
    "sqs": "from-a-queue",
}


class Stack:
    """One `python -m tools.sam_local`, and what its users do with it."""

    def __init__(self, engine: Engine, image: str, build: Path, data: Path) -> None:
        self._engine = engine
        self._build = build
        self._sam = ["--skip-pull-image", "--invoke-image", image]
        home = data.parent / "home"
        home.mkdir(exist_ok=True)
        without = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "LAMDB_"))}
        self._environment = {**without, **engine.environment, "HOME": str(home), "SAM_CLI_TELEMETRY": "0"}
        places = ["--data", str(data), "--build", str(build), "--sam", str(SAM), "--port", "0"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.sam_local", *places, "--", *self._sam],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._logged: list[str] = []
        self._ready = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._said)),
            threading.Thread(target=self._read, args=(self._process.stderr, self._logged)),
        ]
        for reader in self._readers:
            reader.start()
        self._ready.wait(START_SECONDS)
        said = "".join(self._said)
        found = re.search(r"GraphQL +(http://\S+)/graphql", said)
        if found is None:
            self.stop()
            raise AssertionError(f"it does not start:\n{said}\n{''.join(self._logged)}")
        self.client = httpx.Client(base_url=found[1], timeout=60)
        endpoint = re.search(r"S3 +(http://\S+),", said)
        assert endpoint is not None
        # Who calls: SAM asks AWS, or here the local endpoint.
        self._environment |= {"AWS_ENDPOINT_URL": endpoint[1], "AWS_DEFAULT_REGION": "us-east-1"}
        self._environment |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                self._ready.set()
        self._ready.set()

    @property
    def logs(self) -> str:
        return "".join(self._logged)

    def post(self, query: str, path: str = "/graphql", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.client.post(path, json={"query": query}, headers=named)

    def invoke(self, function: str, event: str) -> tuple[Any, str]:
        """What `sam local invoke` prints for a sample of events/: the answer, and the logs."""
        sample = ["--event", ROOT / f"events/{event}.json", "--template", self._build / "local.yaml"]
        done = subprocess.run(
            [SAM, "local", "invoke", function, *sample, *self._sam],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    def containers(self) -> list[str]:
        """Those that run functions of this build, in whatever state."""
        ours = [f"--filter=volume={function}" for function in self._build.glob("*Function")]
        return self._engine.run("ps", "--all", "--quiet", *ours).split()

    def stop(self, number: int = signal.SIGINT) -> int:
        """The exit code, after Ctrl-C or another signal."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for reader in self._readers:
            reader.join()
        return code


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_build(tmp_path_factory)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sam-local") / "bucket"


@pytest.fixture(scope="module")
def stack(engine: Engine, lambda_image: str, build: Path, data: Path) -> Iterator[Stack]:
    started = Stack(engine, lambda_image, build, data)
    yield started
    started.stop()


def test_a_client_writes_and_reads_what_it_wrote(stack: Stack) -> None:
    before = stack.post("{ findManyTag { name } }")
    assert before.status_code == 200
    seeded = before.json()["data"]["findManyTag"]
    assert {"name": "history"} in seeded, "the demo's seed"
    written = stack.post('mutation { createOneTag(data: { name: "in-a-container" }) { name } }')
    assert written.json() == {"data": {"createOneTag": {"name": "in-a-container"}}}
    token = written.headers["x-lamdb-txid"]
    assert int(token) == int(before.headers["x-lamdb-txid"]) + 1
    # Another function, in another container: it would not know yet, but for the token.
    after = stack.post("{ findManyTag { name } }", x_lamdb_txid=token)
    assert after.json()["data"]["findManyTag"] == [*seeded, {"name": "in-a-container"}]
    past = stack.post("{ findManyTag { name } }", x_lamdb_as_of=before.headers["x-lamdb-txid"])
    assert past.json()["data"]["findManyTag"] == seeded


def test_direct_routes_go_to_reader_and_writer(stack: Stack) -> None:
    create = 'mutation { createOneTag(data: { name: "directly" }) { name } }'
    refused = stack.post(create, "/reader").json()
    assert refused["errors"][0]["extensions"]["code"] == "READ_ONLY"
    assert stack.post(create, "/writer").json() == {"data": {"createOneTag": {"name": "directly"}}}


def test_a_browser_gets_a_page(stack: Stack) -> None:
    page = stack.client.get("/", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    # A clean checkout has not built GraphiQL, and the page then says so.
    assert "<title>lamDB" in page.text


def test_a_request_twice_under_one_key_is_executed_once(stack: Stack) -> None:
    create = 'mutation { createOneTag(data: { name: "once" }) { id } }'
    first, again = (stack.post(create, idempotency_key="a-key-of-mine") for _ in range(2))
    assert first.json() == again.json()
    assert again.headers["x-lamdb-replayed"] == "true"


def test_every_sample_is_invoked() -> None:
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == EVENTS.keys()


@pytest.mark.parametrize("event", EVENTS)
def test_a_sample_is_answered(stack: Stack, event: str) -> None:
    function, is_right = EVENTS[event]
    answer, logs = stack.invoke(function, event)
    assert is_right(answer), f"{answer}\n{logs}"
    if event in WRITTEN:
        tags = stack.post("{ findManyTag { name } }", x_lamdb_consistency="strong").json()["data"][
            "findManyTag"
        ]
        assert {"name": WRITTEN[event]} in tags


def test_stopping_keeps_the_data_and_leaves_nothing_running(
    engine: Engine, lambda_image: str, build: Path, data: Path, stack: Stack
) -> None:
    stack.post('mutation { createOneTag(data: { name: "kept" }) { id } }')
    assert len(stack.containers()) >= 3
    assert stack.stop() == 0
    assert stack.containers() == []
    again = Stack(engine, lambda_image, build, data)
    try:
        tags = again.post('{ findManyTag(where: { name: "kept" }) { name } }').json()
        assert tags == {"data": {"findManyTag": [{"name": "kept"}]}}
    finally:
        code = again.stop(signal.SIGTERM)
    assert code == 0
    assert again.containers() == []
