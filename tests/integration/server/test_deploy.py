"""Deployments on a store that dies at any request, and under traffic: old or new, never between."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.deployment import deploy
from lamdb.deployment.project import Project
from lamdb.errors import LamdbError
from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.apis import Apis
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.server.instance import serving
from lamdb.settings import Settings
from lamdb.storage import Database, open_store

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
OLD = HEAD + "model Thing {\n  id Int @id @default(autoincrement())\n  name String\n}\n"
NEW = OLD.replace("String\n", 'String\n  size Int @default(7)\n  label String @default("x")\n')


def write_schema(directory: Path, schema: str) -> Project:
    """The project after a migration to `schema` was added."""
    directory.mkdir(exist_ok=True)
    (directory / "schema.prisma").write_text(schema)
    migrate.create(directory, "step")
    return Project.at(directory)


def ask(apis: Apis, database: Database, query: str) -> dict[str, Any]:
    return orjson.loads(apis.execute(database, GraphQLRequest(query)).body)


def copied(store: Path, to: Path) -> str:
    """The URL of a copy, for each attempt to fail on."""
    shutil.copytree(store, to)
    return f"file://{to}"


# Death at every request.


class Doomed(FaultyStore):
    """From its n-th request on nothing works any more: the process is gone, as far as the store can tell."""

    def __init__(self, url: str, request: int, when: str) -> None:
        super().__init__(open_store(url))
        self.fail("*", when, skip=request, times=1)

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        if self.fired:
            raise OSError("the process is dead")
        return super().around(operation, key, call)


def deploy_until_death(url: str, project: Project, request: int, when: str) -> bool:
    """True if the deployment got through before its `request`-th request."""
    store = Doomed(url, request, when)
    try:
        database = Database(store)
        try:
            deploy.deploy(database, project)
        finally:
            database.close()
    except (LamdbError, OSError):
        return False
    return not store.fired


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_writer_that_dies_at_any_request_leaves_old_or_new(
    tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamdb.storage.ltx.replica.time.sleep", lambda _: None, raising=False)
    project = write_schema(tmp_path / "project", OLD)
    origin = tmp_path / "origin"
    with Database.open(f"file://{origin}") as database:
        deploy.deploy(database, project)
        apis = serving(Settings())
        for _ in range(3):
            ask(apis, database, 'mutation { createOneThing(data: { name: "n" }) { id } }')
        old = database.txid
    write_schema(tmp_path / "project", NEW)
    renamed = NEW.replace('  label String @default("x")\n', "  label String?\n")
    project = write_schema(tmp_path / "project", renamed)
    assert len(project.migrations) == 3

    outcomes = []
    for request in range(100):
        url = copied(origin, tmp_path / f"{request}")
        through = deploy_until_death(url, project, request, when)
        with Database.open(url) as database:
            outcomes.append(database.txid)
            is_new = database.txid == old + 1
            assert is_new or database.txid == old
            check_state(database, project, is_new=is_new)
            assert deploy.deploy(database, project).txid == old + 1
            check_state(database, project, is_new=True)
        if through:
            break
    assert through
    assert outcomes == sorted(outcomes)
    assert outcomes[0] == old
    assert outcomes[-1] == old + 1
    if when == "after":
        assert old + 1 in outcomes[:-1]


def check_state(database: Database, project: Project, *, is_new: bool) -> None:
    apis = serving(Settings())
    names = {"findManyThing": [{"id": n, "name": "n"} for n in (1, 2, 3)]}
    assert ask(apis, database, "{ findManyThing { id name } }") == {"data": names}
    sizes = ask(apis, database, "{ findManyThing { size label } }")
    if is_new:
        assert sizes == {"data": {"findManyThing": [{"size": 7, "label": "x"}] * 3}}
    else:
        assert "Cannot query field 'size'" in sizes["errors"][0]["message"]
    with database.reader() as connection, SchemaEngine(connection) as engine:
        assert engine.diagnose(project.migrations).in_sync == is_new
        pending = migrate.status(connection, project.migrations).pending
        assert len(pending) == (0 if is_new else 2)


def test_a_deployment_that_fails_leaves_the_old_schema_served(tmp_path: Path) -> None:
    project = write_schema(tmp_path / "project", OLD)
    with Database.open("memory:") as database:
        deploy.deploy(database, project)
        apis = serving(Settings())
        ask(apis, database, 'mutation { createOneThing(data: { name: "n" }) { id } }')
        before = database.txid
        project = write_schema(tmp_path / "project", NEW)
        script = tmp_path / "project/migrations" / project.migrations[1].name / "migration.sql"
        script.write_text(script.read_text() + "\nINSERT INTO nope VALUES (1);\n")
        with pytest.raises(LamdbError, match=re.escape(f"{script.parent.name}/migration.sql:")) as caught:
            deploy.deploy(database, Project.at(tmp_path / "project"))
        assert caught.value.meta["statement"] == "INSERT INTO nope VALUES (1);"
        assert database.txid == before
        assert ask(apis, database, "{ findManyThing { name } }") == {
            "data": {"findManyThing": [{"name": "n"}]}
        }


def test_two_that_deploy_at_once_both_succeed(tmp_path: Path) -> None:
    project = write_schema(tmp_path / "project", OLD)
    url = f"file://{tmp_path}/store"
    one, two = Database.open(url), Database.open(url)
    start = threading.Barrier(2)
    results: list[deploy.Deployment] = []

    def run(database: Database) -> None:
        start.wait()
        results.append(deploy.deploy(database, project))

    threads = [threading.Thread(target=run, args=(database,)) for database in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(each.applied) for each in results) == [0, 1]
    assert {each.txid for each in results} == {1}
    one.close()
    two.close()


# Traffic.

STEPS = 10
DEPLOYER = """
import sys
from pathlib import Path
from lamdb.deployment import deploy
from lamdb.deployment.project import Project
from lamdb.storage import Database
with Database.open(sys.argv[1]) as database:
    for directory in sys.argv[2:]:
        sys.stdin.readline()
        print(deploy.deploy(database, Project.at(directory)).txid, flush=True)
"""


def numbered(step: int) -> str:
    """The schema of a step: its own field, with its own default; the one before it is gone."""
    return OLD.replace("String\n", f"String\n  f{step} Int @default({step})\n")


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    directory = tmp_path_factory.mktemp("steps")
    made = []
    for step in range(STEPS + 1):
        write_schema(directory / "work", numbered(step))
        shutil.copytree(directory / "work", directory / str(step))
        made.append(Project.at(directory / str(step)))
    return made


class Traffic:
    """Clients of one server process, and what they saw."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.apis = serving(Settings())
        self.stop = threading.Event()
        self.step = 0
        self.faults: list[str] = []
        self.seen: list[tuple[int, int, int, bool]] = []
        """(step asked for, the transactions between which it was executed, whether it was answered)."""
        self.created: set[int] = set()

    def read(self) -> None:
        """Ask for the field of this step and of those beside it, each time."""
        while not self.stop.is_set():
            self.database.refresh()
            for step in (abs(self.step - 1), self.step, self.step + 1):
                self._ask(step, f"{{ findManyThing {{ id name f{step} }} }}", f"f{step}")

    def write(self) -> None:
        while not self.stop.is_set():
            step = self.step
            answer = self._ask(
                step, f'mutation {{ createOneThing(data: {{ name: "n" }}) {{ id f{step} }} }}', f"f{step}"
            )
            if answer is not None:
                self.created.add(answer["createOneThing"]["id"])

    def _ask(self, step: int, query: str, field: str) -> dict[str, Any] | None:
        before = self.database.txid
        result = self.apis.execute(self.database, GraphQLRequest(query))
        answer = orjson.loads(result.body)
        # A query says which state it saw, a mutation one that includes what it wrote.
        first = before if result.kind == "mutation" else result.txid
        self.seen.append((step, first, result.txid, "errors" not in answer))
        for error in answer.get("errors", ()):
            code = error["extensions"]["code"]
            if code not in {"P2009", "GRAPHQL_VALIDATION_FAILED"} or f"'{field}'" not in error["message"]:
                self.faults.append(f"{query}: {error}")
        if "errors" in answer:
            return None
        rows = answer["data"].get("findManyThing") or [answer["data"]["createOneThing"]]
        self.faults += [f"{query}: {row}" for row in rows if row[field] != step]
        return answer["data"]


def test_ten_migrations_under_traffic(tmp_path: Path, projects: list[Project]) -> None:
    url = f"file://{tmp_path}/store"
    database = Database.open(url, stale_after=0.05)
    deployed_at = [deploy.deploy(database, projects[0]).txid]
    traffic = Traffic(database)
    ask(traffic.apis, database, 'mutation { createOneThing(data: { name: "n" }) { id } }')
    arguments = [str(project.directory) for project in projects[1:]]
    process = subprocess.Popen(
        [sys.executable, "-c", DEPLOYER, url, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    threads = [threading.Thread(target=target) for target in (traffic.read, traffic.read, traffic.write)]
    for thread in threads:
        thread.start()
    try:
        for step in range(1, STEPS + 1):
            process.stdin.write("go\n")
            process.stdin.flush()
            deployed_at.append(int(process.stdout.readline()))
            traffic.step = step
            traffic.stop.wait(0.1)
    finally:
        traffic.stop.set()
        for thread in threads:
            thread.join()
        process.stdin.close()
        process.wait(30)
    assert process.returncode == 0
    assert traffic.faults == []
    for step, first, last, answered in traffic.seen:
        present = {max(i for i, start in enumerate(deployed_at) if start <= txid) for txid in (first, last)}
        possible = set(range(min(present), max(present) + 1))
        assert (step in possible) if answered else (possible != {step}), (step, first, last, deployed_at)
    answered_steps = {step for step, _, _, answered in traffic.seen if answered}
    assert len(answered_steps) > STEPS // 2
    rows = ask(traffic.apis, database, "{ findManyThing { id } }")["data"]["findManyThing"]
    assert {row["id"] for row in rows} == {1, *traffic.created}
    database.close()
