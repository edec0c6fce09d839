"""Existing partial indexes, which the schema engine would create again in every migration.

It reads databases without regard to the schema's preview features, and without `partialIndexes` it overlooks
such indexes.
"""

import re
from collections.abc import Sequence

import apsw

from lamdb.prisma.datamodel.schema_text import unescape
from lamdb.prisma.sqlite.catalog import quote, read_catalog
from lamdb.prisma.sqlite.sql_text import normalize

_PARTIAL = re.compile(
    r"""^[ \t]*@@(?P<kind>unique|index)\(.*\bmap:[ ]*"(?P<name>(?:[^"\\]|\\.)*)".*"""
    r"""\bwhere:[ ]*raw\("(?P<where>(?:[^"\\]|\\.)*)"\).*\n""",
    re.MULTILINE,
)


def without_present_lines(
    connection: apsw.Connection, files: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The files of a schema without the partial indexes that `connection` has as they are."""
    if not any("where:" in text for _, text in files):
        return list(files)
    present = {
        index.name.lower(): (index.unique, normalize(index.where))
        for table in read_catalog(connection).tables
        for index in table.indexes
        if index.where is not None
    }

    def keep(match: re.Match[str]) -> str:
        wanted = match["kind"] == "unique", normalize(unescape(match["where"]))
        return "" if present.get(unescape(match["name"]).lower()) == wanted else match[0]

    return [(name, _PARTIAL.sub(keep, text)) for name, text in files]


def drop_changed(connection: apsw.Connection, files: Sequence[tuple[str, str]]) -> None:
    """Drop partial indexes that the schema has with another condition, for the engine to make them anew."""
    wanted = {
        unescape(match["name"]).lower(): normalize(unescape(match["where"]))
        for _, text in files
        for match in _PARTIAL.finditer(text)
    }
    for table in read_catalog(connection).tables if wanted else ():
        for index in table.indexes:
            condition = wanted.get(index.name.lower())
            if condition is not None and index.where is not None and normalize(index.where) != condition:
                connection.execute(f"DROP INDEX {quote(index.name)}")
