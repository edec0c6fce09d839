"""Databases of a given size, the same every time, made once and kept."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import BinaryIO, Final

import apsw

from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.stream import Frame, FrameWriter

MIB: Final = 1024 * 1024

_BYTES_PER_ROW: Final = 440
"""Approximate bytes of a row in the table and in the index."""

_BODY: Final = (330, 390)
_WORDS: Final = 300
_LEVELS: Final = 10


@dataclass(frozen=True)
class Dataset:
    """A table of rows and an index on their names, of `megabytes` in all, in one snapshot."""

    megabytes: int
    page_size: int

    @property
    def name(self) -> str:
        return f"{self.megabytes}-mib-{self.page_size}"

    @property
    def rows(self) -> int:
        return self.megabytes * MIB // _BYTES_PER_ROW

    def row_name(self, identifier: int) -> str:
        """The names are in another order than the identifiers."""
        return f"name-{identifier * 2_654_435_761 % 2**32:010d}-{identifier}"


def make(dataset: Dataset, folder: Path) -> Path:
    """The folder in `folder` that holds the LTX files of `dataset`, as in a bucket."""
    place = folder / dataset.name
    if not place.exists():
        _make_at(place, lambda building: _snapshot(dataset, building))
    return place


def _make_at(place: Path, build: Callable[[Path], None]) -> None:
    """Lets `build` fill a folder, which gets its name once it is whole."""
    building = place.with_name(f".{place.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    build(building)
    building.rename(place)


def _snapshot(dataset: Dataset, building: Path) -> None:
    database = building / "database"
    _fill(dataset, database)
    level = building / "0009"
    level.mkdir()
    _write_ltx(database, level / f"{1:016x}-{1:016x}.ltx", dataset.page_size)
    database.unlink()


def _fill(dataset: Dataset, path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        f"PRAGMA page_size = {dataset.page_size}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
        "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, body TEXT NOT NULL); BEGIN"
    ).fetchall()
    connection.executemany("INSERT INTO item VALUES(?, ?, ?)", _rows(dataset))
    connection.execute("CREATE INDEX item_name ON item(name); COMMIT")
    connection.close()


def _rows(dataset: Dataset) -> Iterator[tuple[int, str, str]]:
    random = Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(random.choices(letters, k=random.randint(2, 10))) for _ in range(_WORDS)]
    text = " ".join(random.choices(words, k=200_000))
    for identifier in range(1, dataset.rows + 1):
        start = random.randrange(len(text) - _BODY[1])
        yield identifier, dataset.row_name(identifier), text[start : start + random.randint(*_BODY)]


def _write_ltx(database: Path, target: Path, page_size: int) -> None:
    commit = database.stat().st_size // page_size
    lock = ltx.lock_page(page_size)
    with database.open("rb") as source, target.open("wb") as file:
        header = ltx.Header(page_size, commit, 1, 1, timestamp_ms=0)
        writer = FrameWriter(header, lambda piece: _write(file, piece))
        for number in range(1, commit + 1):
            page = source.read(page_size)
            if number != lock:
                writer.add(Frame.of(number, page))
        writer.finish()


def _write(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)


# Copies


def link_copy(source: Path, target: Path, *levels: str) -> None:
    """The files of `source` (of some levels only) under new names: objects never change, so links do."""
    for level in levels or [path.name for path in source.iterdir()]:
        shutil.copytree(source / level, target / level, copy_function=os.link)


def as_directory_store(source: Path, target: Path) -> str:
    """The URL of a directory store with the files of `source`, a folder as in a bucket."""
    for level in range(_LEVELS):
        files = source / f"{level:04x}"
        if files.exists():
            shutil.copytree(files, target / "ltx" / str(level), copy_function=os.link)
    return target.as_uri()
