"""Commands whose arguments are made of several options."""

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from lamdb.cli.app import CommandApp, OptionsOf

Width = Annotated[int, typer.Option(help="The width.")]
Height = Annotated[int, typer.Option(help="The height.")]


def size(width: Width = 1, height: Height = 2) -> tuple[int, int]:
    return width, height


def name(first: Annotated[str | None, typer.Option()] = None) -> str | None:
    return first


Size = Annotated[tuple[int, int], OptionsOf(size)]
Name = Annotated[str | None, OptionsOf(name)]


def called(*arguments: str) -> Any:
    """Returns the arguments of a command with a plain argument, a plain option and two combined ones."""
    app = CommandApp("A test.")
    got: list[Any] = []

    @app.command()
    def draw(*, who: Name, colour: Annotated[str, typer.Argument()], size: Size, thick: bool = False) -> None:
        """Draw it."""
        got.append((who, colour, size, thick))

    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, result.output
    return got[0] if got else result.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["red"], (None, "red", (1, 2), False)),
        (["red", "--height", "7"], (None, "red", (1, 7), False)),
        (["--width", "3", "red", "--thick", "--first", "a"], ("a", "red", (3, 2), True)),
    ],
)
def test_an_argument_is_made_of_its_options(arguments: list[str], expected: Any) -> None:
    assert called(*arguments) == expected


def test_help_lists_the_options_where_the_argument_stands() -> None:
    shown = called("--help")
    places = [shown.index(option) for option in ("--first", "--width", "--height", "--thick")]
    assert places == sorted(places)
    assert "Draw it." in shown
    assert "The width." in shown


def test_errors_of_what_makes_an_argument_are_those_of_the_command() -> None:
    def refuse(width: Width = 1) -> int:
        raise ValueError(f"{width} is too wide")

    app = CommandApp("A test.")

    @app.command()
    def draw(*, width: Annotated[int, OptionsOf(refuse)]) -> None:
        pytest.fail("it was called")

    result = CliRunner().invoke(app, ["--width", "9"])
    assert isinstance(result.exception, ValueError)
    assert "9 is too wide" in str(result.exception)
