"""The commands as Markdown: the generated part of `docs/cli.md` (`python -m lamdb.cli.reference`)."""

from collections.abc import Iterator

import typer
from typer import core

from lamdb.cli.main import app


def reference() -> str:
    """A section for each command: what it does, how it is called, its arguments and options."""
    return "\n".join(_sections(typer.main.get_command(app), "lamdb"))


def _sections(command: object, path: str) -> Iterator[str]:
    if isinstance(command, core.TyperGroup):
        for name, inner in command.commands.items():
            yield from _sections(inner, f"{path} {name}")
        return
    assert isinstance(command, core.TyperCommand)
    arguments = [each for each in command.params if isinstance(each, core.TyperArgument)]
    options = [each for each in command.params if isinstance(each, core.TyperOption)]
    usage = " ".join([path, *(f"<{each.name}>" for each in arguments), "[options]"])
    yield f"### `{path}`\n\n{command.help}\n\n```sh\n{usage}\n```\n"
    yield "| | |\n|---|---|"
    for argument in arguments:
        yield f"| `<{argument.name}>` | {argument.help} |"
    for option in options:
        value = "" if option.is_flag else f" {option.metavar or 'TEXT'}"
        yield f"| `{option.opts[0]}{value}` | {option.help} |"
    yield ""


if __name__ == "__main__":
    print(reference(), end="")
