"""What a cold start imports: counted in modules that cost, not in seconds."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "apsw", "boto3", "botocore.session", "graphql", "wasmtime", "aws_xray_sdk", "typer", "granian", "uvloop",
    "pydantic", "numpy", "lamdb.prisma", "lamdb.storage", "lamdb.server", "lamdb.cli",
    "aws_lambda_powertools.utilities.idempotency", "aws_lambda_powertools.event_handler",
}  # fmt: skip


def imported(module: str) -> set[str]:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(json.loads(run.stdout))


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("lamdb.cluster.proxy", set()),
        ("lamdb.cluster.reader", {"apsw", "graphql", "wasmtime", "lamdb.prisma", "lamdb.storage"}),
        ("lamdb.cluster.writer", {"apsw", "graphql", "wasmtime", "lamdb.prisma", "lamdb.storage"}),
    ],
)
def test_a_function_imports_what_it_needs(module: str, heavy: set[str]) -> None:
    assert imported(module) == heavy
