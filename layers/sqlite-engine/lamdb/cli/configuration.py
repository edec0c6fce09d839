"""Settings of a working directory: `lamdb.toml` and `.env`.

    store = ".lamdb/store"      # lamdb.toml: names of settings in lower case
    LAMDB_STORE=.lamdb/store    # .env: the variables

Options of commands win over the environment, that over `.env`, that over `lamdb.toml`. Only commands read
these files: a function on AWS has its variables alone.
"""

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lamdb.errors import SettingsError
from lamdb.settings import PREFIX, TOML_FILE, specs, variable_name

ENV_FILE: Final = ".env"

_OF_COMPOSE: Final = frozenset(("LAMDB_PROJECT", "LAMDB_IMAGE", "LAMDB_S3_PORT"))
"""Variables of compose.yaml, which Docker reads from the same file."""
_LINE: Final = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*?)\s*")
_QUOTED: Final = re.compile(r"(?P<quote>['\"])(?P<text>.*)(?P=quote)\s*(?:#.*)?")


def environment(
    environ: Mapping[str, str], places: Collection[str], directory: Path | None = None
) -> dict[str, str]:
    """The environment with the settings of the files beneath it. Raises `SettingsError`.

    `places` are settings that exclude each other: one that is set overrides those set on a lower level.
    `directory` is the working directory unless it is given.
    """
    root = directory or Path()
    variables = {variable_name(name) for name in places}
    merged: dict[str, str] = {}
    for level in (_toml(root / TOML_FILE), _env(root / ENV_FILE), environ):
        if any(level.get(name) for name in variables):
            merged = {name: text for name, text in merged.items() if name not in variables}
        merged.update(level)
    return merged


def _toml(path: Path) -> dict[str, str]:
    text = _read(path)
    if text is None:
        return {}
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    known = specs()
    found = {}
    for name, value in content.items():
        if name not in known:
            raise _unknown(f"{path}: there is no setting {name!r}", name, known)
        found[variable_name(name)] = _checked(path, name, _text(path, name, value))
    return found


def _env(path: Path) -> dict[str, str]:
    """The settings in a `.env`; variables of other programs are passed over."""
    found = {}
    for number, line in enumerate((_read(path) or "").splitlines(), 1):
        entry = _LINE.fullmatch(line)
        name = entry["name"] if entry else ""
        if entry is None or not name.startswith(PREFIX) or name in _OF_COMPOSE:
            continue
        setting = name.removeprefix(PREFIX).lower()
        if setting not in specs() or name != variable_name(setting):
            variables = map(variable_name, specs())
            raise _unknown(f"{path}:{number}: there is no setting {name}", name, variables)
        quoted = _QUOTED.fullmatch(entry["value"])
        text = quoted["text"] if quoted else re.sub(r"(^|\s)#.*$", "", entry["value"])
        found[name] = _checked(path, setting, text)
    return found


def _unknown(message: str, name: str, known: Iterable[str]) -> SettingsError:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return SettingsError(
        message,
        hint=f"Did you mean {near[0]}? docs/settings.md lists all." if near else None,
        meta={"setting": name},
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or f"it is not UTF-8: {error}"
        raise SettingsError(
            f"{path} cannot be read: {reason}", hint="Check the file, and its permissions."
        ) from None


def _text(path: Path, name: str, value: Any) -> str:
    """The value as a variable would have it."""
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            raise SettingsError(
                f"{path}: {name} is neither a text, a number, true, false nor a list of texts",
                meta={"setting": name},
            )


def _checked(path: Path, name: str, text: str) -> str:
    spec = specs()[name]
    try:
        spec.parse(text)
    except ValueError as error:
        shown = "given" if spec.secret else repr(text)
        raise SettingsError(f"{path}: {name} is {shown}: {error}", meta={"setting": name}) from None
    return text
