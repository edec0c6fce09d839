"""The budget of a command's start: packages and modules that it may not load, by their names.

An import costs on every start, and nobody sees it come.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.graphql_blog import blog_schema, empty_blog
from typer.main import get_command

from lamdb.cli.main import app
from lamdb.graphql import stored_schema

ROOT = Path(__file__).parents[3]
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


# What the image's build removes (Dockerfile): no command may need it.
LEFT_OUT = {
    "annotated-types": "annotated_types",
    "markdown-it-py": "markdown_it",
    "mdurl": "mdurl",
    "pydantic": "pydantic",
    "pydantic-core": "pydantic_core",
    "pygments": "pygments",
    "typing-inspection": "typing_inspection",
}
WITHOUT = f"""
import sys
for name in {sorted(LEFT_OUT.values())}:
    sys.modules[name] = None
from lamdb.__main__ import main
main()
"""


def test_the_image_leaves_out_what_is_tested_here() -> None:
    build = (ROOT / "Dockerfile").read_text()
    removed = re.search(r"uninstall --yes --quiet \\\n\s+(.*)\n", build)
    assert removed is not None
    assert set(removed[1].split()) == set(LEFT_OUT)


@pytest.mark.parametrize(
    "line",
    [
        ["schema", "validate", "{project}"],
        ["schema", "validate", "nowhere"],
        ["schema", "convert", "{project}", "--output", "{new}"],
        ["schema", "introspect", "nowhere.db"],
        ["token", "search", "--model", "Tag", "--model", "Post", "--where", "Tag={}"],
        ["init", "{new}"],
        ["doctor", "--aws", "--config-file", "nowhere.toml"],
        ["serve", "--port", "x"],
        ["serve", "--unknown"],
        ["dump", "Tag", "{new}.csv", "--store", "{store}"],
        ["sql", "SELECT 1", "--store", "{store}"],
        ["backups", "--store", "{store}"],
        [],
    ],
    ids=lambda line: " ".join(line[:2]) or "none",
)
def test_commands_do_without_what_the_image_leaves_out(line: list[str], store: str, tmp_path: Path) -> None:
    words = {"project": ROOT / "database", "new": tmp_path / "new", "store": store}
    arguments = [word.replace("{}", "{{}}").format(**words) for word in line]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "LAMDB_SEARCH_KEY": "k" * 43},
    )
    assert "import of" not in done.stderr
    assert "No module" not in done.stderr
    assert "INTERNAL" not in done.stderr
    assert done.stdout or done.stderr


def test_every_parameter_is_made_without_a_validator() -> None:
    """typer would build it with pydantic when the parameter is first used."""

    def parameters(command: Any, context: Any) -> Iterator[Any]:
        yield from command.get_params(context)
        for inner in getattr(command, "commands", {}).values():
            yield from parameters(inner, type(context)(inner, parent=context))

    command = get_command(app)
    with command.make_context("lamdb", ["status"]) as context:
        found = [each for each in parameters(command, context) if hasattr(each, "type_descriptor")]
    assert len(found) > 100
    named = [each for each in found if "[default:" in (each.help or "")]
    assert named
    assert [each.name for each in named if each.show_default] == [], "the help would name it twice"
    assert {type(each._runtime_param).__name__ for each in found} == {"PassThroughRuntimeParam", "_Made"}
