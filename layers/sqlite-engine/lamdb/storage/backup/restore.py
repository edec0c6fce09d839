"""Restores a state from LTX files to a SQLite file or a new store, in bounded memory."""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import batched
from pathlib import Path
from typing import Final

from lamdb.errors import NotEmpty, StoreUnavailable, TargetError
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import SNAPSHOT_LEVEL, FileInfo, KeyLayout, plan
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import not_restorable
from lamdb.storage.ltx.retrying import retry_gone
from lamdb.storage.ltx.stream import Frame, FrameWriter, merged, merged_header
from lamdb.storage.ltx.transfers import open_readers
from lamdb.storage.stores.objectstore import CREATE_ONLY_PROBE, ObjectStore

_FAN_IN: Final = 256
_STEP: Final = 256

type Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


def chain_to(replica: Replica, txid: int) -> list[FileInfo]:
    """Returns the files of the state of `txid`. Raises `NotRestorable` if they are no longer kept."""
    chain = plan(replica.files(upto=txid), txid) if txid else []
    if not chain or chain[-1].max_txid != txid:
        raise not_restorable(replica, txid)
    return chain


def restore_file(
    replica: Replica, txid: int, target: Path, *, overwrite: bool = False, progress: Progress | None = None
) -> ltx.Header:
    """Writes the database after transaction `txid` to the file `target`, which appears whole or not at all.

    The file has the same bytes as one that Litestream restores. Returns a header that describes the state.
    Raises `NotRestorable`, `CorruptFile`, `StoreUnavailable`, and `TargetError` if the file exists (without
    `overwrite`) or cannot be written.
    """
    if target.exists() and not overwrite:
        raise TargetError(f"{target} exists", hint="Choose another name, or say --overwrite.")

    def write() -> ltx.Header:
        chain = chain_to(replica, txid)
        with _target_file(target, overwrite=overwrite) as descriptor:
            return _write_file(replica, chain, descriptor, progress)

    return retry_gone(write, lambda _: _moving(txid))


def restore_store(
    replica: Replica,
    txid: int,
    target: ObjectStore,
    scratch: Path,
    *,
    progress: Progress | None = None,
) -> ltx.Header:
    """Makes the empty store `target` a database that begins with the state after `txid`, under that TXID.

    The state becomes one snapshot, put in one step. `scratch` is a directory with room for the SQLite file,
    used if the state consists of very many files. Raises `NotEmpty`, `StoreUnsuitable`, and all errors of
    `restore_file`.
    """
    for entry in target.list():
        if entry.key != CREATE_ONLY_PROBE:
            raise NotEmpty(f"{target.url} is not empty: it holds {entry.key!r}", meta={"object": entry.key})
    target.require_create_only()

    def copy() -> ltx.Header:
        chain = chain_to(replica, txid)
        if len(chain) <= _FAN_IN:
            return _copy(replica, chain, target, progress)
        return _copy_by_file(replica, chain, target, scratch, progress)

    return retry_gone(copy, lambda _: _moving(txid))


def _moving(txid: int) -> StoreUnavailable:
    return StoreUnavailable(f"the files of transaction {txid} keep moving")


def _write_file(
    replica: Replica, chain: Sequence[FileInfo], descriptor: int, progress: Progress | None
) -> ltx.Header:
    """Applies the files of `chain` to an empty file, a limited number at a time."""
    done = _Done(progress, sum(file.size for file in chain))
    header: ltx.Header | None = None
    for batch in batched(chain, _FAN_IN, strict=False):
        readers = open_readers(replica, batch)
        header = merged_header([*([header] if header else []), *(reader.header for reader in readers)])
        first = merged_header([reader.header for reader in readers])
        for frame in done.watch(merged(readers, first)):
            _write_at(descriptor, frame.page, (frame.number - 1) * header.page_size)
        os.ftruncate(descriptor, header.commit * header.page_size)
    os.fsync(descriptor)
    done.finish()
    assert header is not None
    return header


def _copy(
    replica: Replica, chain: Sequence[FileInfo], target: ObjectStore, progress: Progress | None
) -> ltx.Header:
    readers = open_readers(replica, chain)
    header = merged_header([reader.header for reader in readers])
    done = _Done(progress, sum(file.size for file in chain))
    _put_snapshot(target, header, done.watch(merged(readers, header)))
    done.finish()
    return header


def _copy_by_file(
    replica: Replica, chain: Sequence[FileInfo], target: ObjectStore, scratch: Path, progress: Progress | None
) -> ltx.Header:
    path = scratch / f".lamdb-{secrets.token_hex(8)}.tmp"
    with _creating(path) as descriptor:
        path.unlink()
        header = _write_file(replica, chain, descriptor, progress)
        _put_snapshot(target, header, _frames_of_file(descriptor, header))
    return header


def _put_snapshot(target: ObjectStore, header: ltx.Header, frames: Iterator[Frame]) -> None:
    key = KeyLayout(target.level_folder).key(SNAPSHOT_LEVEL, 1, header.max_txid)
    upload = target.upload(key, timestamp_ms=header.timestamp_ms)
    try:
        writer = FrameWriter(header, upload.write)
        for frame in frames:
            writer.add(frame)
        writer.finish()
    except BaseException:
        upload.abort()
        raise
    if not upload.finish():
        raise NotEmpty(f"{target.url} has just been written to by another process")


def _frames_of_file(descriptor: int, header: ltx.Header) -> Iterator[Frame]:
    lock = ltx.lock_page(header.page_size)
    for number in range(1, header.commit + 1):
        if number != lock:
            yield Frame.of(number, os.pread(descriptor, header.page_size, (number - 1) * header.page_size))


class _Done:
    """Counts the bytes of frames that have passed."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._bytes = 0

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for number, frame in enumerate(frames):
            self._bytes += len(frame.frame)
            if self._progress is not None and number % _STEP == 0:
                self._progress(min(self._bytes, self._total), self._total)
            yield frame

    def finish(self) -> None:
        if self._progress is not None:
            self._progress(self._total, self._total)


@contextmanager
def _target_file(target: Path, *, overwrite: bool) -> Iterator[int]:
    """A temporary file beside `target` that gets its name when the block is left without an exception."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with _creating(temporary, target) as descriptor:
            yield descriptor
        try:
            if overwrite:
                temporary.replace(target)
            else:
                os.link(temporary, target)
        except OSError as error:
            raise TargetError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def _creating(path: Path, target: Path | None = None) -> Iterator[int]:
    """A new file, open for reading and writing. Errors name the `target` that it will be, if there is one."""
    named = target or path
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise TargetError(f"cannot write {named}: {error.strerror}") from error
    try:
        yield descriptor
    except OSError as error:
        raise TargetError(f"cannot write {named}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
