"""The interface of object stores.

`ObjectStore` contains all operations that storage needs. `obstores` (S3, memory) and `localstore`
(a directory) implement it; tests wrap one store in another to count, delay, fail or lose calls.
"""

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

type Body = bytes | mmap.mmap
"""The content of an object: in memory, or in a file on the local disk."""

CREATE_ONLY_PROBE: Final = "lamdb-create-only"
"""The key of a probe object: a store that is asked to create it again must refuse."""
PUBLISHED: Final = "lamdb-published"
"""The key of the object that says how far the changes are published, the only one that is replaced."""
TRANSIENT_FOLDER: Final = "transient/"
"""The folder of objects that no state of the database needs. Maintenance deletes them after an hour."""


class ObjectInfo(NamedTuple):
    """An object in a listing; times are in milliseconds since 1970.

    `modified_ms` is by the store's clock. In a store without a clock it is the writer's time; then
    `changed_ms` is by the clock of the machine that stores the objects, else it is 0.

    `etag` differs if the content under a key differs, even after the key was deleted and used again. It is
    empty if the store cannot guarantee that.
    """

    key: str
    size: int
    modified_ms: int
    etag: str = ""
    changed_ms: int = 0


class Upload(Protocol):
    """An unfinished object, written in pieces. Nothing is visible under its key before `finish`.

    It is used by one thread at a time, and not again after `finish`, `abort` or an error.
    """

    def write(self, piece: bytes) -> None:
        """Appends `piece`; may raise `StoreUnavailable`."""

    def finish(self) -> bool:
        """Creates the object, durably, in one step; False if the key was seen to be taken.

        After `StoreUnavailable` the outcome is unknown, as with `put_new`.
        """

    def abort(self) -> None:
        """Drops what was written. Unfinished parts in S3 are left to the bucket's lifecycle rule."""


class ObjectStore(Protocol):
    """Immutable objects under string keys (`/` separates folders), strongly consistent.

    Every method may raise `StoreUnavailable`, and may be called from any thread. "No such object" is an
    answer, not an error: None.
    """

    url: str
    """The place in words, for messages."""

    own_clock: bool
    """True if `modified_ms` is by a correct clock that is independent of the writers."""

    level_folder: str
    """How Litestream names the folder of a level in this kind of store: a format string for the level."""

    def get(self, key: str) -> bytes | None:
        """The whole object."""

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        """`length` bytes from `offset`; fewer only where the object ends."""

    def get_suffix(self, key: str, length: int) -> bytes | None:
        """The last `length` bytes, or the whole object if it is shorter."""

    def put_new(self, key: str, body: Body, *, timestamp_ms: int) -> bool:
        """Creates the object, durably, in one step; False if the key is taken, by this process or another.

        Raises `StoreUnsuitable` if the store cannot do that, with nothing written.
        After `StoreUnavailable` the outcome is unknown: the object may exist, or may yet come to exist.
        `timestamp_ms` (since 1970) is recorded beside the object where Litestream looks for it.
        """

    def require_create_only(self) -> None:
        """Finds out whether `put_new` never replaces an object: raises `StoreUnsuitable` if it does.

        One request (two in a new store) where that is not sure by construction. Raises `StoreUnavailable`.
        """

    def upload(self, key: str, *, timestamp_ms: int) -> Upload:
        """Begins to create an object of any size in bounded memory.

        For objects whose key determines their content: where the store has no create-only upload in parts, a
        large object may be replaced by its like.
        """

    def head(self, key: str) -> ObjectInfo | None:
        """Size and time of the object."""

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with the folder `prefix` ("" or ending in `/`) and sorts after `after`, in
        order of their keys, fetched page by page as the iterator advances."""

    def delete(self, key: str) -> None:
        """Removes the object, if it is there."""

    def renew(self) -> None:
        """Forgets connections and credentials: the process was restored from a snapshot."""

    def close(self) -> None:
        """Releases the store's resources. The store is not used afterwards."""
