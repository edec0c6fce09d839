"""The SQL of a searched model's tables, view and triggers (https://www.sqlite.org/fts5.html).

FTS5 with external content needs the old text of a record when it changes. The text may be changed by a
statement on any table that it comes from, also one that replaces rows (`INSERT OR REPLACE`) or that deletes
them by a foreign key, and triggers of SQLite see the old rows in BEFORE triggers only. So:

- a BEFORE trigger notes the present text of the records that the statement may change, in `…_pending`;
- an AFTER trigger empties `…_pending`; a trigger on its deletions takes the noted text out of the index and
  puts the present text in.

A record that is noted already is not noted again: its first text is the one in the index. A statement that
ends before its AFTER trigger (`OR IGNORE`) leaves a note that is true, and the next change takes it away.

A statement with REPLACE deletes rows after the BEFORE triggers without firing those of DELETE, but does
what foreign keys say of the deletion. Triggers of the rows that this changes would empty `…_pending` too
early, so where there are such rows, a statement that replaced one fails, with advice to use `ON CONFLICT …
DO UPDATE`. A mark in `…_pending` tells that there was a row to replace.

The work is done by a trigger on deletions for a second reason. The statements of a trigger follow the
conflict clause of the statement that fired it: under `INSERT OR REPLACE`, FTS5 would take the new text out
of the index before it puts it in. A DELETE has no conflict clause, and so neither has what its triggers do.
"""

from collections.abc import Iterator, Sequence

from lamdb.search.definition import (
    DOCID,
    ColumnSource,
    Facet,
    Hop,
    Language,
    Rank,
    SearchDefinition,
    SearchField,
)

_FIRST_MARK = -(2**62)
"""The `docid` of the mark of a model's own table; those of other tables count down from it."""
INDEXED = "indexed"
"""The column of the pending table that is 1 if the record's noted text is in the index."""

_TOKENIZERS = {
    Language.EN: "porter unicode61 remove_diacritics 2",
    Language.NONE: "unicode61 remove_diacritics 2",
    Language.CJK: "trigram remove_diacritics 1",
}
_CRISIS_SEGMENTS = 64
"""Segments of one level from which a write merges them itself. Before it comes to that, maintenance does."""
_FILLING_BYTES = 64 * 1024 * 1024
"""Bytes that FTS5 gathers in memory while an index is filled. So much makes one segment of 60,000
documents, and leaves the sizes of documents (`_docsize`) on pages that lie together: a cold search fetches
them at once."""
_USUAL_BYTES = 1024 * 1024
_MOST_VALUES = 1_000
"""Values of a list in JSON that are searched and counted: each is looked for from the list's beginning."""
_PAGE_OVERHEAD = 50
"""Bytes of a page that a block of FTS5 cannot fill, if it is to stand on one page."""


def quote(name: str) -> str:
    """Returns a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def ddl(definition: SearchDefinition) -> list[str]:
    """Returns the statements that make a model's search, in order, the last of which fills it."""
    return [*objects(definition).values(), *fill(definition)]


def objects(definition: SearchDefinition) -> dict[str, str]:
    """Returns the CREATE statements by the names of what they make, in an order in which they can run."""
    made = {definition.rows: _view(definition), definition.index: _index(definition)}
    if definition.side_columns:
        made[definition.side] = _side(definition)
    made[definition.pending] = _pending(definition)
    return made | triggers(definition)


def triggers(definition: SearchDefinition) -> dict[str, str]:
    """Returns the CREATE TRIGGER statements by name."""
    made = {f"{definition.index}_apply": _apply(definition)}
    made |= dict(_own_triggers(definition))
    for number, (hops, columns) in enumerate(_related(definition), 1):
        made |= dict(_related_triggers(definition, number, hops, columns))
    return made


def fill(definition: SearchDefinition) -> list[str]:
    """Returns the statements that index all records anew."""
    side = definition.side if definition.side_columns else None
    return refill(definition.index, definition.rows, side, [DOCID, *definition.side_columns])


def refill(index: str, rows: str, side: str | None, columns: Sequence[str]) -> list[str]:
    """Returns the statements that index all records anew, for tables of these names.

    `columns` are all those of the side table, if there is one.
    """
    option = f"INSERT INTO {quote(index)} ({quote(index)}, rank)"
    statements = [
        f"{option} SELECT 'pgsz', page_size - {_PAGE_OVERHEAD} FROM pragma_page_size",
        f"{option} VALUES ('automerge', 0)",
        f"{option} VALUES ('crisismerge', {_CRISIS_SEGMENTS})",
    ]
    if side is not None:
        names = _names(columns)
        statements += [
            f"DELETE FROM {quote(side)}",
            f"INSERT INTO {quote(side)} ({names}) SELECT {names} FROM {quote(rows)} ORDER BY {DOCID}",
        ]
    rebuild = f"INSERT INTO {quote(index)} ({quote(index)}) VALUES ('rebuild')"
    return [
        *statements,
        f"{option} VALUES ('hashsize', {_FILLING_BYTES})",
        rebuild,
        f"{option} VALUES ('hashsize', {_USUAL_BYTES})",
    ]


def drop(definition: SearchDefinition) -> list[str]:
    """Returns the statements that remove everything that `objects` makes, if it is there."""
    names = objects(definition)
    return [
        *(f"DROP TRIGGER IF EXISTS {quote(name)}" for name in triggers(definition)),
        f"DROP TABLE IF EXISTS {quote(definition.pending)}",
        *([f"DROP TABLE IF EXISTS {quote(definition.side)}"] if definition.side in names else []),
        f"DROP TABLE IF EXISTS {quote(definition.index)}",
        f"DROP VIEW IF EXISTS {quote(definition.rows)}",
    ]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(quote, columns))


def _index(definition: SearchDefinition) -> str:
    options = [
        f"content={_literal(definition.rows)}",
        f"content_rowid={_literal(DOCID)}",
        f"tokenize={_literal(_TOKENIZERS[definition.language])}",
    ]
    columns = [quote(field.column) for field in definition.fields]
    return f"CREATE VIRTUAL TABLE {quote(definition.index)} USING fts5({', '.join([*columns, *options])})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _view(definition: SearchDefinition) -> str:
    columns = [f"t.{quote(definition.rowid)} AS {DOCID}"]
    columns += [f"{_text(field.source)} AS {quote(field.column)}" for field in definition.fields]
    taken = {field.column for field in definition.fields}
    for part in definition.side_parts():
        if part.column not in taken:
            taken.add(part.column)
            columns.append(f"{_values(part)} AS {quote(part.column)}")
    chosen = ",\n  ".join(columns)
    return f"CREATE VIEW {quote(definition.rows)} AS SELECT\n  {chosen}\nFROM {quote(definition.table)} t"


def _text(source: ColumnSource) -> str:
    return _aggregate(source, "group_concat(v, char(10))")


def _values(part: Facet | Rank) -> str:
    return _aggregate(part.source, "json_group_array(v)")


def _aggregate(source: ColumnSource, aggregate: str) -> str:
    hops = source.hops
    value = f"{f'h{len(hops)}' if hops else 't'}.{quote(source.column)}"
    if source.json:
        value = _json(value, source.keys, aggregate)
    if not hops:
        return value
    tables = ", ".join(f"{quote(hop.table)} h{number}" for number, hop in enumerate(hops, 1))
    found = f"{tables} WHERE {' AND '.join(_conditions(hops))}"
    if not any(hop.many for hop in hops):
        return f"(SELECT {value} FROM {found})"
    # Always in one order: FTS5 compares the positions of words when it checks an index.
    order = ", ".join(f"h{number}.rowid" for number in range(len(hops), 0, -1))
    return (
        f"(SELECT {aggregate} FROM (SELECT {value} AS v FROM {found} AND {value} IS NOT NULL"
        f" ORDER BY {order}))"
    )


def _json(value: str, keys: Sequence[str], aggregate: str) -> str:
    """The texts and numbers of a JSON value, as texts.

    FTS5 may read its content from functions but not from table-valued ones such as `json_each`. So the places
    of a list are counted by recursion. A text that is no JSON has no values: reading it would fail, and with
    it every statement that writes such a text.
    """
    below = "".join(f".{quote(key)}" for key in keys)
    whole = _literal(f"${below}")
    element = f"'$[' || i || {_literal(f']{below}')}"
    lists = [f"WHEN json_type(x) = 'array' THEN {element}"]
    length = "json_array_length(x)"
    if keys:
        lists.append(f"WHEN json_type(x, {whole}) = 'array' THEN {_literal(f'${below}[')} || i || ']'")
        # It has no length where there is no such key.
        length = f"max({length}, coalesce(json_array_length(x, {whole}), 0))"
    return (
        f"(SELECT {aggregate} FROM (WITH RECURSIVE"
        f" c(x) AS (SELECT {value} WHERE json_valid({value})),"
        f" n(x, i) AS (SELECT x, 0 FROM c UNION ALL"
        f" SELECT x, i + 1 FROM n WHERE i + 1 < min({_MOST_VALUES}, {length})),"
        f" q(x, i, p) AS (SELECT x, i, CASE {' '.join(lists)} ELSE {whole} END FROM n)"
        f" SELECT x ->> p || '' AS v FROM q WHERE json_type(x, p) IN ('text', 'integer', 'real') ORDER BY i))"
    )


def _conditions(hops: Sequence[Hop]) -> Iterator[str]:
    before = "t"
    for number, hop in enumerate(hops, 1):
        for own, other in hop.on:
            yield f"h{number}.{quote(other)} = {before}.{quote(own)}"
        before = f"h{number}"


def _side(definition: SearchDefinition) -> str:
    columns = ", ".join(map(quote, definition.side_columns))
    return f"CREATE TABLE {quote(definition.side)} ({DOCID} INTEGER PRIMARY KEY, {columns})"


def _pending(definition: SearchDefinition) -> str:
    columns = ", ".join(quote(field.column) for field in definition.fields)
    return (
        f"CREATE TABLE {quote(definition.pending)}"
        f" ({DOCID} INTEGER PRIMARY KEY, {INDEXED} INTEGER NOT NULL, {columns})"
    )


def _apply(definition: SearchDefinition) -> str:
    index, rows, side = quote(definition.index), quote(definition.rows), quote(definition.side)
    columns = _names([field.column for field in definition.fields])
    old = ", ".join(f"old.{quote(field.column)}" for field in definition.fields)
    body = [
        f"INSERT INTO {index} ({index}, rowid, {columns})"
        f" SELECT 'delete', old.{DOCID}, {old} WHERE old.{INDEXED}",
        f"INSERT INTO {index} (rowid, {columns})"
        f" SELECT {DOCID}, {columns} FROM {rows} WHERE {DOCID} = old.{DOCID}",
    ]
    if definition.side_columns:
        kept = _names([DOCID, *definition.side_columns])
        body += [
            f"DELETE FROM {side} WHERE {DOCID} = old.{DOCID}",
            f"INSERT INTO {side} ({kept}) SELECT {kept} FROM {rows} WHERE {DOCID} = old.{DOCID}",
        ]
    return _trigger(f"{definition.index}_apply", f"AFTER DELETE ON {quote(definition.pending)}", body)


def _trigger(name: str, event: str, body: Sequence[str]) -> str:
    statements = "".join(f"  {statement};\n" for statement in body)
    return f"CREATE TRIGGER {quote(name)} {event} BEGIN\n{statements}END"


def _note(definition: SearchDefinition, records: Sequence[str]) -> str:
    """Notes the present text of the records with the rowids that the queries `records` find."""
    columns = _names([field.column for field in definition.fields])
    pending = quote(definition.pending)
    return (
        f"INSERT INTO {pending} ({DOCID}, {INDEXED}, {columns})"
        f" SELECT {DOCID}, {DOCID} IN {_indexed(definition)}, {columns}"
        f" FROM {quote(definition.rows)} WHERE {DOCID} IN ({' UNION '.join(records)})"
        f" AND {DOCID} NOT IN (SELECT {DOCID} FROM {pending})"
    )


def _note_new(definition: SearchDefinition) -> str:
    """Notes that the record of the new row is to be indexed."""
    pending, rowid = quote(definition.pending), f"new.{quote(definition.rowid)}"
    return (
        f"INSERT INTO {pending} ({DOCID}, {INDEXED}) SELECT {rowid}, 0"
        f" WHERE {rowid} NOT IN (SELECT {DOCID} FROM {pending}) AND {rowid} NOT IN {_indexed(definition)}"
    )


def _indexed(definition: SearchDefinition) -> str:
    """The rowids that the index has: FTS5 keeps the length of every record's text."""
    return f"(SELECT id FROM {quote(f'{definition.index}_docsize')})"


def _own_triggers(definition: SearchDefinition) -> Iterator[tuple[str, str]]:
    """Triggers on the model's own table."""
    table, rowid = quote(definition.table), quote(definition.rowid)
    prefix = definition.index
    # A rowid that is not given is -1 before it is found.
    known = f" AND new.{rowid} <> -1" if definition.cascades else ""
    conflicts = [f"SELECT t.{rowid} FROM {table} t WHERE t.{rowid} = new.{rowid}{known}"]
    conflicts += [
        f"SELECT t.{rowid} FROM {table} t WHERE {_same(unique, 't')}"
        for unique in definition.uniques
        if unique != (definition.rowid,)
    ]
    replacing = _Replacing(definition, 0, table, conflicts, f"t.{rowid} <> old.{rowid}")
    yield _named(f"{prefix}_bi", f"BEFORE INSERT ON {table}", replacing.before_insert([]))
    yield _named(f"{prefix}_ai", f"AFTER INSERT ON {table}", replacing.after([_note_new(definition)]))
    keys = {column for columns in definition.uniques for column in columns}
    texts = sorted(_own_columns(definition, definition.fields) | keys)
    changed = f"OF {_names(texts)} ON {table} WHEN {_differs(texts)}"
    # No trigger can be bound to a rowid that is set by that name.
    moved = f"ON {table} WHEN old.{rowid} <> new.{rowid}"
    old = [f"SELECT old.{rowid}"]
    yield _named(f"{prefix}_bu", f"BEFORE UPDATE {changed}", replacing.before_update(old))
    yield _named(f"{prefix}_au", f"AFTER UPDATE {changed}", replacing.after([]))
    yield _named(f"{prefix}_bm", f"BEFORE UPDATE {moved}", replacing.before_update(old))
    yield _named(f"{prefix}_am", f"AFTER UPDATE {moved}", replacing.after([_note_new(definition)]))
    sides = sorted(_own_columns(definition, tuple(definition.side_parts())) - set(texts))
    if sides:
        side, kept = quote(definition.side), _names([DOCID, *definition.side_columns])
        yield _named(
            f"{prefix}_as",
            f"AFTER UPDATE OF {_names(sides)} ON {table} WHEN {_differs(sides)}",
            [
                f"DELETE FROM {side} WHERE {DOCID} IN (old.{rowid}, new.{rowid})",
                f"INSERT INTO {side} ({kept}) SELECT {kept} FROM {quote(definition.rows)}"
                f" WHERE {DOCID} = new.{rowid}",
            ],
        )
    yield _named(f"{prefix}_bd", f"BEFORE DELETE ON {table}", [_note(definition, old)])
    yield _named(f"{prefix}_ad", f"AFTER DELETE ON {table}", [_empty(definition)])


class _Replacing:
    """The bodies of triggers on statements that may replace rows of a table.

    `conflicts` are queries that find the records whose text comes from the rows to replace; `other` is the
    condition, to be added to them, that such a row is not the one that is updated.
    """

    def __init__(
        self, definition: SearchDefinition, number: int, table: str, conflicts: Sequence[str], other: str
    ) -> None:
        self._definition = definition
        self._mark = _FIRST_MARK - number
        self._table = table
        self._conflicts = conflicts
        self._other = other

    def before_insert(self, records: Sequence[str]) -> list[str]:
        return self._before(records, self._conflicts)

    def before_update(self, records: Sequence[str]) -> list[str]:
        return self._before(records, [f"{each} AND {self._other}" for each in self._conflicts])

    def after(self, body: Sequence[str]) -> list[str]:
        definition = self._definition
        if not (definition.cascades and self._conflicts):
            return [*body, _empty(definition)]
        pending, mark = quote(definition.pending), f"{DOCID} = {self._mark}"
        message = (
            f"Rows of {self._table} are searched with their relations and cannot be replaced:"
            " write ON CONFLICT ... DO UPDATE instead of REPLACE"
        )
        refuse = f"SELECT RAISE(ABORT, {_literal(message)}) FROM {pending} WHERE {mark}"
        return [refuse, *body, _empty(definition)]

    def _before(self, records: Sequence[str], conflicts: Sequence[str]) -> list[str]:
        definition, pending = self._definition, quote(self._definition.pending)
        if not (definition.cascades and conflicts):
            return [_note(definition, [*records, *conflicts])]
        return [
            *([_note(definition, records)] if records else []),
            f"DELETE FROM {pending} WHERE {DOCID} = {self._mark}",
            f"INSERT INTO {pending} ({DOCID}, {INDEXED})"
            f" SELECT {self._mark}, 0 WHERE EXISTS ({' UNION ALL '.join(conflicts)})",
        ]


def _empty(definition: SearchDefinition) -> str:
    """Has all noted records indexed. Marks stay: the statement that made one has not ended yet."""
    return f"DELETE FROM {quote(definition.pending)} WHERE {DOCID} > {_FIRST_MARK}"


def _same(columns: Sequence[str], row: str) -> str:
    return " AND ".join(f"{row}.{quote(each)} = new.{quote(each)}" for each in columns)


def _named(name: str, event: str, body: Sequence[str]) -> tuple[str, str]:
    return name, _trigger(name, event, body)


def _own_columns(definition: SearchDefinition, parts: Sequence[SearchField | Facet | Rank]) -> set[str]:
    """The columns of the model's own table that these read, those that lead to other tables included."""
    found = set()
    for part in parts:
        hops = part.source.hops
        found |= {own for own, _ in hops[0].on} if hops else {part.source.column}
    return found - {definition.rowid}


def _differs(columns: Sequence[str]) -> str:
    return " OR ".join(f"old.{quote(each)} IS NOT new.{quote(each)}" for each in columns)


def _related(
    definition: SearchDefinition,
) -> Iterator[tuple[tuple[Hop, ...], frozenset[str]]]:
    """Yields each path to another table, with that table's columns that matter."""
    found: dict[tuple[Hop, ...], set[str]] = {}
    for part in (*definition.fields, *definition.side_parts()):
        hops = part.source.hops
        for length in range(1, len(hops) + 1):
            columns = found.setdefault(hops[:length], set())
            columns |= {other for _, other in hops[length - 1].on}
            columns |= {column for unique in hops[length - 1].uniques for column in unique}
            if length == len(hops):
                columns.add(part.source.column)
            else:
                columns |= {own for own, _ in hops[length].on}
    yield from ((hops, frozenset(columns)) for hops, columns in found.items())


def _related_triggers(
    definition: SearchDefinition, number: int, hops: Sequence[Hop], columns: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Triggers on the table that a path leads to."""
    hop = hops[-1]
    table, prefix = quote(hop.table), f"{definition.index}_{number}"
    conflicts = [
        _reached(definition, hops, "r", f", {table} r", [_same(unique, "r")]) for unique in hop.uniques
    ]
    replacing = _Replacing(definition, number, table, conflicts, "r.rowid <> old.rowid")
    before, after = _reached(definition, hops, "old"), _reached(definition, hops, "new")
    names = sorted(columns)
    changed = f"OF {_names(names)} ON {table} WHEN {_differs(names)}"
    yield _named(f"{prefix}_bi", f"BEFORE INSERT ON {table}", replacing.before_insert([after]))
    yield _named(f"{prefix}_ai", f"AFTER INSERT ON {table}", replacing.after([]))
    yield _named(f"{prefix}_bu", f"BEFORE UPDATE {changed}", replacing.before_update([before, after]))
    yield _named(f"{prefix}_au", f"AFTER UPDATE {changed}", replacing.after([]))
    yield _named(f"{prefix}_bd", f"BEFORE DELETE ON {table}", [_note(definition, [before])])
    yield _named(f"{prefix}_ad", f"AFTER DELETE ON {table}", [_empty(definition)])


def _reached(
    definition: SearchDefinition,
    hops: Sequence[Hop],
    row: str,
    more: str = "",
    conditions: Sequence[str] = (),
) -> str:
    """Finds the records from which the path `hops` leads to `row` (old, new, or an alias in `more`)."""
    *inner, last = hops
    before = f"h{len(inner)}" if inner else "t"
    tables = "".join(f", {quote(hop.table)} h{place}" for place, hop in enumerate(inner, 1))
    links = [f"{before}.{quote(own)} = {row}.{quote(other)}" for own, other in last.on]
    where = " AND ".join([*_conditions(inner), *links, *conditions])
    return f"SELECT t.{quote(definition.rowid)} FROM {quote(definition.table)} t{tables}{more} WHERE {where}"
