"""Runs the suites of Turso's serverless drivers against lamDB: `python -m tests.e2e.turso_suites DIRECTORY`.

DIRECTORY is a checkout (or the git directory) of Turso's repository, turso of tursodatabase. The suites are
those of the drivers for JavaScript and Python, and the differential tests, which compare a server with an
embedded database. They are copied to a temporary directory, and npm installs there what they need.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from .conftest import Server
from .libsql_suite import on_lambda
from .sql_clients import DATABASE

TOKEN = "a-token-of-the-suites"
PACKAGES = ("@tursodatabase/serverless@1.4.0", "@tursodatabase/database", "ava@6", "fast-check@4")
NOT_OURS = (
    # They read `row[1]`, but the driver's rows have no fields by position.
    "prepare() method creates statement",
    "statement iterate() method works",
    "get() method queries a single value",
    "get() method queries a single row",
)
SPEC = "join(__dirname, '..', '..', 'conformance'"


class Started(AbstractContextManager[str]):
    """The address of a server of this checkout."""

    def __enter__(self) -> str:
        self._server = Server("--store", "memory:", database=DATABASE, LAMDB_SQL_TOKENS=f"admin:{TOKEN}")
        return f"{self._server.url}/"

    def __exit__(self, *_: object) -> None:
        self._server.close()


def copy(source: Path, to: Path) -> None:
    if (source / "serverless").is_dir():
        command = ["tar", "-C", str(source), "--exclude=node_modules", "-c", "serverless"]
    else:
        command = ["git", "-C", str(source), "archive", "HEAD", "serverless"]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(to, filter="data")


def prepare(root: Path) -> Path:
    """Returns a directory with the suites in JavaScript, the published driver and the embedded database."""
    place = root / "javascript"
    place.mkdir()
    (place / "package.json").write_text(json.dumps({"type": "module", "private": True}))
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", *options, *PACKAGES], cwd=place, check=True)
    (place / "dist").symlink_to(place / "node_modules/@tursodatabase/serverless/dist")
    drivers = root / "serverless/javascript"
    (place / "integration").mkdir()
    for path in (drivers / "integration-tests").glob("*.test.mjs"):
        (place / "integration" / path.name).write_text(path.read_text())
    parity = (drivers / "differential/parity.test.mjs").read_text()
    assert SPEC in parity
    (place / "parity.test.mjs").write_text(parity.replace(SPEC, f"join('{root}/serverless', 'conformance'"))
    return place


def counts(output: str) -> tuple[int, list[str]]:
    """The number of ava's tests that passed, and the names of the others but for the driver's own faults."""
    failed = re.findall(r"^\s*✘ (?:\[fail\]: )?(.*?)(?: \([\d.]+m?s\))?$", output, re.MULTILINE)
    return len(re.findall(r"^\s*✔ ", output, re.MULTILINE)), [
        name for name in failed if not name.endswith(NOT_OURS)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.turso_suites", description=__doc__)
    parser.add_argument("directory", type=Path, help="a checkout of turso, or its git directory")
    parser.add_argument("--lambda", dest="functions", action="store_true", help="functions in a local Lambda")
    parser.add_argument("--kills", type=float, default=0, help="environments killed a second, with --lambda")
    parser.add_argument("--runs", type=int, default=20, help="of each differential property")
    given = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy(given.directory, root)
        place = prepare(root)
        with on_lambda(given.kills) if given.functions else Started() as url:
            environ = {
                **os.environ,
                "TURSO_DATABASE_URL": url,
                "TURSO_AUTH_TOKEN": TOKEN,
                "HEGEL_NUM_RUNS": str(given.runs),
                "PYTHONPATH": str(root / "serverless/python"),
            }
            for name, tests in (
                ("integration", "integration/*.test.mjs"),
                ("differential", "parity.test.mjs"),
            ):
                command = ["npx", "ava", "--timeout=9m", tests]
                done = subprocess.run(
                    command, cwd=place, env=environ, capture_output=True, text=True, check=False
                )
                passed, failed = counts(done.stdout)
                print(f"JavaScript, {name}: {passed} passed, {len(failed)} failed {failed or ''}")
                problems += [*failed, *([] if passed else [done.stderr[-2000:]])]
            pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
            done = subprocess.run(
                pytest,
                cwd=root / "serverless/python",
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            print(f"Python: {done.stdout.splitlines()[-1]}")
            problems += [done.stdout[-3000:]] if done.returncode else []
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
