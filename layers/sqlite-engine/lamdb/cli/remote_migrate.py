"""`lamdb migrate` on a remote lamDB, through its operator API.

Scripts and schema are sent as a whole; the remote lamDB treats them like a local deployment.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamdb.cli.output import CommandOutput
from lamdb.cli.remote import LOST, Operator
from lamdb.deployment.apply import Applied, Deployment
from lamdb.deployment.develop import drift_of
from lamdb.deployment.project import Project
from lamdb.errors import LamdbError, MigrationError, RemoteUnavailable
from lamdb.graphql import stored_schema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrate import MigrationRecord, Status
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.settling import SettledColumn

PATIENCE: Final = 30.0
"""Seconds for which a deployment is looked for whose answer was lost."""

_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """How the history of a database elsewhere stands to a project's."""

    status: Status
    txid: int
    schema_hash: str | None


@dataclass(frozen=True, slots=True)
class RemoteDeployment:
    """A deployment elsewhere. If its answer was lost, times and rows in it are not known."""

    deployment: Deployment
    answer_lost: bool = False


def standing(operator: Operator, migrations: Sequence[Migration]) -> RemoteStatus:
    found = operator.history()
    history = [
        MigrationRecord(
            each["name"], each["checksum"], each["finishedAt"] is not None, each["rolledBackAt"] is not None
        )
        for each in found["migrations"]
    ]
    database = found["database"]
    return RemoteStatus(migrate.compare(history, migrations), database["txid"], database["schemaHash"])


def drift(operator: Operator, found: Status, migrations: Sequence[Migration]) -> str | None:
    """How the tables differ from what the applied migrations make; None also if the histories disagree."""
    if not found.applied or found.edited or found.missing or found.failed:
        return None
    return drift_of(Migration("0_tables", operator.tables()), found.applied, migrations)


def deploy(
    operator: Operator,
    project: Project,
    *,
    dry_run: bool,
    allow_unmigrated: bool,
    output: CommandOutput,
    accept_loss: bool = False,
) -> RemoteDeployment:
    """Raises `MigrationError`, `SchemaError`, `RemoteError`, and what `Target.ask` raises."""
    if not project.has_migrations:
        raise MigrationError(
            f"{project.directory} has no migrations.",
            hint=f"Create the first: lamdb migrate create init --database {project.directory}",
        )
    before = standing(operator, project.migrations)
    before.status.check()
    if not allow_unmigrated:
        project.require_migrated()
    try:
        with output.waiting("trying the migrations" if dry_run else "deploying"):
            made = operator.migrate(
                project.migrations, dict(project.schema.files), dry_run=dry_run, accept_loss=accept_loss
            )
    except LamdbError as error:
        if dry_run or error.code not in LOST:
            raise
        return RemoteDeployment(_found_afterwards(operator, project, before, error), answer_lost=True)
    values = tuple(SettledColumn(**each) for each in made["values"])
    return RemoteDeployment(
        Deployment(_applied(made["applied"]), made["schemaChanged"], made["txid"], values)
    )


def reset(
    operator: Operator, project: Project, store: str, *, output: CommandOutput
) -> tuple[int, Deployment]:
    """The transaction before it, and what it did; `store` is the URL that is meant. Raises as `deploy`."""
    with output.waiting("resetting"):
        made = operator.reset(store, project.migrations, dict(project.schema.files))
    values = tuple(SettledColumn(**each) for each in made["values"])
    return made["before"], Deployment(_applied(made["applied"]), True, made["txid"], values)


def plant(operator: Operator, project: Project) -> bool:
    """Execute the project's seed if every table is empty; whether it was. Raises `RemoteError`."""
    if project.seed is None:
        return False
    models = [model["name"] for model in project.schema.datamodel["models"]]
    looks = " ".join(
        f"m{number}: findMany{name}(take: 1) {{ __typename }}" for number, name in enumerate(models)
    )
    if any(operator.query(f"{{ {looks} }}").values()):
        return False
    operator.query(project.seed)
    return True


def _applied(entries: Sequence[dict[str, Any]]) -> tuple[Applied, ...]:
    return tuple(Applied(each["name"], each["milliseconds"], each["changedRows"]) for each in entries)


def _plain(schema_hash: str | None) -> str | None:
    """The schema hash without the suffix for views that the database lacks."""
    return None if schema_hash is None else schema_hash.partition("-")[0]


def _found_afterwards(
    operator: Operator, project: Project, before: RemoteStatus, lost: LamdbError
) -> Deployment:
    """Finds out in the database what a deployment did whose response was lost. Raises `RemoteUnavailable`."""
    wanted = stored_schema.hash_of(project.schema)
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            now = standing(operator, project.migrations)
        except LamdbError as error:
            if error.code not in LOST:
                raise
        else:
            if not now.status.pending and _plain(now.schema_hash) == wanted:
                applied = tuple(Applied(name, 0.0, 0) for name in before.status.pending)
                return Deployment(applied, _plain(before.schema_hash) != wanted, now.txid)
        if time.monotonic() >= ends:
            raise RemoteUnavailable(
                f"The response was lost, and the database does not have the migrations yet: {lost.message}",
                hint="Deploy again: migrations that were applied meanwhile are not applied twice.",
            )
        time.sleep(_PAUSE)
