"""The implementation of `lamdb migrate`, and its output."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from lamdb.cli import remote_migrate
from lamdb.cli.confirm import confirm, is_interactive
from lamdb.cli.options import Located
from lamdb.cli.output import CommandOutput, lines_of_values
from lamdb.cli.remote import Operator
from lamdb.cli.targets import open_target
from lamdb.deployment import deploy as deployment
from lamdb.deployment import develop
from lamdb.deployment.deploy import Deployment
from lamdb.deployment.project import Project
from lamdb.deployment.seed import apply_seed
from lamdb.errors import MigrationError, UsageError
from lamdb.prisma.datamodel.layout import SchemaLayout
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import MIGRATION_FILE, Migration, read_migrations
from lamdb.prisma.migrate.schema_engine import DiffTarget, SchemaEngine
from lamdb.prisma.migrate.snapshot import snapshot
from lamdb.server.instance import open_database, serving
from lamdb.settings import Settings
from lamdb.storage import Database


def dev(
    settings: Settings, name: str | None, *, create_only: bool, accept: bool, output: CommandOutput
) -> None:
    project = Project.at(settings.database)
    with open_database(settings) as database:
        plan = develop.plan(database, project, accept_loss=accept)
        created = None
        if plan.loss.steps:
            output.announce(f"warning: {message}" for message in plan.warnings)
            if create_only:
                output.announce(f"impossible: {message}" for message in plan.loss.unexecutable)
            else:
                _accept_loss(plan, accept=accept)
            created = migrate.create(project.directory, _name(name, output=output))
        done = (
            None
            if create_only
            else deployment.deploy(database, Project.at(settings.database), accept_loss=accept)
        )
    lines = [f"Created {_script(project, created)}"] if created is not None else []
    if done is None:
        lines.append("Nothing was applied." if created else "The migrations already lead to the schema.")
    elif done.applied or done.schema_changed:
        lines += _deployment_lines(done)
    else:
        lines.append("Already in sync: nothing changed in the schema, and no migration is pending.")
    loss = {"warnings": plan.warnings, "unexecutable": plan.loss.unexecutable}
    output.result({"created": created.name if created else None, **loss, **_deployment_json(done)}, lines)


def create(settings: Settings, name: str, *, draft: bool, output: CommandOutput) -> None:
    project = Project.at(settings.database)
    prepared = migrate.prepare(project.directory, name, draft=draft)
    created = None if prepared is None else migrate.write(project.directory, prepared)
    lost = () if prepared is None else tuple(loss.message for loss in prepared.lost)
    if created is None:
        lines = ["The migrations already lead to the schema: there is nothing to create."]
    else:
        lines = [f"warning: the migration takes away {each}" for each in lost]
        lines.append(f"Created {_script(project, created)}")
    output.result({"created": created.name if created else None, "lost": lost}, lines)


def deploy(
    located: Located, *, dry_run: bool, allow_unmigrated: bool, accept: bool, output: CommandOutput
) -> None:
    project = Project.at(located.settings.database)
    answer_lost = False
    if located.is_store:
        done = _deploy(
            located.settings,
            project,
            dry_run=dry_run,
            allow_unmigrated=allow_unmigrated,
            accept=accept,
            output=output,
        )
    else:
        with open_target(located) as target:
            made = remote_migrate.deploy(
                Operator(target),
                project,
                dry_run=dry_run,
                allow_unmigrated=allow_unmigrated,
                accept_loss=accept,
                output=output,
            )
        done, answer_lost = made.deployment, made.answer_lost
    if dry_run:
        lines = [
            f"would apply {each.name}: {each.milliseconds:g} ms, {each.changed_rows} rows changed"
            for each in done.applied
        ]
        lines += lines_of_values(done.values)
        lines.append(f"Nothing was kept. The store is at transaction {done.txid}.")
    else:
        lost = "The answer was lost on the way; the database has what was to be deployed."
        lines = [*([lost] if answer_lost else []), *_deployment_lines(done)]
    output.result({"dryRun": dry_run, **_deployment_json(done, measured=not answer_lost)}, lines)


def _deploy(
    settings: Settings,
    project: Project,
    *,
    dry_run: bool,
    allow_unmigrated: bool,
    accept: bool,
    output: CommandOutput,
) -> Deployment:
    with open_database(settings) as database:
        if project.has_migrations and not allow_unmigrated:
            deployment.require_migrated(database, project)
        with output.waiting("trying the migrations" if dry_run else "deploying"):
            return deployment.deploy(database, project, dry_run=dry_run, accept_loss=accept)


def status(located: Located, *, output: CommandOutput) -> bool:
    """True if store, migrations and schema agree."""
    project = Project.at(located.settings.database)
    standing, txid = _standing(located, project)
    lists = {key: value for key, value in asdict(standing.status).items() if key != "unrecorded"}
    unmigrated = {"unmigrated": standing.unmigrated, "upToDate": standing.up_to_date}
    output.result({"txid": txid, **lists, "drift": standing.drift, **unmigrated}, _status_lines(standing))
    return standing.up_to_date


def _status_lines(standing: develop.ProjectStatus) -> Iterator[str]:
    found = standing.status
    problems = {**dict.fromkeys(found.edited, "edited since"), **dict.fromkeys(found.missing, "file missing")}
    for name, mark in [
        *((name, "applied") for name in found.applied),
        *((name, "pending") for name in found.pending),
        *((name, "failed") for name in found.failed),
    ]:
        yield f"{mark}{f', {problems[name]}' if name in problems else ''}: {name}"
    if standing.drift:
        yield "The tables are not what the migrations make; they were changed otherwise:"
        yield f"\n{standing.drift}\n"
    if standing.unmigrated:
        yield "The schema has changes that no migration has: run `lamdb migrate dev`."
    if found.pending:
        yield "The store lacks migrations: run `lamdb migrate deploy`."
    if standing.up_to_date:
        yield "The store, the migrations and the schema agree."


def _standing(located: Located, project: Project) -> tuple[develop.ProjectStatus, int]:
    """How the database stands to the project, and its newest transaction."""
    if located.is_store:
        with open_database(located.settings, create=False) as database:
            return develop.standing(database, project), database.txid
    with open_target(located) as target:
        operator = Operator(target)
        found = remote_migrate.standing(operator, project.migrations)
        drift = remote_migrate.drift(operator, found.status, project.migrations)
    unmigrated = project.has_migrations and project.unmigrated() is not None
    return develop.ProjectStatus(found.status, drift, unmigrated), found.txid


def diff(
    settings: Settings, source: str | None, target: str | None, *, script: bool, output: CommandOutput
) -> bool:
    """True if the two states differ."""
    start = (
        _state(source, settings)
        if source
        else read_migrations(Project.at(settings.database).layout.migrations)
    )
    end = _state(target, settings) if target else Project.at(settings.database).schema
    with SchemaEngine() as engine:
        summary = engine.diff(start, end, script=False).strip()
        differs = not summary.startswith("No difference")
        sql = engine.diff(start, end) if differs and (script or output.is_json) else ""
    text = sql.removesuffix("\n") if script and differs else summary
    output.result({"differs": differs, "summary": summary if differs else "", "script": sql}, text)
    return differs


def resolve(located: Located, applied: str | None, rolled_back: str | None, *, output: CommandOutput) -> None:
    name = applied or rolled_back
    if name is None or (applied and rolled_back):
        raise UsageError("say one of --applied NAME and --rolled-back NAME")
    migrations = Project.at(located.settings.database).migrations
    if located.is_store:
        with open_database(located.settings, create=False) as database:
            if applied is not None:
                deployment.mark_applied(database, name, migrations)
            else:
                deployment.mark_rolled_back(database, name)
            txid = database.txid
    else:
        with open_target(located) as target:
            operator = Operator(target)
            operator.resolve(name, "APPLIED" if applied else "ROLLED_BACK", migrations)
            txid = remote_migrate.standing(operator, migrations).txid
    mark = "applied" if applied is not None else "rolled back"
    text = f"{name} is recorded as {mark}, at transaction {txid}."
    output.result({"migration": name, "marked": mark, "txid": txid}, text)


def reset(located: Located, *, force: bool, skip_seed: bool, output: CommandOutput) -> None:
    project = Project.at(located.settings.database)
    reset_one = _reset if located.is_store else _reset_elsewhere
    done = reset_one(located, project, force=force, skip_seed=skip_seed, output=output)
    lines = [*_deployment_lines(done.deployment)]
    if done.seeded:
        lines.append(f"executed the seed, at transaction {done.txid}")
    if done.before:
        where = "" if located.is_store else f" --store {done.store}"
        lines.append(f"To undo the reset: lamdb restore --in-place --txid {done.before} --yes{where}")
    made = {**_deployment_json(done.deployment), "txid": done.txid}
    output.result({"before": done.before, "seeded": done.seeded, **made}, lines)


class _ResetDone(NamedTuple):
    before: int
    deployment: Deployment
    seeded: bool
    txid: int
    store: str


def _reset(
    located: Located, project: Project, *, force: bool, skip_seed: bool, output: CommandOutput
) -> _ResetDone:
    settings = located.settings
    with open_database(settings) as database:
        before = database.txid
        if not force:
            confirm(f"Drop all tables of {database.url}, with their data?", "--force")
        done = deployment.reset(database, project)
        seeded = not skip_seed and project.seed is not None and _plant(settings, database, project.seed)
        return _ResetDone(before, done, seeded, database.txid, database.url)


def _reset_elsewhere(
    located: Located, project: Project, *, force: bool, skip_seed: bool, output: CommandOutput
) -> _ResetDone:
    with open_target(located) as target:
        operator = Operator(target)
        if not force:
            confirm(f"Drop all tables of {target.name}, with their data?", "--force")
        store = operator.status()["database"]["store"]
        before, done = remote_migrate.reset(operator, project, store, output=output)
        seeded = not skip_seed and remote_migrate.plant(operator, project)
        txid = remote_migrate.standing(operator, project.migrations).txid if seeded else done.txid
        return _ResetDone(before, done, seeded, txid, store)


def push(settings: Settings, *, accept: bool, force_reset: bool, output: CommandOutput) -> None:
    schema = Project.at(settings.database).schema
    with open_database(settings) as database:
        if force_reset and not accept:
            confirm(f"Drop all tables of {database.url}, with their data?", "--accept-data-loss")
        pushed, values = deployment.push(database, schema, force=accept, reset=force_reset)
        txid = database.txid
    if pushed.executed_steps:
        lines = [f"The tables are those of the schema now, at transaction {txid}."]
    else:
        lines = ["The tables were those of the schema already."]
    for view in pushed.missing_views:
        lines.append(f"warning: there is no view {view}: it is not in the API until a migration makes it")
    lines += lines_of_values(values)
    found = {"steps": pushed.executed_steps, "warnings": pushed.warnings, "txid": txid}
    columns = [asdict(each) for each in values]
    output.result({**found, "values": columns, "missingViews": pushed.missing_views}, lines)


def _accept_loss(plan: develop.SchemaSteps, *, accept: bool) -> None:
    if plan.loss.unexecutable:
        raise MigrationError(
            "The schema cannot be reached with the data that is there: " + " ".join(plan.loss.unexecutable),
            hint="Give new columns a default, or values by hand: lamdb migrate dev --create-only writes the "
            "script, and docs/migrations.md#by-hand shows what to add to it before lamdb migrate deploy.",
        )
    if plan.warnings and not accept:
        if not is_interactive():
            raise MigrationError(
                "The migration would lose data: " + " ".join(plan.warnings),
                hint="Give --accept-data-loss, or edit it first: lamdb migrate dev --create-only",
            )
        confirm("Create and apply this migration?", "--accept-data-loss")


def _name(name: str | None, *, output: CommandOutput) -> str:
    if name is not None:
        return name
    if output.is_json or not is_interactive():
        return ""
    return input("Name of the new migration: ")


def _state(text: str, settings: Settings) -> DiffTarget:
    if text == "empty":
        return None
    if "://" in text:
        with (
            open_database(replace(settings, store=text), create=False) as database,
            database.reader() as connection,
        ):
            return [snapshot(connection)]
    path = Path(text)
    if path.is_dir() and not SchemaLayout.of(path).sources:
        return read_migrations(path)
    return PrismaSchema.load(path)


def _plant(settings: Settings, database: Database, seed: str) -> bool:
    served = serving(settings).newest(database)
    return apply_seed(served.api, database, served.stored.schema, seed)


def _script(project: Project, migration: Migration) -> Path:
    return project.layout.migrations / migration.name / MIGRATION_FILE


def _deployment_lines(done: Deployment) -> Iterator[str]:
    for each in done.applied:
        yield f"applied {each.name}"
    if done.schema_changed and not done.applied:
        yield "stored the schema"
    yield from lines_of_values(done.values)
    yield f"The store is up to date, at transaction {done.txid}."


def _deployment_json(done: Deployment | None, *, measured: bool = True) -> dict[str, object]:
    if done is None:
        return {"applied": []}
    applied = [
        {
            "name": each.name,
            "milliseconds": each.milliseconds if measured else None,
            "changedRows": each.changed_rows if measured else None,
        }
        for each in done.applied
    ]
    values = [asdict(each) for each in done.values]
    return {"applied": applied, "schemaChanged": done.schema_changed, "txid": done.txid, "values": values}
