"""Documents that engines search: in a database with lamDB's index, and field by field for the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import apsw

from lamdb.search.definition import SearchDefinition
from lamdb.search.tables import quote


@dataclass(frozen=True)
class Corpus:
    """`names` are what answers are judged by, by the rowids of the documents in the definition's table."""

    connection: apsw.Connection
    definition: SearchDefinition
    names: Mapping[int, str]

    @cached_property
    def weights(self) -> dict[str, float]:
        """The columns of text with their weights."""
        return {field.column: field.weight for field in self.definition.fields}

    def documents(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields the rowid of each document and its texts by column."""
        columns = ", ".join(map(quote, self.weights))
        table, rowid = quote(self.definition.table), quote(self.definition.rowid)
        for number, *texts in self.connection.execute(f"SELECT {rowid}, {columns} FROM {table} ORDER BY 1"):
            yield number, dict(zip(self.weights, texts, strict=True))
