"""The Debian example, from package lists to answers, through a real server."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Server

EXAMPLE = ROOT / "examples" / "debian-archive"
LISTS = ROOT / "tests" / "integration" / "debian" / "packages.txt"

BEGIN = "mutation ($digest: String!) { createOneSnapshot(data: { digest: $digest }) { digest } }"
COUNTS = """
{
  sections: aggregateSection { _count { _all } }
  targets: aggregateTarget { _count { _all } }
  packages: aggregatePackage { _count { _all } }
  tags: aggregatePackageTag { _count { _all } }
  dependencies: aggregateDependency { _count { _all } }
  provisions: aggregateProvision { _count { _all } }
}
"""
EXPECTED = {"sections": 2, "targets": 13, "packages": 3, "tags": 5, "dependencies": 17, "provisions": 3}


def load(url: str, *options: str, file: Path = LISTS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "load.py"), "--url", f"{url}/graphql", "--file", str(file)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)


def counts(server: Server) -> dict[str, int]:
    return {name: answer["_count"]["_all"] for name, answer in server.data(COUNTS).items()}


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve("--store", "memory:", database=EXAMPLE)


def test_a_load_and_what_can_be_asked_then(server: Server) -> None:
    done = load(server.url, "--batch", "4")
    assert done.returncode == 0, done.stderr
    assert "3 packages, 17 dependency links, 48 rows" in done.stdout
    assert counts(server) == EXPECTED
    query = """
    { findManyPackage(
        where: { section: { name: "drinks" } }
        orderBy: [{ target: { dependents: { _count: desc } } }, { name: desc }]
    ) {
        name priority maintainer { email name }
        tags(orderBy: { tagName: asc }) { tag { name facet } }
        target { kind _count { dependents(where: { kind: DEPENDS }) } }
        dependencies(where: { kind: DEPENDS }) {
            clause alternative comparison version architecture target { name kind }
        }
    } }
    """
    water, tea = server.data(query)["findManyPackage"]
    assert (water["name"], water["target"]["_count"]) == ("water", {"dependents": 2})
    assert water["maintainer"] == {"email": "The Waterworks", "name": "The Waterworks"}
    assert [tag["tag"]["name"] for tag in tea["tags"]] == [
        "implemented-in::c",
        "role::program",
        "use::drinking",
    ]
    assert tea["dependencies"][1] == {
        "clause": 1,
        "alternative": 0,
        "comparison": "AT_LEAST",
        "version": "2.34",
        "architecture": None,
        "target": {"name": "libc6", "kind": "MISSING"},
    }


def test_a_second_load_changes_nothing(server: Server) -> None:
    assert load(server.url).returncode == 0
    again = load(server.url)
    assert again.returncode == 0
    assert "loaded already" in again.stdout
    assert counts(server) == EXPECTED


def test_an_interrupted_load_goes_on(server: Server) -> None:
    digest = hashlib.sha256(LISTS.read_bytes()).hexdigest()
    server.data(BEGIN, {"digest": digest})
    server.data('mutation { createManySection(data: [{ name: "contrib/drinks" }]) { count } }')
    done = load(server.url)
    assert done.returncode == 0, done.stderr
    assert counts(server) == EXPECTED


def test_other_lists_are_loaded_on_request_only(server: Server, tmp_path: Path) -> None:
    assert load(server.url).returncode == 0
    newer = tmp_path / "packages.txt"
    newer.write_text(LISTS.read_text().replace("Package: coffee", "Package: cocoa"))
    refused = load(server.url, file=newer)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert server.data("{ findManyPackage { name } }")["findManyPackage"][0] == {"name": "coffee"}
    assert load(server.url, "--replace", file=newer).returncode == 0
    names = [package["name"] for package in server.data("{ findManyPackage { name } }")["findManyPackage"]]
    assert sorted(names) == ["cocoa", "tea", "water"]


def test_what_goes_wrong_is_said(server: Server, tmp_path: Path) -> None:
    broken = tmp_path / "broken.txt"
    broken.write_text("Package: tea\n\n")
    refused = load(server.url, file=broken)
    assert (refused.returncode, refused.stdout.strip()) == (1, "")
    assert "package tea: no field" in refused.stderr
    absent = load("http://127.0.0.1:9")
    assert absent.returncode == 1
    assert "no server answers at http://127.0.0.1:9/graphql" in " ".join(absent.stderr.split())
    assert "Traceback" not in refused.stderr + absent.stderr


def test_every_query_of_the_readme_is_answered(server: Server) -> None:
    assert load(server.url).returncode == 0
    queries = sorted((EXAMPLE / "queries").glob("*.graphql"))
    assert len(queries) == 5
    command = [sys.executable, str(EXAMPLE / "ask.py"), "--url", f"{server.url}/graphql", *map(str, queries)]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 0, asked.stderr
    assert [line.partition(":")[0] for line in asked.stderr.splitlines()] == [query.stem for query in queries]
    readme = (EXAMPLE / "README.md").read_text()
    for query in queries:
        assert query.read_text() in readme
