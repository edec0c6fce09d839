"""Vocabularies as bytes, which a database file brings along."""

import zlib

import pytest

from lamdb.errors import CorruptFile
from lamdb.search import vocabulary


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zlib",
        vocabulary.pack([("radio", 3), ("terminal", 9)])[:-12],
        zlib.compress(b"radio\nterminal\0A"),
        zlib.compress(b"\xff\xfe\0A"),
        zlib.compress(bytes(200_000_000), 9),
    ],
    ids=["nothing", "other bytes", "cut", "fewer counts", "no text", "a bomb"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptFile, match="vocabulary"):
        vocabulary.unpack(data)
