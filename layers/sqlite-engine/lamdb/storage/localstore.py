"""A directory as an object store, safe across processes and power cuts.

An object is written to a temporary file beside its place, fsynced, and given its name by a hard link, which
fails if the name is taken: so it appears whole or not at all, once, whoever else writes. Then the folder is
fsynced.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lamdb.errors import NotAStore, StoreUnavailable
from lamdb.storage.objectstore import ObjectInfo

_TEMPORARY = ".tmp"


class LocalStore:
    """Objects as files under `root`, which is made when the first object is written."""

    level_folder = "ltx/{:d}/"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()

    def get(self, key: str) -> bytes | None:
        return self._read(key, 0, None)

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        return self._read(key, offset, length)

    def get_suffix(self, key: str, length: int) -> bytes | None:
        return self._read(key, -length, length)

    def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        path = self.root / key
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_TEMPORARY}")
        try:
            self._make_folder(path.parent)
            try:
                _write_durably(temporary, body, timestamp_ms)
                os.link(temporary, path)
            except FileExistsError:
                return False
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()
            _sync_folder(path.parent)
        except OSError as error:
            raise self._unavailable("write", key, error) from error
        return True

    def head(self, key: str) -> ObjectInfo | None:
        try:
            found = (self.root / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable("look at", key, error) from error
        return ObjectInfo(key, found.st_size, found.st_mtime_ns // 1_000_000)

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        if self.root.exists() and not self.root.is_dir():
            raise NotAStore(f"{self.url} is not a directory")
        try:
            yield from self._walk(prefix, after)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unavailable("list", prefix, error) from error

    def delete(self, key: str) -> None:
        try:
            (self.root / key).unlink(missing_ok=True)
        except OSError as error:
            raise self._unavailable("delete", key, error) from error

    def close(self) -> None:
        pass

    def _walk(self, folder: str, after: str) -> Iterator[ObjectInfo]:
        """Files below `folder` in the order of their keys; `after` prunes folders that lie wholly before
        it."""
        with os.scandir(self.root / folder) as entries:
            children = sorted((entry.name + "/" * entry.is_dir(), entry) for entry in entries)
        for name, entry in children:
            key = folder + name
            if key <= after and not after.startswith(key):
                continue
            if name.endswith("/"):
                yield from self._walk(key, after)
            elif key > after and not name.endswith(_TEMPORARY):
                with suppress(FileNotFoundError):
                    found = entry.stat()
                    yield ObjectInfo(key, found.st_size, found.st_mtime_ns // 1_000_000)

    def _read(self, key: str, offset: int, length: int | None) -> bytes | None:
        """`length` bytes (None: all) from `offset`, which counts from the end if it is negative."""
        try:
            with (self.root / key).open("rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if offset < 0:
                    offset = max(0, size + offset)
                wanted = size - offset if length is None else min(length, size - offset)
                return _read_fully(file.fileno(), offset, wanted)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unavailable("read", key, error) from error

    def _make_folder(self, folder: Path) -> None:
        """Makes `folder` and fsyncs each parent that got a new entry."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            _sync_folder(new.parent)

    def _unavailable(self, verb: str, key: str, error: OSError) -> StoreUnavailable:
        hint = None
        if error.errno in {errno.EPERM, errno.ENOTSUP, errno.EXDEV} and verb == "write":
            hint = "Use a file system that has hard links: without them a commit cannot be atomic."
        return StoreUnavailable(
            f"cannot {verb} {key or 'the folder'} in {self.url}: {error.strerror}", hint=hint
        )


def _write_durably(path: Path, body: bytes, timestamp_ms: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        written = 0
        view = memoryview(body)
        while written < len(body):
            written += os.write(descriptor, view[written:])
        os.utime(descriptor, ns=(timestamp_ms * 1_000_000,) * 2)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_fully(descriptor: int, offset: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, offset)):
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
