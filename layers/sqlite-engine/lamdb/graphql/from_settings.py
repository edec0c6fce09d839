"""Opens a database and the APIs of its schemas, as settings say."""

from collections.abc import Callable
from pathlib import Path

from lamdb.graphql.api import Api
from lamdb.graphql.apis import Apis
from lamdb.graphql.document.document import Limits
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.stored_schema import StoredSchema
from lamdb.memory import Shares
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query.engine import QueryEngine
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.cache.diskcache import DiskOptions
from lamdb.storage.stores.objectstore import ObjectStore
from lamdb.storage.stores.url import open_store


def open_database(
    settings: Settings,
    *,
    create: bool = True,
    wrap: Callable[[ObjectStore], ObjectStore] | None = None,
) -> Database:
    """`wrap` puts something around the store. Raises `SettingsError` or `StorageError`."""
    store = open_store(settings.require_store())
    shares = Shares.of(settings.memory, pages=settings.cache_bytes)
    return Database(
        wrap(store) if wrap is not None else store,
        create=create,
        page_size=settings.page_size,
        cache_bytes=shares.pages,
        sqlite_bytes=shares.sqlite,
        disk=_disk_options(settings),
        stale_after=settings.writer_stale_after,
        group_seconds=settings.group_seconds,
        group_bytes=settings.group_bytes,
        max_transaction_bytes=settings.max_transaction_bytes,
        # Longer values could not be answered. A query may be as long as a body.
        max_value_bytes=max(settings.max_response_bytes, settings.max_body_bytes),
    )


def _disk_options(settings: Settings) -> DiskOptions | None:
    if not settings.disk_cache_dir:
        return None
    return DiskOptions(Path(settings.disk_cache_dir), settings.disk_cache_bytes, hydrate=settings.hydrate)


def serving(settings: Settings) -> Apis:
    """The APIs of whatever schemas a database carries."""

    def build(found: StoredSchema) -> Api:
        return build_api(found.schema, settings, found)

    return Apis(build, slow_operation=settings.slow_operation)


def build_api(schema: PrismaSchema, settings: Settings, found: StoredSchema | None = None) -> Api:
    """The API of a schema; `found` spares computing what was stored with it."""
    shares = Shares.of(settings.memory)
    types = found.types if found else ApiTypes.from_dmmf(schema.dmmf)
    return Api(
        QueryEngine(
            schema,
            plan_cache_size=settings.plan_cache,
            plan_bytes=shares.plan_request_bytes,
            inputs=found.inputs if found else None,
            searches=types.searches,
        ),
        types,
        limits=Limits(
            bytes=settings.max_document_bytes,
            tokens=settings.max_document_tokens,
            depth=settings.max_document_depth,
        ),
        max_cost=settings.max_cost,
        cached_documents=settings.document_cache,
        document_characters=shares.document_characters,
        vocabulary_bytes=shares.vocabularies,
        search_result_bytes=shares.search_results,
        fenced_retries=settings.fenced_retries,
        introspection=found.introspection if found else None,
        rules=found.rules if found else schema.rules,
    )
