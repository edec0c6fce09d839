"""Deletes the objects that no state of the database needs: those in `TRANSIENT_FOLDER`."""

from typing import Final

from lamdb.storage.pagestore import PageStore
from lamdb.storage.stores.objectstore import TRANSIENT_FOLDER

KEPT_SECONDS: Final = 3600
"""For which they are kept: longer than a request, sent again, may need them."""


def remove_transient(pages: PageStore) -> int:
    """Deletes what is older than `KEPT_SECONDS`. Returns the number of objects. Raises `StoreUnavailable`.

    One listing of up to 1000 objects, and one request for each that is deleted.
    """
    store = pages.replica.store
    before_ms = int(pages.clock.now().wall - KEPT_SECONDS) * 1000
    old = [entry.key for entry in store.list(TRANSIENT_FOLDER) if entry.modified_ms < before_ms]
    for deletion in [pages.replica.pool.submit(store.delete, key) for key in old]:
        deletion.result()
    return len(old)
