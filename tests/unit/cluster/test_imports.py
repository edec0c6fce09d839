"""The budget of a cold start: which packages each function loads, counted in packages and not in seconds.

An import costs on every start, and nobody sees it come: a package that is not on a function's list fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.graphql_blog import blog_schema, empty_blog

from lamdb.graphql import stored_schema

FUNCTIONS = Path(__file__).parents[3] / "functions"

PROBE = """
import json, sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
import app
started = set(sys.modules) - before
for event in json.loads(sys.argv[2]):
    app.handler(event, None)
print("loaded", json.dumps([sorted(started), sorted(set(sys.modules) - before - started)]))
"""
QUERY = {"query": "{ findManyTag { name } }"}
MUTATION = {"query": 'mutation { createOneTag(data: {name: "a"}) { name } }'}
FAILING = [{"httpMethod": "GET", "path": path} for path in ("/healthz", "/nowhere")]

# Powertools' Logger and Metrics come with the two after them.
LOGGING = {"aws_lambda_powertools", "botocore", "jmespath", "orjson", "typing_extensions"}
# The proxy sends its calls with it. botocore would take as much time again, a client of boto3 still more.
SENDING = {"urllib3"}
DATABASE = {"apsw", "fastcrc", "graphql", "lz4", "obstore", "wasmtime"}
# What a store in a directory does not need, and what the SDK has or has not, as its version is.
ELSEWHERE = {"obstore", "six", "dateutil", "certifi"}

SERVICE = {
    "lamdb.access",
    "lamdb.cluster",
    "lamdb.graphql",
    "lamdb.hrana",
    "lamdb.prisma",
    "lamdb.changes",
    "lamdb.rules",
    "lamdb.samlocal",
    "lamdb.search",
    "lamdb.storage",
}
# Parts of lamdb, with what they may load when a function starts.
START = {
    "proxy": LOGGING
    | SENDING
    | {"lamdb.access", "lamdb.cluster", "lamdb.graphql", "lamdb.hrana", "lamdb.rules", "lamdb.samlocal"},
    "reader": LOGGING | DATABASE | SERVICE,
    "writer": LOGGING | DATABASE | SERVICE,
    "publisher": (LOGGING | DATABASE | SERVICE) - {"lamdb.samlocal"},
}

# Within a package, or in Python's library: what is known to be slow, and where it may be loaded all the same.
SLOW = {
    "asyncio": set(),
    "aws_xray_sdk": set(),
    "aws_lambda_powertools.utilities.batch": set(),
    "aws_lambda_powertools.utilities.idempotency": set(),
    "aws_lambda_powertools.utilities.parser": set(),
    "aws_lambda_powertools.event_handler": set(),
    "botocore.auth": set(),
    "botocore.session": set(),
    "boto3": set(),
    "lamdb.access.callers": set(),
    "lamdb.access.jwts": set(),
    "lamdb.access.keys": set(),
    "lamdb.cluster.invocation.schema_text": set(),
    "lamdb.cluster.aws.events_api": {"publisher"},
    "lamdb.cluster.publishing": {"publisher"},
    "lamdb.cluster.sources": set(),
    "lamdb.cluster.studio": set(),
    "lamdb.cluster.runtime.tracing": set(),
    "lamdb.graphql.execution.introspection": {"publisher", "reader", "writer"},
    "lamdb.graphql.schema.sdl": set(),
    "lamdb.graphql.transport.studio": set(),
    "lamdb.hrana.endpoint": set(),
    "lamdb.hrana.statements.authorizer": set(),
    "lamdb.operator": set(),
    "lamdb.prisma.migrate.schema_engine": set(),
    "lamdb.rules.conditions": set(),
    "lamdb.rules.declaration": set(),
    "lamdb.samlocal.functions": set(),
    "lamdb.samlocal.store": set(),
    "lamdb.changes.declaration": set(),
    "lamdb.graphql.execution.changes_run": {"publisher"},
    "lamdb.search.declaration": set(),
    "lamdb.search.engine": set(),
    "lamdb.server": set(),
    "rapidfuzz": set(),
    "multiprocessing": set(),
    "sqlite3": set(),
    "unittest": set(),
    "xml": set(),
}


def loaded(function: str, events: list[object], store: str) -> tuple[set[str], set[str]]:
    """The modules that a function loads when it starts, and those that it loads to answer events."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "as Lambda",
        "AWS_SECRET_ACCESS_KEY": "sets them",
        "LAMDB_STORE": store,
        "LAMDB_READER_FUNCTION": "reader",
        "LAMDB_WRITER_FUNCTION": "writer",
    }
    run = subprocess.run(
        [sys.executable, "-c", PROBE, FUNCTIONS / function, json.dumps(events)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("loaded "))
    start, later = json.loads(line.removeprefix("loaded "))
    return set(start), set(later)


def packages(modules: set[str]) -> set[str]:
    """The names in a list: packages outside Python's library, and parts of lamdb."""
    names = {".".join(module.split(".")[: 2 if module.startswith("lamdb.") else 1]) for module in modules}
    small = {
        "lamdb",
        "lamdb.errors",
        "lamdb.lru",
        "lamdb.memory",
        "lamdb.names",
        "lamdb.setting",
        "lamdb.settings",
        "app",
    }
    return {name for name in names - sys.stdlib_module_names - small if not name.startswith("__")}


def slow(modules: set[str]) -> set[str]:
    return {name for name in SLOW if any(each == name or each.startswith(name + ".") for each in modules)}


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = (tmp_path / "store").as_uri()
    with empty_blog(url) as database, database.writer() as connection:
        stored_schema.store(connection, stored_schema.compute(blog_schema()))
    return url


@pytest.mark.parametrize(
    ("function", "events"),
    [("proxy", FAILING), ("reader", [QUERY]), ("writer", [MUTATION, QUERY]), ("publisher", [QUERY])],
)
def test_a_function_loads_what_is_on_its_list(function: str, events: list[object], store: str) -> None:
    start, later = loaded(function, events, store)
    assert packages(start) <= START[function], "too much at the start"
    assert packages(later) <= START[function], "too much for a first answer"
    assert slow(start | later) <= {name for name, where in SLOW.items() if function in where}
    assert START[function] - packages(start | later) <= ELSEWHERE, "the list is longer than it must be"


def test_what_tracing_needs_is_loaded_where_it_is_on(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = {"POWERTOOLS_TRACE_DISABLED": "false", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000"}
    environment = {"PATH": os.environ["PATH"], "LAMDB_STORE": store, **probe}
    run = subprocess.run(
        [sys.executable, "-c", PROBE, FUNCTIONS / "reader", json.dumps([QUERY])],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"lamdb.cluster.runtime.tracing"' in run.stdout
    assert "aws_xray_sdk" not in run.stdout
