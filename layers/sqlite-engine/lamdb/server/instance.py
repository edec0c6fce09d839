"""A database that is ready to be served: its store opened, migrated and seeded, its API built."""

import gzip
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from lamdb.errors import Fenced, MigrationError
from lamdb.graphql import sdl
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.document import Limits
from lamdb.graphql.types import ApiTypes
from lamdb.prisma import migrate
from lamdb.prisma.engine import Engine
from lamdb.prisma.migrations import Migration
from lamdb.prisma.schema import PrismaSchema
from lamdb.server.examples import example_query
from lamdb.server.project import Project
from lamdb.server.seed import plant
from lamdb.settings import Settings
from lamdb.storage import Database

log = logging.getLogger("lamdb.server")

_FENCED_ATTEMPTS = 20


@dataclass(frozen=True)
class Instance:
    """Use it as a context manager: leaving it closes the database."""

    project: Project
    database: Database
    api: Api

    @classmethod
    def open(cls, settings: Settings, *, push: bool = False) -> Self:
        """Open the store, bring it up to the project's schema, and seed it if it is empty.

        With `push` the tables are made from the schema alone: see `lamdb.prisma.migrate.push`. Raises
        `SettingsError`, `SchemaError`, `MigrationError`, `StorageError`, or what the seed raised.
        """
        project = Project.at(settings.database)
        schema = project.schema
        database = open_database(settings)
        try:
            if push:
                push_schema(database, project)
            else:
                deploy_project(database, project)
            instance = cls(project, database, build_api(schema, settings))
            if project.seed is not None:
                plant(instance.api, database, schema, project.seed)
            instance._warm_up()
        except BaseException:
            database.close()
            raise
        return instance

    @cached_property
    def example(self) -> str:
        """A query that the schema answers, to begin with."""
        return example_query(self.project.schema.dmmf)

    @cached_property
    def sdl(self) -> bytes:
        return sdl.render(self.api.types).encode()

    @cached_property
    def sdl_gzipped(self) -> bytes:
        return gzip.compress(self.sdl, mtime=0)

    def _warm_up(self) -> None:
        """Load what the first request would load. What it answers does not matter here."""
        self.api.execute(self.database, GraphQLRequest(self.example))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()


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


def build_api(schema: PrismaSchema, settings: Settings) -> Api:
    return Api(
        Engine(schema, plan_cache_size=settings.plan_cache),
        ApiTypes.from_dmmf(schema.dmmf),
        limits=Limits(
            bytes=settings.max_document_bytes,
            tokens=settings.max_document_tokens,
            depth=settings.max_document_depth,
        ),
        cached_documents=settings.document_cache,
        fenced_retries=settings.fenced_retries,
    )


def deploy_project(database: Database, project: Project) -> list[str]:
    """Apply the project's pending migrations: the names of those applied. Raises `MigrationError`."""
    if not project.has_migrations:
        raise MigrationError(
            f"{project.directory} has no migrations.",
            hint=f"Create the first: lamdb migrate create init --database {project.directory}\n"
            "Or try a schema out without migrations: lamdb serve --push",
        )
    return deploy(database, project.migrations)


def deploy(database: Database, migrations: Sequence[Migration]) -> list[str]:
    """Apply pending migrations, each in a transaction of its own: the names of those applied.

    Another server may deploy at the same time: whoever commits first wins, the other sees that it is done.
    Raises `MigrationError` with the migrations before the failed one applied, `StorageError`.
    """
    applied = []
    fenced = 0
    while _anything_pending(database, migrations):
        try:
            with database.writer() as connection:
                waiting = migrate.pending(connection, migrations)
                if waiting:
                    applied.append(migrate.apply_one(connection, waiting[0]))
        except Fenced:
            fenced += 1
            if fenced == _FENCED_ATTEMPTS:
                raise
        else:
            log.info("applied migration", extra={"migration": applied[-1], "txid": database.txid})
    return applied


def _anything_pending(database: Database, migrations: Sequence[Migration]) -> bool:
    with database.reader() as connection:
        return bool(migrate.pending(connection, migrations))


def push_schema(database: Database, project: Project) -> None:
    """Make the tables those of the schema. Raises `MigrationError` if data would be lost."""
    if project.has_migrations:
        raise MigrationError(
            f"{project.directory} has migrations: pushing would go past them.",
            hint="Leave out --push, and create a migration for what you changed.",
        )
    with database.writer() as connection:
        pushed = migrate.push(connection, project.schema)
    log.info("pushed the schema", extra={"statements": len(pushed.statements)})


def read_status(database: Database, migrations: Sequence[Migration]) -> migrate.Status:
    with database.reader() as connection:
        return migrate.status(connection, migrations)
