"""Finds the project that the tests of a folder belong to."""

import tomllib
from functools import cache
from pathlib import Path

from lamdb.errors import SettingsError
from lamdb.prisma.datamodel.layout import default_directory, has_schema
from lamdb.settings import TOML_FILE


@cache
def project_above(folder: Path) -> Path | None:
    """The project of the nearest folder that has one, from `folder` upwards; None if there is none.

    A folder has a project if its lamdb.toml names one, or where commands look by default. Raises
    `SettingsError` for a lamdb.toml that cannot be read.
    """
    for each in (folder, *folder.parents):
        found = _named(each) or default_directory(each)
        if found.is_file() or has_schema(found):
            return found
    return None


def _named(folder: Path) -> Path | None:
    """The directory that lamdb.toml names."""
    path = folder / TOML_FILE
    if not path.is_file():
        return None
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("database")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}", hint="Correct the file.") from None
    return folder / name if isinstance(name, str) else None
