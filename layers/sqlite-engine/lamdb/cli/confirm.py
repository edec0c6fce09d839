"""Confirmation before data is lost: interactively, or by an option in scripts."""

import sys

import typer

from lamdb.errors import SettingsError

CANCELLED = 130


def is_interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def confirm(question: str, flag: str) -> None:
    """Returns if the answer is yes; otherwise the command ends with 130. Raises `SettingsError` if there is
    no terminal to ask at: `flag` is what would have said yes."""
    if not is_interactive():
        raise SettingsError(f"{question} There is no terminal to ask on.", hint=f"Confirm with {flag}.")
    if not typer.confirm(question):
        print("Cancelled. Nothing was changed.")
        raise typer.Exit(CANCELLED)
