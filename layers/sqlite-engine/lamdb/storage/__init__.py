"""A SQLite database in an object store: Litestream's format, read page by page, written one object per
commit."""

from lamdb.storage.database import Database
from lamdb.storage.stores.objectstore import ObjectInfo, ObjectStore
from lamdb.storage.stores.url import open_store
from lamdb.storage.waiting import NoWaiting, WouldWait

__all__ = ["Database", "NoWaiting", "ObjectInfo", "ObjectStore", "WouldWait", "open_store"]
