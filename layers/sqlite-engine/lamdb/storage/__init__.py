"""A SQLite database in an object store, in Litestream's format: pages are read on demand, a commit is one
object."""

from lamdb.storage.database import Database
from lamdb.storage.stores.objectstore import ObjectInfo, ObjectStore
from lamdb.storage.stores.url import open_store
from lamdb.storage.waiting import NoWaiting, WouldWait

__all__ = ["Database", "NoWaiting", "ObjectInfo", "ObjectStore", "WouldWait", "open_store"]
