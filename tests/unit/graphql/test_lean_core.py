"""graphql-core with only the modules that are used, and the whole of it where another name is asked for."""

import json
import subprocess
import sys

import pytest

PACKAGES = ["graphql", "graphql.execution", "graphql.pyutils", "graphql.utilities"]
NAMES = """
import json, sys
from importlib import import_module

def described(package):
    names = {*dir(package)} - {"_submodules", "_initialising", "__builtins__"}
    found = {name: getattr(package, name) for name in names}
    return {name: [type(value).__name__, getattr(value, "__module__", None)] for name, value in found.items()}

print(json.dumps({name: described(import_module(name)) for name in sys.argv[1:]}))
"""
INITIALISE = """
import graphql, graphql.execution, graphql.pyutils, graphql.utilities
for package in (graphql, graphql.execution, graphql.pyutils, graphql.utilities):
    package.__all__
"""
USES = [
    "import lamdb.graphql.document.validation",
    "import lamdb.graphql.api",
    "import lamdb.graphql.schema.sdl, graphql.execution.execute, graphql.utilities.ast_from_value",
    "import lamdb.operator.api",
    "import lamdb.graphql.api; from graphql.pyutils import SimplePubSub",
    "import graphql; import lamdb.graphql.api",
]


def printed(code: str, *arguments: str) -> str:
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def whole() -> dict:
    return json.loads(printed(INITIALISE + NAMES, *PACKAGES))


@pytest.mark.parametrize("use", USES)
def test_a_package_is_the_same_as_always_in_the_end(use: str, whole: dict) -> None:
    found = json.loads(printed(use + INITIALISE + NAMES, *PACKAGES))
    for package in PACKAGES:
        missing = {name for name, kind in whole[package].items() if found[package].get(name) != kind}
        assert missing == set()


def test_a_function_with_the_name_of_its_module_is_the_function() -> None:
    code = """
import lamdb.graphql.api, graphql
from graphql.execution.execute import get_field_def
from graphql.utilities.type_from_ast import type_from_ast as one
from graphql.execution import execute
from graphql.utilities import type_from_ast
from graphql.pyutils import inspect
import graphql.execution.execute as by_module
print(callable(execute), type_from_ast is one, callable(inspect), callable(by_module))
print(callable(graphql.execution.values.get_argument_values))
"""
    assert printed(code).split() == ["True"] * 5


def test_an_unknown_name_is_refused_as_always() -> None:
    code = """
import lamdb.graphql.api
try:
    from graphql import nothing
except ImportError as error:
    print(error)
"""
    assert "cannot import name 'nothing' from 'graphql'" in printed(code)


def test_threads_may_ask_at_once() -> None:
    code = """
import threading, lamdb.graphql.api
found = []
def ask():
    from graphql import build_schema, execute, parse
    found.append(execute(build_schema("type Query { a: Int }"), parse("{ a }")).data)
threads = [threading.Thread(target=ask) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(found == [{"a": None}] * 8)
"""
    assert printed(code).strip() == "True"
