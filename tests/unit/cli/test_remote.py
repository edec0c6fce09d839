"""Deployments elsewhere: what is made of answers, errors and answers that are lost."""

from pathlib import Path
from typing import Any

import pytest

from lamdb.cli import remote_migrate
from lamdb.cli.output import CommandOutput
from lamdb.cli.remote import NO_OPERATORS, Operator
from lamdb.cli.targets.target import OPERATOR, Question, Response
from lamdb.deployment.project import Project
from lamdb.errors import FunctionUnavailable, MigrationError, RemoteError, RemoteUnavailable
from lamdb.graphql import stored_schema
from lamdb.prisma.migrate.migrations import Migration, write_migration

SCHEMA = 'datasource db {\n  provider = "sqlite"\n}\n\nmodel Tag {\n  id Int @id\n}\n'
INIT = Migration("20260101000000_init", 'CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY);\n')
LOST = FunctionUnavailable("the connection broke")


class Elsewhere:
    """A database that records the migration when it is told to, and answers or not."""

    name = "elsewhere"

    def __init__(self, schema_hash: str, *, arrives_after: int | None, answers: Exception | None) -> None:
        self.asked: list[Question] = []
        self._hash = schema_hash
        self._looks = 0
        self._arrives_after = arrives_after
        self._answers = answers

    def ask(self, path: str, question: Question) -> Response:
        assert path == OPERATOR
        self.asked.append(question)
        if "mutation" in question.document:
            if self._answers is not None:
                raise self._answers
            applied = [{"name": INIT.name, "milliseconds": 2.5, "changedRows": 7}]
            return {"data": {"migrate": {"applied": applied, "schemaChanged": True, "txid": 5, "values": []}}}
        self._looks += 1
        there = self._arrives_after is not None and self._looks > self._arrives_after
        record = {"name": INIT.name, "checksum": INIT.checksum, "finishedAt": "2026", "rolledBackAt": None}
        database = {"txid": 5 if there else 4, "schemaHash": self._hash if there else None}
        return {"data": {"database": database, "migrations": [record] if there else []}}

    def close(self) -> None:
        pass


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    write_migration(tmp_path / "migrations", INIT)
    return Project.at(tmp_path)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10_000))
    monkeypatch.setattr(remote_migrate.time, "sleep", lambda _: None)
    monkeypatch.setattr(remote_migrate.time, "monotonic", lambda: next(now))


def deploy(project: Project, target: Elsewhere, *, dry_run: bool = False) -> Any:
    return remote_migrate.deploy(
        Operator(target), project, dry_run=dry_run, allow_unmigrated=False, output=CommandOutput(is_json=True)
    )


def elsewhere(
    project: Project, *, arrives_after: int | None = None, answers: Exception | None = None
) -> Elsewhere:
    return Elsewhere(stored_schema.hash_of(project.schema), arrives_after=arrives_after, answers=answers)


def test_everything_is_sent_at_once(project: Project) -> None:
    target = elsewhere(project)
    made = deploy(project, target)
    done = made.deployment
    assert (made.answer_lost, done.names, done.schema_changed, done.txid) == (False, (INIT.name,), True, 5)
    variables = target.asked[-1].variables
    assert variables == {
        "migrations": [{"name": INIT.name, "sql": INIT.sql}],
        "files": [{"name": "schema.prisma", "text": SCHEMA}],
        "dryRun": False,
    }


@pytest.mark.parametrize("lost", [LOST, RemoteError("timed out", code="INTEGRATION_TIMEOUT")])
def test_a_lost_answer_is_looked_for(project: Project, lost: Exception) -> None:
    target = elsewhere(project, arrives_after=3, answers=lost)
    made = deploy(project, target)
    done = made.deployment
    assert (made.answer_lost, done.names, done.schema_changed, done.txid) == (True, (INIT.name,), True, 5)
    assert len([each for each in target.asked if "mutation" in each.document]) == 1


def test_what_does_not_arrive_is_not_claimed(project: Project) -> None:
    with pytest.raises(RemoteUnavailable, match="the connection broke") as caught:
        deploy(project, elsewhere(project, answers=LOST))
    assert "Deploy again" in caught.value.hint


def test_a_refusal_and_a_dry_run_are_not_looked_for(project: Project) -> None:
    refusal = RemoteError("no such table", code="P3018")
    with pytest.raises(RemoteError, match="no such table"):
        deploy(project, elsewhere(project, answers=refusal))
    with pytest.raises(FunctionUnavailable):
        deploy(project, elsewhere(project, answers=LOST), dry_run=True)


def test_histories_that_disagree_end_it_before_anything_is_sent(project: Project) -> None:
    edited = INIT._replace(sql=INIT.sql + "-- edited\n")
    (project.directory / "migrations" / INIT.name / "migration.sql").write_text(edited.sql)
    target = elsewhere(project, arrives_after=0)
    with pytest.raises(MigrationError, match="edited after"):
        deploy(project, target)
    assert [each for each in target.asked if "mutation" in each.document] == []


@pytest.mark.parametrize(
    ("entry", "code", "hint"),
    [
        ({"message": "m", "extensions": {"code": "P3018", "hint": "h", "meta": {"a": 1}}}, "P3018", "h"),
        ({"message": "m", "extensions": {"code": "FORBIDDEN"}}, "FORBIDDEN", ""),
        ({"message": "m", "extensions": {"code": "NOT_FOUND"}}, "NOT_FOUND", NO_OPERATORS),
        ({"message": "m"}, "REMOTE", ""),
    ],
)
def test_errors_come_through_as_they_are(entry: dict[str, Any], code: str, hint: str) -> None:
    class Refusing(Elsewhere):
        def ask(self, path: str, question: Question) -> Response:
            return {"errors": [entry], "data": None}

    with pytest.raises(RemoteError) as caught:
        Operator(Refusing("", arrives_after=None, answers=None)).status()
    assert (caught.value.code, caught.value.hint) == (code, hint)
