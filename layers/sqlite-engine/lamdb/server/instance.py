"""A database that is ready to be served: its store opened, migrated and seeded, its API built."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.apis import Apis
from lamdb.graphql.deployed import Deployed
from lamdb.graphql.document import Limits
from lamdb.graphql.types import ApiTypes
from lamdb.prisma.engine import Engine
from lamdb.prisma.schema import PrismaSchema
from lamdb.server import deploy
from lamdb.server.project import Project
from lamdb.server.seed import plant
from lamdb.server.views import SchemaViews
from lamdb.settings import Settings
from lamdb.storage import Database


@dataclass
class Instance:
    """Use it as a context manager: leaving it closes the database."""

    project: Project | None
    database: Database
    api: Apis
    max_staleness: float
    _views: SchemaViews | None = None

    @classmethod
    def open(cls, settings: Settings, *, push: bool = False) -> Self:
        """Open the store, bring it up to the project's schema, and seed it if it is empty.

        Without a project (no directory where one is by default) it serves what the store carries. With
        `push` the tables are made from the schema alone: see `lamdb.prisma.migrate.push`. Raises
        `SettingsError`, `SchemaError`, `NoSchema`, `MigrationError`, `StorageError`, or what the seed raised.
        """
        project = find_project(settings, required=push)
        if project is not None:
            _ = project.schema  # Is it valid? Nothing is opened, and created, for one that is not.
        database = open_database(settings, create=project is not None)
        try:
            if project is not None and push:
                deploy.push_project(database, project)
            elif project is not None:
                deploy.deploy(database, project)
            instance = cls(project, database, serving(settings), settings.max_staleness)
            if project is not None and project.seed is not None:
                served = instance.api.newest(database)
                plant(served.api, database, served.deployed.schema, project.seed)
            instance._warm_up()
        except BaseException:
            database.close()
            raise
        return instance

    def views(self) -> SchemaViews:
        """What there is to show of the newest schema. Raises `NoSchema`, `StorageError`."""
        if self.database.age() > self.max_staleness:
            self.database.refresh()
        served = self.api.newest(self.database)
        if self._views is None or self._views.served is not served:
            self._views = SchemaViews(served)
        return self._views

    def _warm_up(self) -> None:
        """Load what the first request would load. What it answers does not matter here."""
        self.api.execute(self.database, GraphQLRequest(self.views().example))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


def find_project(settings: Settings, *, required: bool = False) -> Project | None:
    """The directory that the settings name; None if there is none at the default place.

    Raises `SettingsError` if there is none where one was named, or is `required`.
    """
    is_default = settings.database == Settings().database
    if is_default and not required and not Path(settings.database).is_dir():
        return None
    return Project.at(settings.database)


def open_database(settings: Settings, *, create: bool = True) -> Database:
    """Raises `SettingsError` or `StorageError`."""
    return Database.open(
        settings.require_store(),
        create=create,
        page_size=settings.page_size,
        cache_bytes=settings.cache_bytes,
        stale_after=settings.writer_stale_after,
        group_seconds=settings.group_seconds,
        group_bytes=settings.group_bytes,
    )


def serving(settings: Settings) -> Apis:
    """The APIs of whatever schemas a database carries."""

    def build(found: Deployed) -> Api:
        return build_api(found.schema, settings, found)

    return Apis(build)


def build_api(schema: PrismaSchema, settings: Settings, found: Deployed | None = None) -> Api:
    """The API of a schema; `found` spares computing what was stored with it."""
    return Api(
        Engine(schema, plan_cache_size=settings.plan_cache, inputs=found.inputs if found else None),
        found.types if found else ApiTypes.from_dmmf(schema.dmmf),
        limits=Limits(
            bytes=settings.max_document_bytes,
            tokens=settings.max_document_tokens,
            depth=settings.max_document_depth,
        ),
        cached_documents=settings.document_cache,
        fenced_retries=settings.fenced_retries,
        introspection=found.introspection if found else None,
    )
