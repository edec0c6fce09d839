"""The guide's clients, run as they stand there: their requests are signed so that the signature verifies."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.signatures import Endpoint, endpoint

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/deploy.md").read_text()
NODE = Path(__file__).parent / "node"
NODES_PACKAGES = NODE / "node_modules"
ANSWER = b'{"data": {"findManyTag": [{"id": 1, "name": "first"}]}}'


def example(language: str) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(code)


def run(command: list[str], place: Endpoint, tmp_path: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **place.environment}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + str(place.refused)
    return done.stdout


def test_the_python_example(tmp_path: Path) -> None:
    with endpoint(ANSWER) as place:
        printed = run([sys.executable, "-c", example("python")], place, tmp_path)
    assert printed.strip() == "{'findManyTag': [{'id': 1, 'name': 'first'}]}"
    assert [json.loads(body) for body in place.accepted] == [{"query": "{ findManyTag { id name } }"}]


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.skipif(not (NODES_PACKAGES / "aws4fetch").is_dir(), reason="run `make e2e` to install the tools")
def test_the_javascript_example(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(NODES_PACKAGES)
    (tmp_path / "example.mjs").write_text(example("js"))
    with endpoint(ANSWER) as place:
        printed = run(["node", "example.mjs"], place, tmp_path)
    assert "findManyTag" in printed
    assert "first" in printed
    assert [json.loads(body) for body in place.accepted] == [{"query": "{ findManyTag { id name } }"}]


def test_a_request_that_was_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    """The endpoint tells right signatures from wrong ones."""
    changed = example("python").replace("signed = urllib", 'body += b" "\nsigned = urllib')
    assert changed != example("python")
    with endpoint(ANSWER) as place, pytest.raises(AssertionError, match="another signature"):
        run([sys.executable, "-c", changed], place, tmp_path)
    assert place.accepted == []
