"""The budget of a command's start: packages and modules that it may not load, by their names.

An import costs on every start, and nobody sees it come.
"""

import subprocess
import sys

import pytest
from tests.support.graphql_blog import blog_schema, empty_blog

from lamdb.graphql import stored_schema

PROBE = """
import sys
from lamdb.cli import main
try:
    main()
except SystemExit as ended:
    print("ended", ended.code, *sorted(sys.modules), file=sys.stderr)
"""

# What prints help, and validates options, in typer's own way; the client of AWS.
NEVER = {"boto3", "botocore", "pydantic", "rich.markdown", "pygments", "aws_lambda_powertools"}
DATABASE = {"apsw", "graphql", "obstore", "wasmtime", "lamdb.storage", "lamdb.prisma", "lamdb.graphql"}
SERVER = {
    "granian",
    "uvloop",
    "asyncio",
    "lamdb.server",
    "lamdb.deployment",
    "lamdb.prisma.migrate.schema_engine",
}
EXECUTOR = {"graphql.execution.execute"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = (tmp_path_factory.mktemp("imports") / "store").as_uri()
    with empty_blog(url) as database, database.writer() as connection:
        stored_schema.store(connection, stored_schema.compute(blog_schema()))
    return url


def loaded(*arguments: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    run = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True)
    last = run.stderr.splitlines()[-1].split()
    assert last[:2] == ["ended", "0"], run.stderr
    return set(last[2:])


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], {"rich", *NEVER, *DATABASE, *SERVER}),
        (["serve", "--help"], {"rich", *NEVER, *DATABASE, *SERVER}),
        (["migrate", "deploy", "-h"], {"rich", *NEVER, *DATABASE, *SERVER}),
        (["--version"], {"rich", *NEVER, *DATABASE, *SERVER}),
        (["query", "{ findManyTag { name } }"], {*NEVER, *SERVER, *EXECUTOR, "lamdb.operator"}),
        (["query", 'mutation { createOneTag(data: {name: "a"}) { name } }'], {*NEVER, *SERVER, *EXECUTOR}),
        (["status"], {*NEVER, "granian", "uvloop", "lamdb.server", *EXECUTOR}),
        (["status", "--json"], {*NEVER, "granian", "uvloop", "lamdb.server", *EXECUTOR}),
    ],
    ids=lambda value: " ".join(value)[:24] if isinstance(value, list) else "",
)
def test_a_command_does_not_load(arguments: list[str], forbidden: set[str], store: str) -> None:
    is_help = arguments[-1] in ("--help", "-h", "--version")
    found = loaded(*arguments, *([] if is_help else ["--store", store]))
    assert found & forbidden == set()


def test_the_server_does_not_load_what_no_request_needs() -> None:
    code = "import sys, lamdb.cli.serve; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) & {*NEVER, *EXECUTOR, "rich", "lamdb.operator.api"} == set()
