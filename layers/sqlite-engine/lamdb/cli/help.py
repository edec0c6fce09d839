"""The text of `-h`: plain, in two columns, under the headings that commands and options are declared with.

typer would print it with rich and its parser of Markdown, whose modules take as long to load as all others
of the command line together.
"""

import os
from collections.abc import Iterable
from typing import Any, Final

import typer
from typer import core

OPTIONS: Final = "Options"
ARGUMENTS: Final = "Arguments"
COMMANDS: Final = "Commands"

_FEWEST_COLUMNS: Final = 24
"""Left for the explanations, in the narrowest terminal."""


def write_help(command: Any, context: Any, formatter: Any, examples: Iterable[str]) -> None:
    """Write a command's usage, explanation, parameters, commands and examples."""
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
    headings: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], OPTIONS: []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            is_argument = isinstance(parameter, core.TyperArgument)
            name = (parameter.metavar or parameter.name) if is_argument else record[0].strip()
            heading = getattr(parameter, "rich_help_panel", None) or (ARGUMENTS if is_argument else OPTIONS)
            headings.setdefault(heading, []).append((name, record[1]))
    if isinstance(command, core.TyperGroup):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                heading = getattr(found, "rich_help_panel", None) or COMMANDS
                headings.setdefault(heading, []).append((name, found.get_short_help_str(10_000)))
    for heading, rows in headings.items():
        if not rows:
            continue
        with formatter.section(_styled(heading, bold=True)):
            formatter.write_dl(
                [(_styled(name, fg="cyan"), text) for name, text in rows], _columns(formatter.width)
            )
    if lines := list(examples):
        with formatter.section(_styled("Examples", bold=True)):
            for line in lines:
                # Not wrapped, so that it can be copied.
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _columns(width: int) -> int:
    return max(_FEWEST_COLUMNS, width // 3)


def _styled(text: str, **style: Any) -> str:
    """The text with the codes of a terminal, which typer takes out again where there is none."""
    return text if "NO_COLOR" in os.environ else typer.style(text, **style)
