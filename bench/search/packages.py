"""The documents: name, summary and description of every package that apt knows.

apt fetches the lists (`apt-get update` into a directory of its own); they are read from there afterwards.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from lamdb.search import tables
from lamdb.search.definition import (
    ColumnSource,
    Facet,
    FacetKind,
    Language,
    Rank,
    SearchDefinition,
    SearchField,
)
from lamdb.search.upkeep import settle

_APT_HELPER: Final = "/usr/lib/apt/apt-helper"
_RELATIONS: Final = ("Depends", "Recommends", "Suggests")


class Package(NamedTuple):
    """A row of the table. `dependants` counts the packages that name this one: the rank signal."""

    name: str
    summary: str
    description: str
    section: str
    priority: str
    installed: int
    dependants: int


def _field(name: str, weight: float) -> SearchField:
    return SearchField((name,), name, weight, ColumnSource(name))


DEFINITION: Final = SearchDefinition(
    model="Package",
    table="Package",
    rowid="id",
    index="Package_search",
    fields=(_field("name", 4.0), _field("summary", 4.0), _field("description", 1.0)),
    uniques=(("id",),),
    facets=(
        Facet("section", "section", FacetKind.TEXT, ColumnSource("section")),
        Facet("priority", "priority", FacetKind.TEXT, ColumnSource("priority")),
    ),
    rank=(Rank("dependants", "dependants", descending=True, source=ColumnSource("dependants")),),
    language=Language.EN,
)

_TABLE: Final = (
    "CREATE TABLE Package (id INTEGER PRIMARY KEY, name TEXT, summary TEXT, description TEXT, section TEXT,"
    " priority TEXT, installed INTEGER, dependants INTEGER)"
)
_INSERT: Final = (
    "INSERT INTO Package (name, summary, description, section, priority, installed, dependants)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def fetch_lists(folder: Path) -> None:
    """Has apt fetch its lists, the English descriptions too, into `folder`, unless they are there."""
    if any(folder.glob("*Translation-en*")):
        return
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "update", "-qq", "-o", f"Dir::State::lists={folder}", "-o", "Acquire::Languages=en"],
        check=True,
    )


def read_packages(folder: Path) -> list[Package]:
    """Returns the packages of the lists in `folder`, each name once, in the order of the lists."""
    descriptions = {}
    for path in sorted(folder.glob("*Translation-en*")):
        for stanza in _stanzas(path):
            descriptions[stanza.get("Description-md5", "")] = _text(stanza.get("Description-en", ""))
    found: dict[str, dict[str, str]] = {}
    named: Counter[str] = Counter()
    for path in sorted(folder.glob("*_Packages*")):
        for stanza in _stanzas(path):
            found.setdefault(stanza.get("Package", ""), stanza)
            for relation in _RELATIONS:
                named.update(set(re.findall(r"[a-z0-9][a-z0-9+.-]*", stanza.get(relation, ""))))
    found.pop("", None)
    return [
        Package(
            name,
            stanza.get("Description", "").partition("\n")[0],
            descriptions.get(stanza.get("Description-md5", ""), ""),
            stanza.get("Section", ""),
            stanza.get("Priority", ""),
            int(stanza.get("Installed-Size", "0")),
            named[name],
        )
        for name, stanza in found.items()
    ]


def _stanzas(path: Path) -> Iterator[dict[str, str]]:
    """Yields the fields of each paragraph of a list; continuation lines keep their line breaks."""
    text = subprocess.run([_APT_HELPER, "cat-file", path], capture_output=True, check=True).stdout
    for paragraph in text.decode(errors="replace").split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.split("\n"):
            if line[:1] == " ":
                fields[name] += "\n" + line
            elif line:
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        if fields:
            yield fields


def _text(description: str) -> str:
    """A description without its first line, which is the summary, and without the marks of empty lines."""
    lines = description.split("\n")[1:]
    return "\n".join("" if line.strip() == "." else line[1:] for line in lines).strip()


def build(path: Path, packages: Sequence[Package], page_size: int = 8192) -> apsw.Connection:
    """Makes a database file with the packages, their index and vocabulary; an open connection to it."""
    path.unlink(missing_ok=True)
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_size}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
    connection.execute(_TABLE)
    with connection:
        connection.executemany(_INSERT, packages)
    for statement in tables.ddl(DEFINITION):
        connection.execute(statement)
    settle(connection)
    return connection
