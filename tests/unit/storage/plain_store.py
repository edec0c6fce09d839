"""A store of a dict, whose times are set by the test, and files to put into it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo, KeyLayout
from lamdb.storage.stores.objectstore import ObjectInfo

LAYOUT = KeyLayout("{:04x}/")
PAGE = 512

type Pages = dict[int, bytes]


def page(fill: int) -> bytes:
    return bytes([fill]) * PAGE


def body(low: int, high: int, pages: Pages, commit: int, timestamp_ms: int = 0, nonce: int = 0) -> bytes:
    header = ltx.Header(PAGE, commit, low, high, timestamp_ms=timestamp_ms, nonce=nonce)
    return ltx.encode(header, sorted(pages.items()))


class _Upload:
    def __init__(self, store: "PlainStore", key: str, timestamp_ms: int) -> None:
        self._store, self._key, self._timestamp_ms = store, key, timestamp_ms
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> None:
        self._store.calls.append(("write", self._key))
        self.pieces.append(piece)

    def finish(self) -> bool:
        return self._store.put_new(self._key, b"".join(self.pieces), timestamp_ms=self._timestamp_ms)

    def abort(self) -> None:
        self._store.calls.append(("abort", self._key))


@dataclass
class PlainStore:
    """`now_ms` is the time that the next object gets; `calls` is what was asked, in order."""

    url: str = "plain:"
    own_clock: bool = True
    level_folder: str = "{:04x}/"
    now_ms: int = 0
    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    timestamps: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def put(self, level: int, low: int, high: int, content: bytes = b"", *, at_ms: int = 0) -> None:
        self.objects[LAYOUT.key(level, low, high)] = content, at_ms

    def get(self, key: str) -> bytes | None:
        self.calls.append(("get", key))
        return self.objects[key][0] if key in self.objects else None

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        self.calls.append(("get_range", key))
        return self.objects[key][0][offset : offset + length] if key in self.objects else None

    def get_suffix(self, key: str, length: int) -> bytes | None:
        self.calls.append(("get_suffix", key))
        return self.objects[key][0][-length:] if key in self.objects else None

    def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        self.calls.append(("put_new", key))
        if key in self.objects:
            return False
        self.objects[key] = body, self.now_ms
        self.timestamps[key] = timestamp_ms
        return True

    def require_create_only(self) -> None:
        self.calls.append(("require_create_only", ""))

    def upload(self, key: str, *, timestamp_ms: int) -> _Upload:
        return _Upload(self, key, timestamp_ms)

    def head(self, key: str) -> ObjectInfo | None:
        self.calls.append(("head", key))
        return self._info(key) if key in self.objects else None

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        self.calls.append(("list", prefix))
        return (self._info(key) for key in sorted(self.objects) if key.startswith(prefix) and key > after)

    def delete(self, key: str) -> None:
        self.calls.append(("delete", key))
        self.objects.pop(key, None)

    def close(self) -> None:
        self.calls.append(("close", ""))

    def _info(self, key: str) -> ObjectInfo:
        content, at_ms = self.objects[key]
        return ObjectInfo(key, len(content), at_ms)


def listed(level: int, low: int, high: int, *, size: int = 100, at_ms: int = 0) -> FileInfo:
    """A file as a listing has it."""
    return FileInfo(level, low, high, size, LAYOUT.key(level, low, high), at_ms)
