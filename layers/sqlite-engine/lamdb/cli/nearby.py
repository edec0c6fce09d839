"""Hints for commands that were started in the wrong folder: where a project is."""

import os
from itertools import islice
from pathlib import Path
from typing import Final

from lamdb.settings import TOML_FILE

_LOOKED_AT: Final = 1000
"""Entries of the working directory."""


def project_hint(directory: Path | None = None) -> str:
    """Says where a lamdb.toml is, above the working directory or one level below it, or how to make one."""
    here = (directory or Path()).absolute()
    above = next((each for each in here.parents if _has_settings(each)), None)
    if above is not None:
        return f"{above / TOML_FILE} names one: cd {os.path.relpath(above, here)}"
    below = _below(here)
    if below:
        return f"There is a project in {below[0]}: cd {below[0]}"
    return "Begin a project that names one: lamdb init shop && cd shop"


def _below(here: Path) -> list[str]:
    try:
        with os.scandir(here) as entries:
            return sorted(each.name for each in islice(entries, _LOOKED_AT) if _has_settings(Path(each.path)))
    except OSError:
        return []


def _has_settings(folder: Path) -> bool:
    try:
        return (folder / TOML_FILE).is_file()
    except OSError:
        return False
