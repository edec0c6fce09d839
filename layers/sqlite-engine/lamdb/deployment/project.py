"""The user's directory: `schema.prisma` (or several files), `migrations/`, and perhaps a seed.

`lamdb.prisma.datamodel.layout` has the conventions of folders.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from lamdb.deployment.apply import require_migrated, unmigrated
from lamdb.errors import SettingsError
from lamdb.prisma.datamodel.layout import DEFAULT_DIRECTORY, SchemaLayout, default_directory
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrations import Migration, read_migrations

SEED_FILE = "seed.graphql"
_COMMENTS: Final = re.compile(r"#[^\n\r]*")


@dataclass(frozen=True)
class Project:
    """The content of `directory`; each part is read when it is first needed."""

    directory: Path

    @classmethod
    def at(cls, directory: str | Path) -> "Project":
        """The project in a directory, or of a schema file. The default directory stands for Prisma's own
        places too, if it has no schema.

        Raises `SettingsError` if there is no such directory.
        """
        path = located(directory)
        if not path.is_dir() and not (path.suffix == ".prisma" and path.is_file()):
            raise SettingsError(
                f"there is no directory {path}",
                hint="Give the one that holds schema.prisma with --database, or go to the folder above it. "
                "`lamdb init` begins a project.",
            )
        return cls(path)

    @cached_property
    def layout(self) -> SchemaLayout:
        """Raises `SchemaError` for a file that is not UTF-8."""
        return SchemaLayout.of(self.directory)

    @cached_property
    def schema(self) -> PrismaSchema:
        """Raises `SchemaError`."""
        return PrismaSchema.load(self.directory)

    @cached_property
    def has_migrations(self) -> bool:
        return self.layout.migrations.is_dir()

    @cached_property
    def migrations(self) -> list[Migration]:
        """Raises `MigrationError`."""
        return read_migrations(self.layout.migrations, missing_ok=True)

    @cached_property
    def seed(self) -> str | None:
        """The GraphQL document that fills a fresh database; None if there is none, or only comments.

        Raises `SettingsError` for a file that is not UTF-8.
        """
        folders = (self.directory, self.layout.root, self.layout.migrations.parent)
        paths = (folder / SEED_FILE for folder in folders)
        path = next((each for each in paths if each.is_file()), None)
        if path is None:
            return None
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path} is not UTF-8: {error}", hint="Save the file as UTF-8.") from None
        return text if _COMMENTS.sub("", text).strip() else None

    def unmigrated(self) -> str | None:
        """The SQL that leads from the migrations to the schema, or None if they already do.

        Raises `MigrationError` if the migrations do not apply to an empty database.
        """
        return unmigrated(self.migrations, self.schema)

    def require_migrated(self, served: frozenset[str] = frozenset()) -> None:
        """Raises `MigrationError` if the schema has what no migration makes, or lacks tables of `served`."""
        require_migrated(self.migrations, self.schema, str(self.directory), served)


def located(directory: str | Path) -> Path:
    """The directory that a setting names; if it is the default and has no schema, the one that has."""
    path = Path(directory)
    return default_directory() if path == Path(DEFAULT_DIRECTORY) else path
