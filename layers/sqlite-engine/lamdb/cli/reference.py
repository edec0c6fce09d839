"""The commands as Markdown: the generated part of `docs/cli.md` (`python -m lamdb.cli.reference`)."""

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer import core

from lamdb.cli.app import lines_of
from lamdb.cli.main import app
from lamdb.cli.options import WHERE

_ANCHOR = WHERE.lower().replace(" ", "-")


def commands() -> dict[str, core.TyperCommand]:
    """Every command by what is typed, such as `lamdb migrate deploy`."""
    return dict(_commands(typer.main.get_command(app), "lamdb"))


def reference() -> str:
    """The options that name a database, then a section for each command: what it does, how it is called."""
    sections = [_section(path, command) for path, command in commands().items()]
    return "\n".join([_where(commands().values()), *sections])


def _commands(command: object, path: str) -> Iterator[tuple[str, core.TyperCommand]]:
    if isinstance(command, core.TyperGroup):
        for name, inner in command.commands.items():
            yield from _commands(inner, f"{path} {name}")
        return
    assert isinstance(command, core.TyperCommand)
    yield path, command


def _where(every: Any) -> str:
    """The options under the heading of those that name a database, each once."""
    found = {
        option.opts[0] + str(option.help): option for each in every for option in _options(each, where=True)
    }
    return "\n".join([f"### {WHERE}\n", *_table(found.values()), ""])


def _section(path: str, command: core.TyperCommand) -> str:
    arguments = [each for each in command.params if isinstance(each, core.TyperArgument)]
    usage = " ".join([path, *(f"<{each.name}>" for each in arguments), "[options]"])
    lines = [f"### `{path}`\n", f"{command.help}\n", "```sh", usage]
    lines += ["", *examples] if (examples := lines_of(command.epilog)) else []
    lines += ["```\n", *_table([*arguments, *_options(command, where=False)])]
    if where := _options(command, where=True):
        names = ", ".join(f"`{_names(option)}`" for option in where)
        lines.append(f"\n[{WHERE}](#{_ANCHOR}): {names}")
    return "\n".join([*lines, ""])


def _options(command: core.TyperCommand, *, where: bool) -> list[core.TyperOption]:
    options = [each for each in command.params if isinstance(each, core.TyperOption)]
    return [option for option in options if (option.rich_help_panel == WHERE) is where]


def _table(parameters: Any) -> Sequence[str]:
    return ["| | |", "|---|---|", *(f"| `{_names(each)}` | {each.help} |" for each in parameters)]


def _names(parameter: core.TyperArgument | core.TyperOption) -> str:
    if isinstance(parameter, core.TyperArgument):
        return f"<{parameter.name}>"
    value = "" if parameter.is_flag else f" {parameter.metavar or 'TEXT'}"
    return "/".join([*parameter.opts, *parameter.secondary_opts]) + value


if __name__ == "__main__":
    print(reference(), end="")
