"""The storage benchmark runs at toy size; what does not depend on the machine's speed holds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "bench.storage", "--toy", "--latencies", "1"]
    done = subprocess.run(
        [*command, "--data", str(folder / "data"), "--json", str(folder / "figures.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "figures.json").read_text())


def test_everything_that_lamdb_can_do_was_measured(report: dict[str, Any]) -> None:
    measured = {figure["scenario"] for figure in report["figures"] if figure["contender"] == "lamDB"}
    assert len(measured) == 8
    for figure in report["figures"]:
        if figure["contender"] in ("lamDB", "litestream restore") and not figure["note"].startswith("cannot"):
            assert figure["ms"] or figure["case"].startswith("bytes"), figure


def test_requests_are_what_is_promised(report: dict[str, Any]) -> None:
    requests = {
        target["name"]: target["found"]
        for target in report["targets"]
        if target["name"].startswith("requests")
    }
    assert requests == {
        "requests per commit": 1,
        "requests per read, session, warm": 0,
        "requests per read, strong": 1,
    }


def test_compaction_keeps_opening_cheap(report: dict[str, Any]) -> None:
    opening = [
        figure["requests"]
        for figure in report["figures"]
        if figure["scenario"] == "open after many commits" and figure["contender"] == "lamDB"
    ]
    compacted, plain = opening
    assert plain > 300
    assert compacted < 40
