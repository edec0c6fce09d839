"""An open database that is ready to serve: migrated and seeded, with its API."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lamdb.deployment import deploy
from lamdb.deployment.project import Project, located
from lamdb.deployment.seed import apply_seed
from lamdb.errors import NotAStore, SettingsError
from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.apis import Apis
from lamdb.graphql.from_settings import build_api, open_database, serving
from lamdb.server.renderings import SchemaRenderings
from lamdb.server.store_counts import CountedStore, StoreCounts
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.stores.objectstore import ObjectStore

if TYPE_CHECKING:
    from lamdb.server.tracing import Tracing

__all__ = ["Instance", "build_api", "find_project", "open_database", "serving"]


@dataclass
class Instance:
    """Use it as a context manager: leaving it closes the database."""

    project: Project | None
    database: Database
    api: Apis
    max_staleness: float
    store_counts: StoreCounts | None = None
    tracing: "Tracing | None" = None
    _renderings: SchemaRenderings | None = None

    @classmethod
    def open(cls, settings: Settings, *, push: bool = False, allow_unmigrated: bool = False) -> Self:
        """Open the store, bring it up to the project's schema, and seed it if it is empty.

        Without a project (no directory where one is by default) it serves what the store carries. With
        `push` the tables are made from the schema alone: see `lamdb.prisma.migrate.migrate.push`. Unless
        `allow_unmigrated`, a schema with changes that no migration has is refused where other processes would
        see it. Raises `SettingsError`, `SchemaError`, `NoSchema`, `MigrationError`, `StorageError`, or what
        the seed raised.
        """
        project = find_project(settings, required=push)
        if project is not None:
            _ = project.schema  # Is it valid? Nothing is opened, and created, for one that is not.
        counts = StoreCounts() if settings.metrics != "off" else None
        tracing = _tracing() if settings.otel else None
        database = _opened(settings, project, counts, tracing)
        try:
            if project is not None and push:
                deploy.push_project(database, project, is_private=_is_private(settings))
            elif project is not None:
                if project.has_migrations and not allow_unmigrated and not _is_private(settings):
                    deploy.require_migrated(database, project)
                deploy.deploy(database, project)
            instance = cls(project, database, serving(settings), settings.max_staleness, counts, tracing)
            if project is not None and project.seed is not None:
                served = instance.api.newest(database)
                apply_seed(served.api, database, served.stored.schema, project.seed)
            instance._warm_up()
        except BaseException:
            database.close()
            raise
        return instance

    @classmethod
    def attach(cls, settings: Settings) -> Self:
        """Opens a database that another process of the same server has brought up to the project's schema."""
        tracing = _tracing() if settings.otel else None
        database = _opened(settings, None, None, tracing)
        try:
            instance = cls(None, database, serving(settings), settings.max_staleness, None, tracing)
            instance._warm_up()
        except BaseException:
            database.close()
            raise
        return instance

    def renderings(self) -> SchemaRenderings:
        """The views of the newest schema: SDL and example. Raises `NoSchema`, `StorageError`."""
        if self.database.is_overtaken or self.database.age() > self.max_staleness:
            self.database.refresh()
        served = self.api.newest(self.database)
        if self._renderings is None or self._renderings.served is not served:
            self._renderings = SchemaRenderings(served)
        return self._renderings

    def _warm_up(self) -> None:
        """Load what the first request would load. What it answers does not matter here."""
        self.api.execute(self.database, GraphQLRequest(self.renderings().example))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()
        if self.tracing is not None:
            self.tracing.close()


def _opened(
    settings: Settings, project: Project | None, counts: StoreCounts | None, tracing: "Tracing | None"
) -> Database:
    """Raises `NotAStore` where there is neither a database nor a project to make one of."""

    def wrap(store: ObjectStore) -> ObjectStore:
        if tracing is not None:
            store = tracing.store(store)
        return store if counts is None else CountedStore(store, counts)

    try:
        return open_database(settings, create=project is not None, wrap=wrap)
    except NotAStore as error:
        if project is not None:
            raise
        raise NotAStore(
            f"{error.message}, and there is no project at {Path(settings.database).absolute()}",
            hint="Name a project with --database DIR, or write one: lamdb init\n"
            'In a container, mount it: -v "$PWD/database:/database:ro"',
        ) from None


def _tracing() -> "Tracing":
    """Raises `SettingsError`."""
    try:
        from lamdb.server.tracing import Tracing
    except ImportError as error:
        raise SettingsError(
            f"LAMDB_OTEL is set, and {error.name} is not installed",
            hint="Install it: pip install 'lamdb[otel]'",
        ) from None
    return Tracing()


def _is_private(settings: Settings) -> bool:
    """True if no other process sees the store."""
    return settings.store.startswith("memory:")


def find_project(settings: Settings, *, required: bool = False) -> Project | None:
    """The directory that the settings name; None if there is none at the default places.

    Raises `SettingsError` if there is none where one was named, or is `required`.
    """
    is_default = settings.database == Settings().database
    if is_default and not required and not located(settings.database).is_dir():
        return None
    return Project.at(settings.database)
