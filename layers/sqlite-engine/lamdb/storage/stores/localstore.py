"""A directory as an object store, safe across processes and power cuts.

An object is written to a temporary file in the same folder, fsynced, and given its name by a hard link, which
fails if the name is taken. So it appears once, as a whole or not at all, even if other processes write the
same key. Then the folder is fsynced.
"""

import errno
import os
import secrets
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from lamdb.errors import NotAStore, StoreRefused, StoreUnavailable
from lamdb.storage.stores.objectstore import Body, ObjectInfo, Upload

_TEMPORARY: Final = ".tmp"
_ABANDONED_SECONDS: Final = 24 * 60 * 60.0
"""A temporary file that has not changed for so long was left behind by a crash."""

_FULL: Final = "The disk is full: free some space, or move the store. Nothing of this write was kept."
_READ_ONLY: Final = "The file system is read-only: mount it for writing. Nothing of this write was kept."
_HINTS: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "The disk quota is used up: free some space, or raise it. Nothing of this write was kept.",
    errno.EROFS: _READ_ONLY,
}

_REFUSALS: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
"""Errors of reading, listing and deleting that no further attempt would change."""

_SQLITE: Final = b"SQLite format 3\0"

_LINK_UNKNOWN: Final = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EINTR, errno.EREMOTEIO}
"""After these errors the link may exist nevertheless, as on a network file system that lost the answer."""


def _hint_of_file(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        if file.read(len(_SQLITE)) == _SQLITE:
            return f"It is a SQLite file. Bring it into an empty store: lamdb import {path} --store DIR"
    return "A store is a directory: name another path."


class LocalStore:
    """Objects as files under `root`, which is made when the first object is written."""

    level_folder = "ltx/{:d}/"
    own_clock = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()
        self._folder = os.path.join(root, "")
        self._swept = False
        self._failed_sync: OSError | None = None
        """After a failed sync of a folder, reading proves nothing: the data may be lost in a power cut, and a
        second sync would not report it. Only another process may go on."""

    def get(self, key: str) -> bytes | None:
        return self._read(key, 0, None)

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        return self._read(key, offset, length)

    def get_suffix(self, key: str, length: int) -> bytes | None:
        return self._read(key, -length, length)

    def put_new(self, key: str, body: Body, *, timestamp_ms: int) -> bool:
        upload = _FileUpload(self, key, timestamp_ms)
        upload.write(body)
        return upload.finish()

    def require_create_only(self) -> None:
        """A hard link never replaces a file, so the result is clear."""

    def upload(self, key: str, *, timestamp_ms: int) -> Upload:
        # Commits must be quick. Merges have time for this.
        if not self._swept:
            self._swept = True
            self._sweep()
        return _FileUpload(self, key, timestamp_ms)

    def head(self, key: str) -> ObjectInfo | None:
        try:
            found = (self.root / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.unavailable("look at", key, error) from error
        return _info(key, found)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        if self.root.exists() and not self.root.is_dir():
            raise NotAStore(f"{self.url} is not a directory", hint=_hint_of_file(self.root))
        try:
            yield from self._walk(prefix, after)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.unavailable("list", prefix, error) from error

    def delete(self, key: str) -> None:
        try:
            (self.root / key).unlink(missing_ok=True)
        except OSError as error:
            raise self.unavailable("delete", key, error) from error

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _walk(self, folder: str, after: str) -> Iterator[ObjectInfo]:
        """Files below `folder` in the order of their keys; `after` prunes folders that lie wholly before
        it."""
        for name, entry in self._children(folder):
            key = folder + name
            if key <= after and not after.startswith(key):
                continue
            if name.endswith("/"):
                yield from self._walk(key, after)
            elif key > after and not name.endswith(_TEMPORARY):
                with suppress(FileNotFoundError):
                    yield _info(key, entry.stat())

    def _children(self, folder: str) -> Sequence[tuple[str, os.DirEntry[str]]]:
        """The entries of `folder`, in the order of names.

        Reading a directory may miss a new file and still find a newer one, which would show a transaction
        without the one before it. A second reading finds every file older than those of the first.
        """
        seen = [name for name, _ in self._scan(folder) if not name.endswith(_TEMPORARY)]
        newest = max(seen, default="")
        return sorted((name, entry) for name, entry in self._scan(folder) if name <= newest)

    def _scan(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                yield entry.name + "/" * entry.is_dir(), entry

    def _read(self, key: str, offset: int, length: int | None) -> bytes | None:
        """`length` bytes (None: all) from `offset`, which counts from the end if it is negative."""
        self._require_synced(key)
        try:
            descriptor = os.open(self._folder + key, os.O_RDONLY | os.O_CLOEXEC)
            try:
                size = os.fstat(descriptor).st_size
                if offset < 0:
                    offset = max(0, size + offset)
                wanted = size - offset if length is None else min(length, size - offset)
                return _read_fully(descriptor, offset, wanted)
            finally:
                os.close(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.unavailable("read", key, error) from error

    def _sweep(self) -> None:
        """Deletes the temporary files of crashed processes, which nothing else deletes."""
        before = time.time() - _ABANDONED_SECONDS
        for folder, _, names in self.root.walk():
            for name in names:
                if name.startswith(".") and name.endswith(_TEMPORARY):
                    # Not by the time of its content, which an upload sets to that of a transaction.
                    with suppress(OSError):
                        if (folder / name).stat().st_ctime < before:
                            (folder / name).unlink()

    def make_folder(self, folder: Path) -> None:
        """Makes `folder` and fsyncs each parent that got a new entry."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            _require_readable(new.parent)
            new.mkdir(exist_ok=True)
            self.sync_folder(new.parent)

    def sync_folder(self, folder: Path) -> None:
        """Makes the entries of `folder` durable."""
        try:
            _sync_folder(folder)
        except OSError as error:
            self._failed_sync = error
            raise

    def _require_synced(self, key: str) -> None:
        if self._failed_sync is not None:
            raise StoreUnavailable(
                f"cannot read {key} in {self.url}: an earlier sync failed: {self._failed_sync.strerror}",
                hint="Check the disk, and start this process again.",
            )

    def unavailable(self, verb: str, key: str, error: OSError, *, refused: bool = False) -> StoreUnavailable:
        """The error for a request that failed; `refused`: it is certain that it had no effect."""
        number = error.errno or 0
        message = f"cannot {verb} {key or 'the folder'} in {self.url}: {error.strerror}"
        hint = _HINTS.get(number)
        if number in {errno.EPERM, errno.ENOTSUP, errno.EXDEV} and verb == "write":
            hint = "Use a file system that has hard links: without them a commit cannot be atomic."
        elif number in {errno.EACCES, errno.EPERM}:
            place = Path(error.filename) if verb == "list" and error.filename else self.root / key
            message += f" for user {os.geteuid()} at {_denied(place)}"
            hint = _hint_of_rights(self.root, writing=verb in ("write", "delete"))
        kind = StoreRefused if refused or (number in _REFUSALS and verb != "write") else StoreUnavailable
        return kind(message, hint=hint)


class _FileUpload:
    """A temporary file that gets its name at the end."""

    def __init__(self, store: LocalStore, key: str, timestamp_ms: int) -> None:
        self._store = store
        self._key = key
        self._timestamp_ms = timestamp_ms
        self._path = store.root / key
        self._temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}{_TEMPORARY}")
        self._descriptor: int | None = None

    def write(self, piece: Body) -> None:
        with self._cleaning():
            view = memoryview(piece)
            while view:
                view = view[os.write(self._open(), view) :]

    def finish(self) -> bool:
        with self._cleaning():
            descriptor = self._open()
            os.utime(descriptor, ns=(self._timestamp_ms * 1_000_000,) * 2)
            os.fsync(descriptor)
        with self._cleaning(unknown=_LINK_UNKNOWN):
            try:
                os.link(self._temporary, self._path)
            except FileExistsError:
                return False
            finally:
                self.abort()
        try:
            self._store.sync_folder(self._path.parent)
        except OSError as error:
            raise self._store.unavailable("write", self._key, error) from error
        return True

    def abort(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            # What cannot be deleted now is swept up later.
            with suppress(OSError):
                self._temporary.unlink()

    def _open(self) -> int:
        if self._descriptor is None:
            self._store.make_folder(self._path.parent)
            # Without this right the folder could not be synced, when the object has its name already.
            _require_readable(self._path.parent)
            self._descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        return self._descriptor

    @contextmanager
    def _cleaning(self, unknown: Container[int] = ()) -> Iterator[None]:
        """An error in the block means that nothing was committed, unless it is one of `unknown`."""
        try:
            yield
        except OSError as error:
            self.abort()
            refused = error.errno not in unknown
            raise self._store.unavailable("write", self._key, error, refused=refused) from error


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    """The time of the last change of the inode is the system's own; that of the content is the writer's."""
    etag = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_ctime_ns:x}"
    changed, modified = found.st_ctime_ns // 1_000_000, found.st_mtime_ns // 1_000_000
    return ObjectInfo(key, found.st_size, modified, etag, changed)


def _read_fully(descriptor: int, offset: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, offset)):
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _require_readable(folder: Path) -> None:
    """Raises `OSError` if the folder cannot be opened."""
    os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


def _denied(path: Path) -> Path:
    """The outermost place on the way to `path` that this process has not all rights to, as far as it can
    see.
    """
    for place in (*reversed(path.parents), path):
        if not os.path.lexists(place):
            return place.parent
        rights = os.R_OK | os.X_OK if place.is_dir() else os.R_OK
        if not os.access(place, os.X_OK if place != path and place.is_dir() else rights, effective_ids=True):
            return place
    return path if path.is_dir() else path.parent


def _hint_of_rights(root: Path, *, writing: bool) -> str:
    user = os.geteuid()
    while not os.path.lexists(root):
        root = root.parent
    kept = " Nothing of this write was kept." if writing else ""
    return (
        f"Let user {user} read and write {root}, with its folders and files: chown -R {user} {root} "
        f"(for a bind mount, its directory on the host).{kept}"
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
