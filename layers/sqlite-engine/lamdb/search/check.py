"""Checking that the index and the side table of a search agree with the rows they were made from."""

from collections.abc import Iterator

import apsw

from lamdb.search.definition import DOCID
from lamdb.search.tables import quote

_SHOWN = 5
"""Records whose ids are reported."""


def faults(connection: apsw.Connection, index: str, rows: str, side: str | None) -> Iterator[str]:
    """Yields what is wrong with a search, for people. Reads all of it; nothing is changed.

    `rows` is the view that the index is made from. The connection must be able to write: FTS5 is asked by an
    INSERT, which stores nothing.
    """
    name, view = quote(index), quote(rows)
    try:
        connection.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('integrity-check', 1)")
    except apsw.CorruptError:
        yield f"the index {index} does not agree with the rows it was made from"
    except apsw.SQLError as error:
        yield f"the index {index} cannot be read: {error}"
        return
    docs = quote(f"{index}_docsize")
    pairs = [
        (f"SELECT {DOCID} FROM {view}", f"SELECT id FROM {docs}", "are missing in the index"),
        (f"SELECT id FROM {docs}", f"SELECT {DOCID} FROM {view}", "are in the index and have no row"),
    ]
    if side is not None:
        listed = connection.execute("SELECT name FROM pragma_table_info(?)", (side,))
        columns = ", ".join(quote(str(column)) for (column,) in listed.fetchall())
        kept, real = f"SELECT {columns} FROM {quote(side)}", f"SELECT {columns} FROM {view}"
        pairs += [
            (real, kept, f"are not as {side} has them"),
            (kept, real, f"of {side} are not so in the rows"),
        ]
    for one, other, said in pairs:
        found = connection.execute(f"{one} EXCEPT {other}").fetchall()
        if found:
            numbers = ", ".join(str(row[0]) for row in found[:_SHOWN])
            more = ", …" if len(found) > _SHOWN else ""
            yield f"{index}: {len(found)} records {said}: {numbers}{more}"
