"""Thousands of small entries in one block of bytes, each decoded when it is first wanted.

A schema of 100 models has 8,000 types; a request needs thirty. Therefore nothing is built when the block is
loaded, not even a dictionary: the names are one sorted text, in which a name is found by searching.

The block, compressed by lz4 as a whole:

- the length of the index in bytes, 4 bytes, big-endian
- the index, UTF-8: a line feed, then for each entry `name`, tab, `kind`, tab, `offset`, tab, `length`, line
  feed
- the entries: JSON, one after the other; `offset` counts from the first

The block comes from a database file, which anybody may have made: reading it runs no code of its own and
decompresses no more than `_LARGEST` bytes.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Self

import lz4.block  # type: ignore[import-untyped]
import orjson

from lamdb.errors import EngineError

_MAGIC: Final = b"lamDB types 2\n"
_LENGTH_BYTES: Final = 4
_LARGEST: Final = 256 * 1024 * 1024
"""Bytes. The largest schema that was tried, of 500 models, has 30 MB of types."""
_HINT: Final = "Deploy the schema again."


class _Line(NamedTuple):
    """A line of the index: where an entry is, in bytes."""

    kind: str
    offset: int
    length: int


class TypeStore:
    """A read-only map from names to `(kind, object)`. Names and kinds hold neither tabs nor line feeds."""

    def __init__(self, block: bytes) -> None:
        """`block` is what the module's text describes, not compressed."""
        self._block = block
        self._lines: dict[str, _Line] | None = None
        self._entries = _LENGTH_BYTES + int.from_bytes(block[:_LENGTH_BYTES], "big")

    @classmethod
    def pack(cls, entries: Iterable[tuple[str, str, Any]]) -> Self:
        """A store of `(name, kind, object)`; objects are what JSON has."""
        lines, packed, offset = ["\n"], [], 0
        for name, kind, found in entries:
            encoded = orjson.dumps(found)
            lines.append(f"{name}\t{kind}\t{offset}\t{len(encoded)}\n")
            packed.append(encoded)
            offset += len(encoded)
        index = "".join(lines).encode()
        return cls(len(index).to_bytes(_LENGTH_BYTES, "big") + index + b"".join(packed))

    @classmethod
    def loads(cls, blob: bytes) -> Self:
        """The store that `dumps` wrote. Raises `EngineError` when it is of another version or damaged."""
        if not blob.startswith(_MAGIC):
            raise EngineError("The stored types are of another version.", hint=_HINT)
        compressed = memoryview(blob)[len(_MAGIC) :]
        if int.from_bytes(compressed[:4], "little") > _LARGEST:
            raise _damaged()
        try:
            return cls(lz4.block.decompress(compressed))
        except (lz4.block.LZ4BlockError, ValueError) as error:
            raise _damaged() from error

    def dumps(self) -> bytes:
        """The store as bytes: a version line, then the compressed block with its size."""
        compressed: bytes = lz4.block.compress(self._block, mode="high_compression")
        return _MAGIC + compressed

    def find(self, name: str) -> tuple[str, Any] | None:
        """The kind and the object of an entry, or `None` if no entry has the name."""
        found = self._line(name)
        if found is None:
            return None
        start = self._entries + found.offset
        try:
            return found.kind, orjson.loads(memoryview(self._block)[start : start + found.length])
        except orjson.JSONDecodeError as error:
            raise _damaged() from error

    def kind(self, name: str) -> str | None:
        """The kind of an entry, or `None` if no entry has the name."""
        found = self._line(name)
        return found.kind if found else None

    def __iter__(self) -> Iterator[str]:
        if self._lines is None:
            index = self._block[_LENGTH_BYTES + 1 : self._entries].decode()
            # A caller that wants all names will look up many of them.
            lines = (line.split("\t") for line in index.splitlines())
            self._lines = {
                name: _Line(kind, int(offset), int(length)) for name, kind, offset, length in lines
            }
        return iter(self._lines)

    def _line(self, name: str) -> _Line | None:
        if self._lines is not None:
            return self._lines.get(name)
        if "\t" in name or "\n" in name:
            return None
        key = f"\n{name}\t".encode()
        start = self._block.find(key, _LENGTH_BYTES, self._entries)
        if start < 0:
            return None
        end = self._block.index(b"\n", start + 1)
        kind, offset, length = self._block[start + len(key) : end].decode().split("\t")
        return _Line(kind, int(offset), int(length))


def _damaged() -> EngineError:
    return EngineError("The stored types are damaged.", hint=_HINT)
