"""Declares `lamdb doctor --aws`: checks before a deployment."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamdb.cli.app import SERVICE, CommandApp, examples
from lamdb.cli.options import Out
from lamdb.errors import UsageError

if TYPE_CHECKING:
    from lamdb.cli.checks import CheckResult

Aws = Annotated[bool, typer.Option("--aws", help="Check AWS and this machine before a deployment.")]
ConfigFile = Annotated[Path, typer.Option(metavar="FILE", help="SAM's configuration file.")]
ConfigEnv = Annotated[str, typer.Option(metavar="NAME", help="The environment in that file.")]


def register(app: CommandApp) -> None:
    """Makes it a command of `app`."""
    app.command(
        "doctor",
        rich_help_panel=SERVICE,
        epilog=examples("lamdb doctor --aws", "lamdb doctor --aws --config-env prod"),
    )(doctor)


def doctor(
    *,
    aws: Aws = False,
    config_file: ConfigFile = Path("samconfig.toml"),
    config_env: ConfigEnv = "default",
    output: Out,
) -> int:
    """Check for causes that would make a deployment fail. Exit code 1 if there is one."""
    if not aws:
        raise UsageError("nothing was named to check", hint="Check an AWS account: lamdb doctor --aws")
    from lamdb.cli import checks

    plan = checks.read_plan(config_file, config_env)
    template = config_file.with_name("template.yaml")
    found = [*checks.unknown_parameters(plan, template), *checks.local(plan), *checks.remote(plan)]
    output.result([asdict(each) for each in found], _lines(found))
    return int(any(each.verdict == "failed" for each in found))


def _lines(found: "Sequence[CheckResult]") -> Iterator[str]:
    for each in found:
        yield f"{each.verdict:7} {each.check}: {each.found}"
        if each.advice:
            yield f"        {each.advice}"
