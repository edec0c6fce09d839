"""The `lamdb` command. Nothing heavy is imported before a command needs it."""

from lamdb.cli.main import main

__all__ = ["main"]
