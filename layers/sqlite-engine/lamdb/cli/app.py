"""The layout of help, and the declaration of commands.

app = App("Check, format and show the schema.")

@app.command(epilog=examples("lamdb schema show --store file:///srv/shop"))
def show(…) -> None: …
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

import typer
from typer import core
from typer._coercion import PassThroughRuntimeParam, RuntimeParam

from lamdb.cli.help import write_help

DATA: Final = "Data"
SCHEMA: Final = "Schema"
STORE: Final = "Store and backups"
SERVICE: Final = "Service"
"""Headings of the commands in `lamdb -h`."""

_CALLED_WRONGLY: Final = 2
"""The exit code."""
_TAKEN_AS_GIVEN: Final = (str, bool)
"""Types of parameters that the parser itself makes."""
_MAKERS: Final[dict[Any, Callable[[Any], Any]]] = {Path: Path, list[str]: list}
"""How values of other types are made. typer would build a validator for each, and load pydantic for it."""


class Command(core.TyperCommand):
    """A command whose help is plain text, and whose texts and switches are taken as they are given."""

    def get_params(self, ctx: Any) -> Any:
        return _plain(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_help(self, ctx, formatter, lines_of(self.epilog))


class CommandGroup(core.TyperGroup):
    """The same for a group of commands. Without a command it prints its help, and fails."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit(_CALLED_WRONGLY)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> Any:
        return _plain(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        write_help(self, ctx, formatter, lines_of(self.epilog))


class CommandApp(typer.Typer):
    """A group of commands."""

    def __init__(self, help: str, *, name: str | None = None, epilog: str | None = None) -> None:
        super().__init__(
            name=name,
            help=help,
            epilog=epilog,
            cls=CommandGroup,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        )

    def command[F: Callable[..., Any]](  # type: ignore[override]
        self, name: str | None = None, *, rich_help_panel: str | None = None, epilog: str | None = None
    ) -> Callable[[F], F]:
        register = super().command(name, cls=Command, rich_help_panel=rich_help_panel, epilog=epilog)

        def declare(command: F) -> F:
            register(_expanded(command))
            return command

        return declare


@dataclass(frozen=True, slots=True)
class OptionsOf:
    """Marks an argument of a command that is made of several options: the parameters of `make`.

    Located = Annotated[Database, OptionsOf(locate)]
    """

    make: Callable[..., Any]


def _expanded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with all options of its combined arguments, as Typer reads them."""
    hints = get_type_hints(command, include_extras=True)
    makers: dict[str, Callable[..., Any]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        marks = getattr(hints.get(name), "__metadata__", ())
        combined = next((mark for mark in marks if isinstance(mark, OptionsOf)), None)
        if combined is None:
            parameters.append(_keyword(parameter, hints.get(name)))
            continue
        makers[name] = combined.make
        inner = get_type_hints(combined.make, include_extras=True)
        options = inspect.signature(combined.make).parameters
        parameters += [_keyword(option, inner[option.name]) for option in options.values()]
    if not makers:
        return command

    def expanded(**given: Any) -> Any:
        made = {
            name: make(**{option: given.pop(option) for option in inspect.signature(make).parameters})
            for name, make in makers.items()
        }
        return command(**given, **made)

    expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {each.name: each.annotation for each in parameters}
    return expanded


def _keyword(parameter: inspect.Parameter, annotation: Any) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "Examples:\n\n" + "\n".join(f"- `{line}`" for line in lines)


def lines_of(epilog: str | None) -> list[str]:
    """The commands in what `examples` made."""
    return [line[3:-1] for line in (epilog or "").splitlines() if line.startswith("- `")]


class _Made(RuntimeParam):
    """The value of a parameter with one of `_MAKERS`."""

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        return _MAKERS[self.annotation](value)


def _plain(params: Any) -> Any:
    """Sets how values are made, and leaves out defaults that the help names itself."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
        if "[default:" in (getattr(param, "help", None) or ""):
            param.show_default = False
        described = getattr(param, "type_descriptor", None)
        if described is None:
            continue
        if described.annotation in _TAKEN_AS_GIVEN:
            param._runtime_param = PassThroughRuntimeParam(described.parameter_info, described.annotation)
        elif described.annotation in _MAKERS:
            param._runtime_param = _Made(described.parameter_info, described.annotation)
    return params
