"""Runs @libsql/client's own test suite against lamDB: `python -m tests.e2e.libsql_suite DIRECTORY`.

DIRECTORY is a checkout (or the git directory) of the client's repository, libsql-client-ts of tursodatabase.
It is not part of lamDB: it is copied to a temporary directory, and npm installs its dependencies there.
"""

import argparse
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from .conftest import Server
from .sql_clients import DATABASE

PACKAGE = "packages/libsql-client"
# The suite mocks embedded replicas with msw; the other tools check its form.
_TEST_SECONDS = 60
NOT_NEEDED = ("lint-staged", "msw", "prettier", "typedoc")


def copy(source: Path, to: Path) -> None:
    """Copies the client's package from a checkout, or from the newest commit of a git directory."""
    if (source / PACKAGE).is_dir():
        command = ["tar", "-C", str(source), "--exclude=node_modules", "-c", PACKAGE]
    else:
        command = ["git", "-C", str(source), "archive", "HEAD", PACKAGE]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(to, filter="data")


def install(package: Path) -> None:
    described = json.loads((package / "package.json").read_text())
    for name in NOT_NEEDED:
        described["devDependencies"].pop(name, None)
    (package / "package.json").write_text(json.dumps(described))
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "install", *options], cwd=package, check=True)


@contextmanager
def on_lambda(kills: float) -> Iterator[str]:
    """The address of a local API Gateway before the functions in a local Lambda, in the role admin.

    `kills`: how many idle environments of reader and writer are killed in a second.
    """
    # `lambda` is a keyword.
    cluster_module = import_module("tests.lambda.cluster")
    stop = threading.Event()
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder, cluster_module.running(Path(folder), sql=True) as cluster:
        os.environ.update(cluster.s3.environment)
        cluster_module.deploy(cluster.s3.url)
        cluster.proxy.variables = {**cluster.proxy.variables, "LAMDB_SQL_ROLE": "admin"}
        killed = 0

        def kill() -> None:
            nonlocal killed
            while not stop.wait(1 / kills):
                function = random.choice((cluster.reader, cluster.writer))
                idle = [each for each in function.environments() if each not in function.working()]
                if idle:
                    random.choice(idle).kill()
                    killed += 1

        killer = threading.Thread(target=kill)
        if kills:
            killer.start()
        try:
            yield f"{cluster.gateway.url}/"
        finally:
            stop.set()
            if kills:
                killer.join()
                print(f"{killed} environments were killed")


@contextmanager
def served(url: str | None, prefix: str) -> Iterator[str]:
    """The address given, or that of a server of this checkout, with a base path."""
    if url is not None:
        yield url
        return
    server = Server("--store", "memory:", database=DATABASE)
    try:
        yield f"{server.url}{prefix}"
    finally:
        server.close()


def run(package: Path, url: str, token: str | None, pattern: str | None) -> dict[str, object]:
    """Returns Jest's report of the suite."""
    command = [
        "npx",
        "jest",
        "--runInBand",
        "--json",
        "--outputFile=report.json",
        # Environments take their time to start, most of all on a machine that has other work.
        f"--testTimeout={_TEST_SECONDS * 1000}",
        "src/__tests__/client.test.ts",
    ]
    if pattern is not None:
        command += ["-t", pattern]
    # The second version of the protocol is that which the client speaks over HTTP.
    environ = {**os.environ, "URL": url, "SERVER": "test_v2"}
    if token is not None:
        environ["AUTH_TOKEN"] = token
    subprocess.run(command, cwd=package, env=environ, capture_output=True, timeout=900, check=False)
    report: dict[str, object] = json.loads((package / "report.json").read_text())
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.libsql_suite", description=__doc__)
    parser.add_argument("directory", type=Path, help="a checkout of libsql-client-ts, or its git directory")
    parser.add_argument("--url", help="a server that runs; by default one is started")
    parser.add_argument("--token", help="bearer token for --url")
    parser.add_argument("--prefix", default="/", help="base path at the server that is started")
    parser.add_argument("--lambda", dest="functions", action="store_true", help="functions in a local Lambda")
    parser.add_argument(
        "--kills", type=float, default=0, help="environments killed in a second, with --lambda"
    )
    parser.add_argument("-t", dest="pattern", help="run only the tests whose names match")
    parser.add_argument("--json", type=Path, help="write the counts and the failures to a file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        copy(given.directory, Path(directory))
        package = Path(directory) / PACKAGE
        install(package)
        place = on_lambda(given.kills) if given.functions else served(given.url, given.prefix)
        with place as url:
            report = run(package, url, given.token, given.pattern)
    tests = [test for suite in report["testResults"] for test in suite["assertionResults"]]  # type: ignore[attr-defined]
    failed = [test for test in tests if test["status"] == "failed"]
    counts = {
        "passed": sum(test["status"] == "passed" for test in tests),
        "failed": len(failed),
        "skipped": sum(test["status"] in ("pending", "skipped", "todo") for test in tests),
    }
    for test in failed:
        print(f"FAILED {test['fullName']}")
        print("  " + re.sub(r"\x1b\[\d*m", "", "".join(test["failureMessages"]))[:600].replace("\n", "\n  "))
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    if given.json is not None:
        names = [test["fullName"] for test in failed]
        given.json.write_text(json.dumps({**counts, "failures": names}, indent=2) + "\n")
    return 1 if failed or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
