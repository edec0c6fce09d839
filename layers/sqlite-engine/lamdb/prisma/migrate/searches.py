"""The tables and triggers of searches in migrations: what a schema declares, and what a database has.

The searches of a database are found by the names of their tables, whichever schema made them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import apsw

from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.sqlite.sql_text import normalize
from lamdb.search.check import faults
from lamdb.search.definition import OWN_PREFIX, SearchDefinition
from lamdb.search.tables import fill, objects, refill

NO_DIFFERENCE: Final = "No difference"
"""The first words of the engine's summary without a difference."""

_OWN_NAME = re.compile(rf"{OWN_PREFIX}(?P<table>.+?)_(?:rows|side|pending)\b")
_OBJECTS = f"""
SELECT type, name, sql FROM sqlite_schema
WHERE sql IS NOT NULL AND sql LIKE '%{OWN_PREFIX.replace("_", "@_")}%' ESCAPE '@' ORDER BY rowid
"""
_NAME = re.compile(r'"((?:[^"]|"")+)"')


@dataclass(frozen=True, slots=True)
class Search:
    """The search of one table: CREATE statements by (type, name), in an order in which they can run."""

    table: str
    objects: Mapping[tuple[str, str], str]
    fill: tuple[str, ...] = ()
    """The statements that index all records anew."""

    @property
    def spelled(self) -> dict[str, str]:
        """The statements in one spelling, by name in lower case."""
        return {name.lower(): normalize(sql) for (_, name), sql in self.objects.items()}

    @property
    def sources(self) -> set[str]:
        """All names in the view of the text, those of tables among them, in lower case."""
        views = [sql for (kind, _), sql in self.objects.items() if kind == "view"]
        return {name.lower() for sql in views for name in _NAME.findall(sql)}

    @property
    def index(self) -> str | None:
        """The FTS5 table; None if it is gone."""
        return next((name for (_, name), sql in self.objects.items() if "USING fts5(" in sql), None)

    @property
    def rows(self) -> str | None:
        """The view that the index is made from; None if it is gone."""
        return next((name for (kind, name) in self.objects if kind == "view"), None)

    @property
    def side(self) -> str | None:
        """The table of facets and rank, if there is one."""
        return next((name for (_, name) in self.objects if name.endswith("_side")), None)

    def drop(self) -> Iterator[str]:
        """Yields the statements that remove it."""
        for kind in ("trigger", "table", "view"):
            for other, name in reversed(list(self.objects)):
                if other == kind:
                    yield f"DROP {kind.upper()} IF EXISTS {quote(name)}"


type Searches = Mapping[str, Search]
"""By table in lower case."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The steps from the searches of a database to others.

    `before` are statements that run before the tables change, `after` those that run when they have.
    `summary` has a line for people for each search that changes.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()

    def around(self, script: str | None) -> str | None:
        """Returns a migration's script with these statements; None if there is none and nothing to do."""
        if not self.summary:
            return script
        before = "".join(f"{each};\n" for each in self.before)
        after = "".join(f"{each};\n" for each in self.after)
        parts = [
            f"-- DropSearch\n{before}" if before else "",
            f"{script.strip()}\n" if script and script.strip() else "",
            f"-- CreateSearch\n{after}" if after else "",
        ]
        return "\n".join(filter(None, parts))

    def told(self, summary: str) -> str:
        """Returns the engine's summary for people with these changes."""
        if not self.summary:
            return summary
        lines = "".join(f"{line}\n" for line in self.summary)
        return lines if summary.strip().startswith(NO_DIFFERENCE) else f"{summary.rstrip()}\n\n{lines}"


def declared(definitions: Iterable[SearchDefinition]) -> Searches:
    """Returns the searches that a schema declares."""
    return {
        each.table.lower(): Search(
            each.table, {(_kind(sql), name): sql for name, sql in objects(each).items()}, tuple(fill(each))
        )
        for each in definitions
    }


def present(connection: apsw.Connection) -> Searches:
    """Returns the searches that a database has."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    for kind, name, sql in [tuple(map(str, row)) for row in connection.execute(_OBJECTS)]:
        # A trigger or an index of users' may name such a table too: it belongs to no search.
        own = _OWN_NAME.match(name) or (_OWN_NAME.search(sql) if _is_search_sql(kind, name, sql) else None)
        if own:
            found.setdefault(own["table"], {})[kind, name] = sql
    return {table.lower(): _filled(connection, Search(table, made)) for table, made in found.items()}


def _filled(connection: apsw.Connection, search: Search) -> Search:
    if search.index is None or search.rows is None:
        return search
    listed = connection.execute("SELECT name FROM pragma_table_info(?)", (search.side or "",))
    columns = [str(name) for (name,) in listed]
    return replace(search, fill=tuple(refill(search.index, search.rows, search.side, columns)))


def search_faults(connection: apsw.Connection) -> list[str]:
    """Returns what is wrong with the searches of a database that can be written, for people."""
    found: list[str] = []
    for search in present(connection).values():
        if search.index is None or search.rows is None:
            found.append(f"the search of {search.table} lacks its index or its view")
        else:
            found += faults(connection, search.index, search.rows, search.side)
    return found


def faults_of_file(path: Path) -> list[str]:
    """Returns what is wrong with the searches of a database file, for people.

    FTS5 checks an index only where it could write; what it writes is rolled back.
    """
    with closing(apsw.Connection(str(path))) as connection:
        if not present(connection):
            return []
        # There is one connection: a file in WAL mode needs no shared memory beside it.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN").fetchall()
        try:
            return search_faults(connection)
        finally:
            connection.execute("ROLLBACK")


def _kind(sql: str) -> str:
    word = sql.split(maxsplit=2)[1].lower()
    return "table" if word == "virtual" else word


def _is_search_sql(kind: str, name: str, sql: str) -> bool:
    """True if an object is the index of a search, or one of its triggers."""
    if kind == "table":
        return f"content='{OWN_PREFIX}" in sql
    own = _OWN_NAME.search(sql)
    return (
        kind == "trigger" and own is not None and name.lower().startswith(f"{own['table']}_search_".lower())
    )


def changes(found: Searches, wanted: Searches) -> Changes:
    """Returns the steps from some searches to others."""
    before: list[str] = []
    after: list[str] = []
    summary: list[str] = []
    for table in sorted(found.keys() | wanted.keys()):
        old, new = found.get(table), wanted.get(table)
        if old is not None and new is not None and old.spelled == new.spelled:
            continue
        before += old.drop() if old is not None else ()
        after += [*new.objects.values(), *new.fill] if new is not None else ()
        if new is None:
            summary.append(f"[-] Removed search of `{table if old is None else old.table}`")
        else:
            summary.append(f"{'[+] Added' if old is None else '[*] Changed'} search of `{new.table}`")
    return Changes(tuple(before), tuple(after), tuple(summary))


def own_tables(*searches: Searches) -> list[str]:
    """Returns the names of tables that the schema engine is to leave alone."""
    return [
        name
        for each in searches
        for search in each.values()
        for kind, name in search.objects
        if kind == "table"
    ]


def schema_changes(connection: apsw.Connection, definitions: Iterable[SearchDefinition]) -> Changes:
    """Returns the steps from the searches that a database has to those that a schema declares."""
    return changes(present(connection), declared(definitions))


def refilling(connection: apsw.Connection, tables: Iterable[str], script: str) -> Iterator[str]:
    """Yields the statements that rebuild the indexes of searches that read one of `tables`, which were
    rebuilt.

    What the script itself indexes anew is left out.
    """
    rebuilt = {table.lower() for table in tables}
    for search in present(connection).values():
        if search.fill and not rebuilt.isdisjoint(search.sources) and search.fill[-1] not in script:
            yield from search.fill
