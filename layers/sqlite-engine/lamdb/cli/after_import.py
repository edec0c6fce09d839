"""The steps between an import and `lamdb serve`, in the order in which they work."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lamdb.deployment.own_project import OwnProject
from lamdb.deployment.project import Project
from lamdb.errors import MigrationError
from lamdb.settings import Settings

_SHOWN = 12
"""How many names and commands are printed."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing to do, and the commands that do it, if there are any."""

    text: str
    commands: tuple[str, ...] = ()


def of_history(history: Sequence[str], migrations: Path) -> list[NextStep]:
    """The steps after the import of a file whose history of migrations has no project."""
    if not history:
        return []
    return [NextStep(f"Copy the file's own migrations into {migrations}: {_listed(history)}.")]


def of_project(own: OwnProject, settings: Settings) -> list[NextStep]:
    """The steps after the import of a file into a project: those without which no server starts."""
    project = Project(own.project.directory)  # with the migration that the import has written
    status, options = own.status, _options(settings, project.directory)
    resolve = f"lamdb migrate resolve {options}"
    steps = []
    if status.failed:
        text = "Repair what failed migrations left behind, and record each as applied or as rolled back"
        commands = (f"{resolve} --applied NAME", f"{resolve} --rolled-back NAME")
        steps.append(NextStep(f"{text}: {_listed(status.failed)}.", commands))
    if status.edited:
        text = "Restore the scripts of migrations that were edited after they were applied"
        steps.append(NextStep(f"{text}: {_listed(status.edited)}."))
    if status.missing:
        folder = project.layout.migrations
        steps.append(NextStep(f"Copy the file's own migrations into {folder}: {_listed(status.missing)}."))
    if status.unrecorded and status.pending and own.baseline is None:
        text = (
            "The file has no record of migrations. Record those whose changes it has, in this order; "
            "`lamdb serve` applies the others."
        )
        shown = [f"{resolve} --applied {shlex.quote(name)}" for name in status.pending[:_SHOWN]]
        rest = len(status.pending) - len(shown)
        steps.append(NextStep(text, (*shown, *([f"… and {rest} more"] if rest else []))))
    elif not status.missing and _is_unmigrated(project):
        text = "Make the migration of what the schema has and no migration makes."
        steps.append(NextStep(text, (f"lamdb migrate dev {options} --name NAME",)))
    return steps


def lines(steps: Sequence[NextStep], settings: Settings, directory: Path) -> Iterator[str]:
    """The steps as they are printed, with the command that serves behind them."""
    for number, step in enumerate(steps):
        if not number:
            yield "\nBefore it can be served:"
        yield step.text
        yield from (f"  {command}" for command in step.commands)
    yield "\nThen serve it:" if steps else "\nServe it:"
    yield f"  lamdb serve {_options(settings, directory)}"


def _options(settings: Settings, directory: Path) -> str:
    return shlex.join(["--store", str(settings.store), "--database", str(directory)])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _is_unmigrated(project: Project) -> bool:
    try:
        project.require_migrated()
    except MigrationError:
        return True
    return False
