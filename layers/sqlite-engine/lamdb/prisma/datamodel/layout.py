"""Where a project keeps its schema and its migrations: the folder conventions of Prisma and of lamDB.

    layout = Layout.of(Path("."))
    layout.sources        # [prisma/schema/user.prisma, prisma/schema/shop.prisma]
    layout.migrations     # prisma/migrations

A path names a schema file, a folder of them, or a folder that holds such a folder. Copies of schemas in
`migrations/`, `generated/`, `node_modules/` and hidden folders are never read.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.config_blocks import config_blocks

DEFAULT_FILE: Final = "schema.prisma"
DEFAULT_DIRECTORY: Final = "database"
"""The folder of lamDB's own projects."""

MIGRATIONS_DIRECTORY: Final = "migrations"

_SKIPPED: Final = frozenset((MIGRATIONS_DIRECTORY, "generated", "node_modules"))
_PRISMA_FOLDER: Final = "prisma"
_CONFIG_FILES: Final = tuple(
    f"{folder}prisma{ending}"
    for folder in ("", ".config/")
    for ending in (".config.ts", ".config.mts", ".config.js", ".config.mjs", ".config.cts", ".config.cjs")
)
_COMMENT: Final = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|//[^\n]*|/\*.*?\*/""", re.DOTALL
)
_QUOTED: Final = r"""["'`](?P<path>[^"'`$\n]+)["'`]"""
_VALUE: Final = rf"""(?:{_QUOTED}|(?:path\.)?(?:join|resolve)\((?P<parts>[^()]*)\))"""
_SCHEMA_KEY: Final = re.compile(rf"""\bschema["']?\s*:\s*{_VALUE}""")
_MIGRATIONS_KEY: Final = re.compile(rf"""\bmigrations["']?\s*:\s*\{{[^{{}}]*?\bpath["']?\s*:\s*{_VALUE}""")


@dataclass(frozen=True, slots=True)
class SchemaLayout:
    """The files of one schema, and the folder of its migrations."""

    root: Path
    """The folder that the names of the schema's files are relative to."""
    sources: tuple[Path, ...]
    """Files with the ending `.prisma`, in the order of their paths; empty if there are none."""
    migrations: Path
    """The folder of the migrations, which need not exist."""

    @classmethod
    def of(cls, path: Path) -> "SchemaLayout":
        """The layout of a schema file or of a folder. Raises `SchemaError` for a file that is not UTF-8."""
        return _resolved(path, _hint(path)) or cls(path, (), path / MIGRATIONS_DIRECTORY)


def default_directory(root: Path = Path()) -> Path:
    """The project that commands use unless one is named, below the folder `root`.

    `database`, if it has a schema; else what package.json or prisma.config.ts names, `prisma/`, or the folder
    itself if it has a schema; else `database` again.
    """
    own = root / DEFAULT_DIRECTORY
    if has_schema(own):
        return own
    if _hint(root) is not None:
        # The folder itself, so that the migrations' path in prisma.config.ts counts as well.
        return root
    if has_schema(root / _PRISMA_FOLDER):
        return root / _PRISMA_FOLDER
    return root if (root / DEFAULT_FILE).is_file() else own


def schema_files(directory: Path) -> list[Path]:
    """The files of the one schema that a folder and those below it hold, in the order of their paths.

    As with Prisma, all `*.prisma` files are one schema. Where several declare a datasource they are
    alternatives, such as copies for another database: `schema.prisma` is preferred, or else the first, and
    the others are left out with what lies in their folders.
    """
    found = sorted(_walk(directory))
    heads = [path for path in found if _declares_datasource(path)] if len(found) > 1 else []
    if len(heads) < 2:
        return found
    chosen = min(heads, key=lambda path: (len(path.parts), path.name != DEFAULT_FILE, path))
    others = [path for path in heads if path != chosen]
    folders = [path.parent for path in others if path.parent not in (chosen.parent, *chosen.parents)]
    return [
        path
        for path in found
        if path not in others and not any(path.is_relative_to(folder) for folder in folders)
    ]


def _resolved(path: Path, hint: "_Hint | None" = None) -> SchemaLayout | None:
    if path.is_file():
        return SchemaLayout(path.parent, (path,), _migrations_of(path.parent))
    if hint is not None and (found := _resolved(hint.schema)) is not None:
        return found if hint.migrations is None else SchemaLayout(found.root, found.sources, hint.migrations)
    for folder in (path, path / _PRISMA_FOLDER):
        if sources := _files_of(folder):
            return SchemaLayout(folder, tuple(sources), _migrations_of(folder, sources))
    # A project's root may hold schemas of several packages.
    sources = [] if (path / "package.json").is_file() else schema_files(path)
    return SchemaLayout(path, tuple(sources), _migrations_of(path, sources)) if sources else None


def _files_of(folder: Path) -> list[Path]:
    """The schema's files, if the folder has some itself, or in `schema`."""
    if any(folder.glob("*.prisma")):
        return schema_files(folder)
    inside = folder / "schema"
    return schema_files(inside) if has_schema(inside) else []


def _migrations_of(folder: Path, sources: Sequence[Path] = ()) -> Path:
    """The folder of migrations: beside the schema, beside the file with the datasource, or one level up."""
    beside = folder / MIGRATIONS_DIRECTORY
    inner = [each for path in sources for each in path.parents if each.is_relative_to(folder)]
    parents = [folder.parent] if folder.name == "schema" else []
    for each in (folder, *dict.fromkeys(inner), *parents):
        if (each / MIGRATIONS_DIRECTORY).is_dir():
            return each / MIGRATIONS_DIRECTORY
    return beside


def _walk(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name not in _SKIPPED and not name.startswith(".")]
        yield from (Path(folder) / name for name in files if name.endswith(".prisma"))


def has_schema(folder: Path) -> bool:
    """True if a folder, or one below it, has a schema."""
    return folder.is_dir() and next(_walk(folder), None) is not None


def _declares_datasource(path: Path) -> bool:
    return any(block.kind == "datasource" for block in config_blocks(read_schema(path)))


def read_schema(path: Path) -> str:
    """The text of a schema file. Raises `SchemaError` if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path} is not UTF-8: {error}") from None


@dataclass(frozen=True, slots=True)
class _Hint:
    """Paths in a project's own configuration of Prisma; `schema` exists."""

    schema: Path
    migrations: Path | None = None


def _hint(folder: Path) -> _Hint | None:
    for name in _CONFIG_FILES:
        path = folder / name
        if path.is_file() and (found := _config_hint(folder, path)) is not None:
            return found
    named = _package_schema(folder / "package.json")
    return _Hint(folder / named) if named is not None and (folder / named).exists() else None


def _config_hint(folder: Path, path: Path) -> _Hint | None:
    """The paths that a prisma.config.ts has as plain strings: it is a program, and is not run."""
    try:
        text = _COMMENT.sub(lambda match: match["string"] or " ", path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    schema = _path_in(_SCHEMA_KEY.search(text))
    if schema is None or not (folder / schema).exists():
        return None
    migrations = _path_in(_MIGRATIONS_KEY.search(text))
    return _Hint(folder / schema, None if migrations is None else folder / migrations)


def _path_in(found: re.Match[str] | None) -> str | None:
    if found is None:
        return None
    if found["path"]:
        return str(found["path"])
    parts = re.findall(r"""["'`]([^"'`]*)["'`]""", found["parts"])
    return os.path.join(*parts) if parts else None


def _package_schema(path: Path) -> str | None:
    """The value of "prisma": {"schema": …} in a package.json."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    prisma = content.get("prisma") if isinstance(content, Mapping) else None
    schema = prisma.get("schema") if isinstance(prisma, Mapping) else None
    return schema if isinstance(schema, str) and schema else None
