"""The user's directory: `schema.prisma` (or several files), `migrations/`, and perhaps a seed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lamdb.deployment.apply import require_migrated, unmigrated
from lamdb.errors import SettingsError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import MIGRATIONS_DIRECTORY
from lamdb.prisma.migrate.migrations import Migration, read_migrations

SEED_FILE = "seed.graphql"


@dataclass(frozen=True)
class Project:
    """The content of `directory`; each part is read when it is first needed."""

    directory: Path

    @classmethod
    def at(cls, directory: str | Path) -> "Project":
        """Raises `SettingsError` if there is no such directory."""
        path = Path(directory)
        if not path.is_dir():
            raise SettingsError(
                f"there is no directory {path}", hint="Give the one that holds schema.prisma with --database."
            )
        return cls(path)

    @cached_property
    def schema(self) -> PrismaSchema:
        """Raises `SchemaError`."""
        return PrismaSchema.load(self.directory)

    @cached_property
    def has_migrations(self) -> bool:
        return (self.directory / MIGRATIONS_DIRECTORY).is_dir()

    @cached_property
    def migrations(self) -> list[Migration]:
        """Raises `MigrationError`."""
        return read_migrations(self.directory / MIGRATIONS_DIRECTORY, missing_ok=True)

    @cached_property
    def seed(self) -> str | None:
        """The GraphQL document that fills a fresh database, if there is one."""
        path = self.directory / SEED_FILE
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def unmigrated(self) -> str | None:
        """The SQL that leads from the migrations to the schema, or None if they already do.

        Raises `MigrationError` if the migrations do not apply to an empty database.
        """
        return unmigrated(self.migrations, self.schema)

    def require_migrated(self) -> None:
        """Raises `MigrationError` if the schema has what no migration makes."""
        require_migrated(self.migrations, self.schema, str(self.directory))
