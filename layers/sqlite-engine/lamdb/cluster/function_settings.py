"""The settings of a function: those of its environment, with the memory that Lambda gives it."""

from collections.abc import Mapping
from typing import Final

from lamdb.memory import budget_of_function
from lamdb.settings import Settings, variable_name

_FUNCTION_MEMORY: Final = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
"""In MB. Set by Lambda's runtime."""


def function_settings(environ: Mapping[str, str]) -> Settings:
    """Raises `SettingsError`."""
    megabytes = environ.get(_FUNCTION_MEMORY)
    if megabytes is None or variable_name("memory") in environ:
        return Settings.load(environ)
    return Settings.load(environ, memory=str(budget_of_function(int(megabytes))))
