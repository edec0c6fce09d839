"""A migrated database in memory, of which each test gets a copy."""

from pathlib import Path
from types import TracebackType
from typing import Self

from lamdb.deployment import deploy
from lamdb.deployment.apply import push
from lamdb.deployment.project import Project
from lamdb.deployment.seed import apply_seed
from lamdb.errors import SettingsError
from lamdb.graphql.apis import Apis
from lamdb.graphql.from_settings import serving
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.stores.objectstore import ObjectStore
from lamdb.storage.stores.url import open_store
from lamdb.testing.client import Client

_MEMORY = "memory:"


class StoreTemplate:
    """The objects of a store after the project was deployed, and the API of its schema.

    Copies share compiled documents and plans, and nothing else. Use it as a context manager.
    """

    def __init__(self, objects: list[tuple[str, bytes, int]], apis: Apis, settings: Settings) -> None:
        self._objects = objects
        self._apis = apis
        self._settings = settings

    @classmethod
    def of(
        cls,
        directory: str | Path,
        *,
        seed: bool = False,
        push_schema: bool = False,
        settings: Settings | None = None,
    ) -> Self:
        """Deploys the project in `directory` to a new store in memory.

        - `seed`: executes the project's `seed.graphql`.
        - `push_schema`: makes the tables from the schema alone. Always done without migrations.
        - `settings`: of the API and the server (`LAMDB_…` variables are not read).

        Raises `SettingsError`, `SchemaError`, `MigrationError`, `QueryError` for a seed that fails.
        """
        settings = settings or Settings()
        project = Project.at(directory)
        store = open_store(_MEMORY)
        with Database(store, cache_bytes=settings.cache_bytes) as database:
            if push_schema or not project.has_migrations:
                push(database, project.schema)
            else:
                deploy.deploy(database, project)
            apis = serving(settings)
            served = apis.newest(database)
            if seed:
                if project.seed is None:
                    raise SettingsError(f"{project.directory} has no seed.graphql")
                apply_seed(served.api, database, served.stored.schema, project.seed)
            objects = _objects(store)
        return cls(objects, apis, settings)

    def database(self) -> Client:
        """Returns a client of a copy of the database, which nothing else sees."""
        store = open_store(_MEMORY)
        for key, body, modified_ms in self._objects:
            store.put_new(key, body, timestamp_ms=modified_ms)
        database = Database(
            store,
            create=False,
            cache_bytes=self._settings.cache_bytes,
            # The store has no other writers, and commits need not wait to be shared.
            stale_after=float("inf"),
            group_seconds=0,
        )
        return Client(database, self._apis.copy(), self._settings)

    def close(self) -> None:
        """Frees the template's objects."""
        self._objects = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _objects(store: ObjectStore) -> list[tuple[str, bytes, int]]:
    """All objects of a store: key, content, time in milliseconds since 1970."""
    found = []
    for entry in store.list():
        body = store.get(entry.key)
        if body is not None:
            found.append((entry.key, body, entry.modified_ms))
    return found
