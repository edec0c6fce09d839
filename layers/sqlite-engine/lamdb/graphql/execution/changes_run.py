"""Answers the root field `changes`: reads what `lamdb.storage.recording` has written down.

A caller that rules bind gets the changes of records that it may read. The rule of a change is decided on the
record's values before and after it, with related records as they are now; a change for which it cannot be
decided is left out. A record that an update brings into the caller's sight is a CREATE with its present
values; one that an update takes out of it is a DELETE without values.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw
import orjson

from lamdb.changes.definition import RecordedField, RecordedModel
from lamdb.errors import ChangesNotKept, QueryError
from lamdb.graphql.execution.operation import ChangesRoot, Output
from lamdb.prisma.values import Decoder, decoder
from lamdb.rules.enforcement import is_ruled, unruled
from lamdb.rules.symbols import ROW
from lamdb.storage.budget import checkpoint
from lamdb.storage.recording import CHANGES, FEED, LAYOUTS, PART_BITS, noted

TAKE: Final = 100
MAX_TAKE: Final = 1000
_MOST_SCANNED: Final = 20_000
"""Changes that one request looks at, those of other models included."""
_MOST_BYTES: Final = 8 * 1024 * 1024
"""The stored bytes of changes that one request answers."""

_CURSOR: Final = re.compile(r"(?P<txid>\d{1,12})(?:\.(?P<part>\d{1,7})\.(?P<done>\d{1,9}))?")
_RULED_COLUMN: Final = re.compile(ROW + r'\."((?:[^"]|"")+)"')
_TYPES: Final = {
    "String": "string",
    "Int": "int",
    "BigInt": "bigint",
    "Float": "float",
    "Decimal": "decimal",
    "Boolean": "boolean",
    "DateTime": "datetime",
    "Json": "json",
}
_ROWS: Final = "lamdb_change_rows"

type Row = dict[str, Any]
"""Values of SQLite by column."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    """A place in the record: a commit, or in it a part and how many of its changes are done."""

    txid: int
    part: int | None = None
    done: int = 0

    @classmethod
    def parse(cls, text: str) -> "_Cursor":
        """Raises `QueryError` (P2009)."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise QueryError(
                f"`since` is {text[:80]!r}, which is neither a cursor of the feed nor a TXID.", code="P2009"
            )
        if found["part"] is None:
            return cls(int(found["txid"]))
        return cls(int(found["txid"]), int(found["part"]), int(found["done"]))

    def __str__(self) -> str:
        return str(self.txid) if self.part is None else f"{self.txid}.{self.part}.{self.done}"


@dataclass(slots=True)
class _Change:
    cursor: _Cursor
    model: RecordedModel
    operation: str
    old: Row = field(default_factory=dict)
    new: Row = field(default_factory=dict)
    context: Row = field(default_factory=dict)
    present: Row | None = None
    """The values now, of a record that has come into sight."""

    def before(self) -> Row:
        """All that is known of the row before the change."""
        return {**self.context, **self.old}

    def after(self) -> Row:
        return {**self.context, **self.old, **self.new} if self.operation == "UPDATE" else self.new


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A part of the feed. `changes` have the fields of the API's type `Change`; JSON in them is text."""

    changes: Sequence[Mapping[str, Any]]
    next: str
    more: bool


class ChangeFeed:
    """Reads the recorded changes of one schema's models."""

    def __init__(self, models: Sequence[RecordedModel]) -> None:
        self._models = {each.model: each for each in models}
        self._decoders = {each.model: _Decoding(each) for each in models}

    @property
    def models(self) -> Sequence[str]:
        """The names of the models whose changes are recorded."""
        return list(self._models)

    def answer(self, connection: apsw.Connection, root: ChangesRoot, arguments: Mapping[str, Any]) -> Any:
        """Returns what the response has for the field.

        Raises `ChangesNotKept` if changes after `since` are no longer there, `QueryError` (P2009) for bad
        arguments.
        """
        take = arguments.get("take")
        if take is None:
            take = TAKE
        if not 1 <= take <= MAX_TAKE:
            raise QueryError(f"`take` of changes is {take}; it can be 1 to {MAX_TAKE}.", code="P2009")
        names = arguments.get("models")
        wanted = self.models if names is None else [names] if isinstance(names, str) else names
        page = self.page(connection, arguments.get("since"), wanted, take)
        return _shown(root.outputs, {"changes": page.changes, "next": page.next, "more": page.more})

    def page(
        self, connection: apsw.Connection, since: str | None, models: Sequence[str], take: int
    ) -> ChangePage:
        """Returns up to `take` changes of these models after a cursor; without one, the present cursor.

        A connection that rules bind sees the changes that they allow. Raises as `answer` does.
        """
        tables = {self._models[name].table: self._models[name] for name in models}
        plain = unruled(connection)
        if since is None:
            return ChangePage([], str(_present(plain)), more=False)
        page = _Page(plain, _Cursor.parse(since), tables, take)
        found = page.read()
        if is_ruled(connection):
            found = _Sight(connection).filtered(found)
        shown = [self._decoders[each.model.model].shown(each) for each in found]
        return ChangePage(shown, str(page.next), page.more)


def _present(connection: apsw.Connection) -> _Cursor:
    start = _start(connection)
    newest = connection.execute(f"SELECT id FROM main.{CHANGES} ORDER BY id DESC LIMIT 1").get
    return _Cursor(max(start, (newest or 0) >> PART_BITS))


def _start(connection: apsw.Connection) -> int:
    """The TXID after which all changes are recorded. Raises `ChangesNotKept` if none are yet."""
    try:
        start = connection.execute(f"SELECT start FROM main.{FEED}").get
    except apsw.SQLError as error:
        if "no such table" not in str(error):
            raise
        start = None
    if start is None or start < 0:
        raise ChangesNotKept("No changes are recorded yet.", hint="Try again after the next write.")
    return int(start)


class _Page:
    """One request's part of the record. `next` and `more` are those of the response, after `read`."""

    def __init__(
        self, connection: apsw.Connection, since: _Cursor, tables: Mapping[str, RecordedModel], take: int
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._take = take
        self._layouts: dict[int, dict[str, list[str]]] = {}
        self._scanned = 0
        self._bytes = 0
        self.next = since
        self.more = False

    def read(self) -> list[_Change]:
        since = self.next
        self._require_kept(since)
        first = (
            (since.txid << PART_BITS) + since.part if since.part is not None else since.txid + 1 << PART_BITS
        )
        rows = self._connection.execute(
            f"SELECT id, layout, content, context, last FROM main.{CHANGES} WHERE id >= ? ORDER BY id",
            (first,),
        )
        found: list[_Change] = []
        for place, layout, content, context, last in rows:
            checkpoint()
            if self._is_full(found):
                self.more = True
                break
            self._bytes += len(content)
            done = since.done if place == first and since.part is not None else 0
            self._part(found, place, self._columns(layout), content, context, bool(last), done)
            if self.more:
                break
        return found

    def _is_full(self, found: Sequence[_Change]) -> bool:
        return len(found) >= self._take or self._scanned >= _MOST_SCANNED or self._bytes >= _MOST_BYTES

    def _part(
        self,
        found: list[_Change],
        place: int,
        columns: Mapping[str, list[str]],
        content: bytes,
        context: str | None,
        last: bool,
        done: int,
    ) -> None:
        """Adds the changes of a part after the first `done`, as far as there is room."""
        txid, part = place >> PART_BITS, place & (1 << PART_BITS) - 1
        events = list(_events(columns, content, context))
        for number, (table, operation, old, new, noted_values) in enumerate(events[done:], done + 1):
            if self._is_full(found) and number > done + 1:
                self.more = True
                return
            self._scanned += 1
            at_end = number == len(events)
            following = _Cursor(txid, part + 1, 0) if at_end else _Cursor(txid, part, number)
            self.next = _Cursor(txid) if at_end and last else following
            model = self._tables.get(table)
            if model is not None:
                found.append(_Change(self.next, model, operation, old, new, noted_values))

    def _columns(self, layout: int) -> dict[str, list[str]]:
        found = self._layouts.get(layout)
        if found is None:
            text = self._connection.execute(f"SELECT tables FROM main.{LAYOUTS} WHERE id = ?", (layout,)).get
            found = self._layouts[layout] = orjson.loads(text)
        return found

    def _require_kept(self, since: _Cursor) -> None:
        start = _start(self._connection)
        kept = since.txid >= start
        if since.part is not None and kept:
            place = (since.txid << PART_BITS) + since.part
            found = f"SELECT 1 FROM main.{CHANGES} WHERE id = ?"
            kept = self._connection.execute(found, (place,)).get is not None
        if not kept:
            raise ChangesNotKept(
                f"The changes after {since} are not all kept; those after {start} are.",
                meta={"start": str(start)},
            )


def _events(
    columns: Mapping[str, list[str]], content: bytes, context: str | None
) -> Iterator[tuple[str, str, Row, Row, Row]]:
    """Yields table, operation, old, new and noted values of a part's changes."""
    if not content:
        yield from ((table, "RESET", {}, {}, {}) for table in columns)
        return
    contexts = orjson.loads(context) if context else None
    for number, change in enumerate(apsw.Changeset.iter(content)):
        names = columns[change.name]
        try:
            old, new = _row(names, change.old), _row(names, change.new)
        except UnicodeDecodeError:
            # SQL can write text that is none. It must not hold up all changes that follow.
            yield change.name, "RESET", {}, {}, {}
            continue
        known = contexts[number] if contexts else None
        context_row = {name: noted(value) for name, value in known.items()} if known else {}
        operation = {"INSERT": "CREATE", "UPDATE": "UPDATE", "DELETE": "DELETE"}[change.op]
        yield change.name, operation, old, new, context_row


def _row(names: Sequence[str], values: Sequence[Any] | None) -> Row:
    if values is None:
        return {}
    pairs = zip(names, values, strict=False)
    return {name: value for name, value in pairs if value is not apsw.no_change}


class _Sight:
    """Decides which changes a caller that rules bind may see."""

    def __init__(self, connection: Any) -> None:
        self._rules = connection.rules
        self._connection: apsw.Connection = connection.wrapped

    def filtered(self, changes: Sequence[_Change]) -> list[_Change]:
        by_model: dict[str, list[_Change]] = defaultdict(list)
        for change in changes:
            by_model[change.model.model].append(change)
        kept: set[int] = set()
        for name, some in by_model.items():
            condition = self._rules.of(name).conditions["read"]
            kept.update(self._of_model(some[0].model, some, condition))
        return [change for change in changes if id(change) in kept]

    def _of_model(self, model: RecordedModel, changes: Sequence[_Change], condition: str) -> Iterator[int]:
        """Yields the ids of the changes to show, which are made what the caller may see of them."""
        needed = sorted(set(_RULED_COLUMN.findall(condition)))
        states = [row for change in changes for row in (change.before(), change.after())]
        seen = self._readable(model, needed, states, condition)
        for number, change in enumerate(changes):
            before, after = seen[2 * number], seen[2 * number + 1]
            match change.operation:
                case "RESET":
                    yield id(change)
                case "CREATE" if after:
                    yield id(change)
                case "DELETE" if before:
                    yield id(change)
                case "UPDATE" if before and after:
                    yield id(change)
                case "UPDATE" if after:
                    change.present = self._now(model, change, condition)
                    if change.present is not None:
                        change.operation = "CREATE"
                        yield id(change)
                case "UPDATE" if before:
                    change.operation = "LEAVE"
                    yield id(change)

    def _readable(
        self, model: RecordedModel, needed: Sequence[str], states: Sequence[Row], condition: str
    ) -> list[bool]:
        """Returns for each state of a row if the caller may read it; False where that cannot be decided."""
        connection = self._connection
        decided = {
            number: tuple(state[name] for name in needed)
            for number, state in enumerate(states)
            if state and all(name in state for name in needed)
        }
        # A table, for its columns compare as those of the model's table do.
        declared = ", ".join(self._declared(model.table, name) for name in needed)
        rowid = next(
            name for name in ("rowid", "_rowid_", "oid") if name not in {each.lower() for each in needed}
        )
        connection.execute(
            f"CREATE TEMP TABLE {_ROWS} (lamdb_state INTEGER PRIMARY KEY{', ' * bool(needed)}{declared})"
        )
        try:
            marks = ", ".join("?" * (len(needed) + 1))
            connection.executemany(
                f"INSERT INTO temp.{_ROWS} VALUES ({marks})",
                [(number, *values) for number, values in decided.items()],
            )
            test = condition.replace(ROW, "t")
            rows = connection.execute(f"SELECT t.{rowid} FROM temp.{_ROWS} AS t WHERE ({test})")
            allowed = {number for (number,) in rows}
        finally:
            connection.execute(f"DROP TABLE temp.{_ROWS}")
        return [number in allowed for number in range(len(states))]

    def _declared(self, table: str, column: str) -> str:
        found = self._connection.column_metadata("main", table, column)
        return f'"{column}" {found[0] or ""} COLLATE "{found[1]}"'

    def _now(self, model: RecordedModel, change: _Change, condition: str) -> Row | None:
        columns = [each.column for each in model.fields]
        names = {each.name: each.column for each in model.fields}
        key = {names[name]: change.old[names[name]] for name in model.key}
        where = " AND ".join(f't."{name}" = ?' for name in key)
        shown = ", ".join(f't."{name}"' for name in columns)
        test = condition.replace(ROW, "t")
        row = self._connection.execute(
            f'SELECT {shown} FROM main."{model.table}" AS t WHERE {where} AND ({test})', tuple(key.values())
        ).fetchone()
        return None if row is None else dict(zip(columns, row, strict=True))


class _Decoding:
    """Converts the rows of a model to the fields of the API."""

    def __init__(self, model: RecordedModel) -> None:
        self._model = model
        self._fields = {each.column: (each.name, _decoder(each)) for each in model.fields}
        columns = {each.name: each.column for each in model.fields}
        self._key = [columns[name] for name in model.key]

    def shown(self, change: _Change) -> dict[str, Any]:
        operation = change.operation
        key = before = after = None
        if operation != "RESET":
            known = change.old or change.new
            key = self._object({name: known[name] for name in self._key})
        if operation == "UPDATE":
            before = self._object({name: change.old[name] for name in change.new if name in change.old})
            after = self._object(change.new)
        elif operation == "CREATE":
            after = self._object(change.present if change.present is not None else change.new)
        elif operation == "DELETE":
            before = self._object(change.old)
        return {
            "cursor": str(change.cursor),
            "txid": str(change.cursor.txid),
            "model": change.model.model,
            "operation": "DELETE" if operation == "LEAVE" else operation,
            "key": key,
            "before": before,
            "after": after,
        }

    def _object(self, row: Row) -> str:
        made = {}
        for column, value in row.items():
            found = self._fields.get(column)
            if found is not None:
                name, decode = found
                made[name] = None if value is None else decode(value)
        return orjson.dumps(made).decode()


def _decoder(field: RecordedField) -> Decoder:
    if field.values is not None:
        values = field.values
        return lambda value: values.get(value, value)
    kind = (
        {"type": "bytes", "encoding": "array"}
        if field.type == "Bytes"
        else {"type": _TYPES.get(field.type, "string")}
    )
    decode = decoder(kind, {})
    assert decode is not None

    def tolerant(value: Any) -> Any:
        try:
            return decode(value)
        except QueryError:
            # A value that the type cannot have must not hold up all that follow.
            return value.hex() if isinstance(value, bytes) else str(value)

    return tolerant


def _shown(outputs: Sequence[Output], values: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for output in outputs:
        if output.name == "__typename":
            made[output.key] = output.type_name
        elif output.below:
            made[output.key] = [_shown(output.below, each) for each in values[output.name]]
        else:
            made[output.key] = values[output.name]
    return made
