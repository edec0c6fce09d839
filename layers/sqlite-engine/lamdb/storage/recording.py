"""Recording of changed rows: the commit that changes them also writes them down, for a change feed.

    configure(connection, Recording({"Post": ()}))    # in a transaction; None ends it

From then on each transaction of a writer has a session of SQLite (https://www.sqlite.org/sessionintro.html),
whose changeset becomes rows of `_lamdb_changes` right before COMMIT:

- `id`: the TXID of the commit times 2^20, plus the number of the part. Large changesets have several parts.
- `layout`: the row of `_lamdb_layouts` with the columns that the tables had, as JSON.
- `content`: the part of the changeset, in SQLite's format. Empty if tables were altered or replaced, so that
  their changes cannot be told: readers have to read them anew.
- `context`: for each change of the part null, or the values of further columns as JSON. See `Recording`.
- `last`: 1 for the last part of a commit.
- `total`: bytes of all parts so far, this one included; for the bound on bytes.

A row that several statements change has one change per commit, from its state before to its state after.
What was rolled back leaves nothing. `_lamdb_feed` has one row: the configuration, and the TXID after which
all changes are there.

Without a configuration the cost per transaction is the comparison of four bytes.
"""

import base64
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import apsw
import orjson

CHANGES: Final = "_lamdb_changes"
FEED: Final = "_lamdb_feed"
LAYOUTS: Final = "_lamdb_layouts"
PART_BITS: Final = 20

_MIB: Final = 1024 * 1024
DEFAULT_SECONDS: Final = 7 * 86_400
DEFAULT_BYTES: Final = 64 * _MIB
_ROW_BYTES: Final = 40
"""Bytes that a row counts besides its content and context."""
_PART_BYTES: Final = 64 * 1024
_LOOKED_AT: Final = 16
"""The oldest rows that may go when one comes."""

_COOKIE: Final = slice(40, 44)
"""The bytes of the database header that change with every change of the schema."""

_CREATE: Final = f"""
CREATE TABLE IF NOT EXISTS {FEED} (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    config TEXT NOT NULL,
    start INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS {LAYOUTS} (id INTEGER PRIMARY KEY, tables TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS {CHANGES} (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    content BLOB NOT NULL,
    context TEXT,
    last INTEGER NOT NULL,
    total INTEGER NOT NULL
) STRICT;
"""
_MARK: Final = f"""
DROP INDEX IF EXISTS _lamdb_feed_mark;
CREATE INDEX _lamdb_feed_mark ON {FEED} (id) WHERE id = 0;
"""
"""Makes an index that comes after all recorded tables in `sqlite_schema`, where SQLite adds rows at the end.

A table that is dropped and made again then has another row there, even if its definition and its first page
are the same.
"""
_INSERT: Final = f"""
INSERT INTO {CHANGES} (id, time, layout, content, context, last, total)
VALUES (?, ?, ?, ?, ?, ?, ? + ifnull((SELECT total FROM {CHANGES} ORDER BY id DESC LIMIT 1), 0))
"""
_OLD: Final = f"""
SELECT id FROM (
    SELECT id, time, total - {_ROW_BYTES} - length(content) - ifnull(length(context), 0) AS before
    FROM {CHANGES} ORDER BY id LIMIT ?
)
WHERE time <= ? OR before < (SELECT total FROM {CHANGES} ORDER BY id DESC LIMIT 1) - ?
ORDER BY id DESC LIMIT 1
"""


_OLDEST: Final = f"""
SELECT time <= ? OR total < (SELECT total FROM {CHANGES} ORDER BY id DESC LIMIT 1) - ?
FROM {CHANGES} ORDER BY id LIMIT 1
"""
"""True if the oldest row may have to go."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The tables whose changes are recorded, and how long: for `seconds`, and up to `bytes`.

    Each table comes with columns whose values are noted for every update, also where it leaves them as they
    are.
    """

    tables: Mapping[str, Sequence[str]]
    seconds: int = DEFAULT_SECONDS
    bytes: int = DEFAULT_BYTES

    def dumps(self) -> str:
        tables = {name: list(columns) for name, columns in self.tables.items()}
        return orjson.dumps({"tables": tables, "seconds": self.seconds, "bytes": self.bytes}).decode()

    @classmethod
    def loads(cls, text: str) -> Self:
        found = orjson.loads(text)
        return cls(found["tables"], found["seconds"], found["bytes"])


_CONFIGURED: Final[weakref.WeakSet[apsw.Connection]] = weakref.WeakSet()
"""Connections whose transaction has configured the recording."""


def configure(connection: apsw.Connection, recording: Recording | None) -> None:
    """Begins or ends recording, or changes what is recorded. In the caller's transaction.

    Recording begins with the transaction after it. If the tables were recorded before, it goes on.
    """
    if recording is None:
        if is_recorded(connection):
            connection.execute("".join(f"DROP TABLE IF EXISTS {name};" for name in (CHANGES, LAYOUTS, FEED)))
        return
    connection.execute(_CREATE)
    connection.execute(
        f"INSERT INTO {FEED} (id, config, start) VALUES (1, ?, -1)"
        " ON CONFLICT (id) DO UPDATE SET config = excluded.config",
        (recording.dumps(),),
    )
    connection.execute(_MARK)
    _CONFIGURED.add(connection)


def restart(connection: apsw.Connection) -> None:
    """Forgets all changes: the state did not come about by those that are recorded."""
    connection.execute(f"DELETE FROM {CHANGES}; UPDATE {FEED} SET start = -1")
    _CONFIGURED.add(connection)


def is_recorded(connection: apsw.Connection) -> bool:
    """True if the database records changes."""
    found = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE name = ?", (FEED,)).fetchone()
    return found is not None


@dataclass(frozen=True, slots=True)
class _Known:
    """The recording at a schema of the database; `objects` identifies the present tables."""

    config: str
    recording: Recording
    objects: Mapping[str, tuple[Any, ...]]
    layout: str
    version: int
    number: list[int]
    """The row of the layout, once it is known to be committed."""


class TransactionRecorder:
    """Records the transactions of one writer, one after another."""

    __slots__ = ("_cookie", "_is_checked", "_known", "_session")

    def __init__(self) -> None:
        self._cookie: bytes | None = None
        self._known: _Known | None = None
        self._is_checked = False
        self._session: apsw.Session | None = None

    def begin(self, connection: apsw.Connection, page_one: bytes) -> None:
        """Begins a transaction on the state with this first page (empty for a new database)."""
        if _CONFIGURED:
            _CONFIGURED.discard(connection)
        cookie = page_one[_COOKIE]
        if cookie != self._cookie:
            self._known, self._is_checked = _known(connection), False
            self._cookie = cookie
        elif self._known is not None:
            config = connection.execute(f"SELECT config FROM main.{FEED}").get
            if config != self._known.config:
                self._known, self._is_checked = _known(connection), False
        if self._known is not None:
            self._session = _session(connection, self._known.objects)

    def finish(self, connection: apsw.Connection, txid: int) -> None:
        """Writes down what the transaction has changed, before it is committed as `txid`."""
        if self._session is None and connection not in _CONFIGURED:
            return
        try:
            self._finish(connection, txid)
        finally:
            _CONFIGURED.discard(connection)
            self.abandon()

    def abandon(self) -> None:
        """Ends a transaction that is not committed, or one that is over."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def forget(self) -> None:
        """Makes the next transaction look at the configuration anew."""
        self._cookie = None

    def _finish(self, connection: apsw.Connection, txid: int) -> None:
        known, session = self._known, self._session
        content: bytes | None = None
        changed = known is None or connection in _CONFIGURED or _version(connection) != known.version
        if changed:
            self.forget()
        now = _known(connection) if changed else known
        if now is None:
            return
        if (changed or not self._is_checked) and _begins(connection, txid):
            return
        self._is_checked = True
        if known is not None and session is not None and known.objects == now.objects:
            try:
                content = session.changeset()
            except apsw.SchemaChangeError:
                content = None
            if content is not None and not content:
                return
        _write(connection, now, txid, content)


def _begins(connection: apsw.Connection, txid: int) -> bool:
    """Makes a commit the beginning of the record, unless it has begun; True if so."""
    # A copied file brings its own changes along, which say nothing about this store.
    foreign = connection.execute(f"SELECT 1 FROM {CHANGES} WHERE id >= ?", (txid << PART_BITS,)).get
    start = connection.execute(f"SELECT start FROM {FEED}").get
    if foreign is None and 0 <= start <= txid:
        return False
    connection.execute(f"DELETE FROM {CHANGES}")
    connection.execute(f"UPDATE {FEED} SET start = ?", (txid,))
    return True


def _known(connection: apsw.Connection) -> _Known | None:
    if not is_recorded(connection):
        return None
    config = str(connection.execute(f"SELECT config FROM main.{FEED}").get)
    recording = Recording.loads(config)
    objects = {}
    columns = {}
    for name in recording.tables:
        found = connection.execute(
            "SELECT rowid, rootpage, sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", (name,)
        ).fetchone()
        if found is not None:
            objects[name] = found
            info = connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (name,))
            columns[name] = [column for (column,) in info]
    layout = orjson.dumps(columns).decode()
    return _Known(config, recording, objects, layout, _version(connection), [])


def _version(connection: apsw.Connection) -> int:
    return int(connection.execute("PRAGMA main.schema_version").get)


def _session(connection: apsw.Connection, tables: Mapping[str, Any]) -> apsw.Session:
    session = apsw.Session(connection, "main")
    for table in tables:
        session.attach(table)
    return session


def _write(connection: apsw.Connection, known: _Known, txid: int, content: bytes | None) -> None:
    recording = known.recording
    if content is not None and len(content) > recording.bytes:
        # It would be gone with the next commit, and push out all others.
        connection.execute(f"DELETE FROM {CHANGES}")
        connection.execute(f"UPDATE {FEED} SET start = ?", (txid,))
        return
    rowid = connection.last_insert_rowid()
    layout = _layout(connection, known)
    now = int(time.time())
    parts = list(_parts(content)) if content else [b""]
    if content is None:
        connection.execute(_MARK)
    for number, part in enumerate(parts):
        context = _context(connection, known, part)
        size = _ROW_BYTES + len(part) + len(context or "")
        place = (txid << PART_BITS) + number
        row = (place, now, layout, part, context, int(number == len(parts) - 1), size)
        connection.execute(_INSERT, row)
    limits = (now - recording.seconds, recording.bytes)
    old = None
    if connection.execute(_OLDEST, limits).get:
        old = connection.execute(_OLD, (_LOOKED_AT + len(parts), *limits)).get
    if old is not None:
        connection.execute(f"DELETE FROM {CHANGES} WHERE id <= ?", (old,))
        connection.execute(f"UPDATE {FEED} SET start = ?", (old >> PART_BITS,))
    connection.set_last_insert_rowid(rowid)


def _layout(connection: apsw.Connection, known: _Known) -> int:
    if known.number:
        return known.number[0]
    tables = known.layout
    newest = connection.execute(f"SELECT id, tables FROM {LAYOUTS} ORDER BY id DESC LIMIT 1").fetchone()
    if newest is not None and newest[1] == tables:
        known.number.append(int(newest[0]))
        return int(newest[0])
    connection.execute(f"DELETE FROM {LAYOUTS} WHERE id < (SELECT layout FROM {CHANGES} ORDER BY id LIMIT 1)")
    number = 1 if newest is None else int(newest[0]) + 1
    connection.execute(f"INSERT INTO {LAYOUTS} (id, tables) VALUES (?, ?)", (number, tables))
    return number


def _parts(content: bytes) -> Iterator[bytes]:
    """Yields changesets that together are `content`."""
    if len(content) <= _PART_BYTES:
        yield content
        return
    builder, size = _builder(), 0
    for change in apsw.Changeset.iter(content):
        builder.add_change(change)
        size += _size_of(change)
        if size >= _PART_BYTES:
            yield builder.output()
            builder, size = _builder(), 0
    if size:
        yield builder.output()


def _size_of(change: apsw.TableChange) -> int:
    try:
        values = (*(change.old or ()), *(change.new or ()))
    except UnicodeDecodeError:  # SQL can write text that is none
        return _PART_BYTES
    return 16 + sum(map(_size, values))


def _builder() -> apsw.ChangesetBuilder:
    return apsw.ChangesetBuilder()  # type: ignore[no-untyped-call]


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes) else 8


def _context(connection: apsw.Connection, known: _Known, part: bytes) -> str | None:
    """Returns the values of the columns that are noted for updates, by column, for each change."""
    wanted = known.recording.tables
    if not part or not any(wanted.values()):
        return None
    columns = orjson.loads(known.layout)
    noted: list[dict[str, Any] | None] = []
    for change in apsw.Changeset.iter(part):
        every = columns[change.name]
        names = [name for name in wanted.get(change.name, ()) if name in every]
        try:
            noted.append(_noted(connection, change, every, names) if names else None)
        except UnicodeDecodeError:  # SQL can write text that is none
            noted.append(None)
    return orjson.dumps(noted).decode() if any(noted) else None


def _noted(
    connection: apsw.Connection, change: apsw.TableChange, columns: Sequence[str], names: Sequence[str]
) -> dict[str, Any] | None:
    if change.op != "UPDATE":
        return None
    old: Sequence[Any] = change.old or ()
    key: dict[str, Any] = {columns[number]: old[number] for number in sorted(change.pk_columns)}
    where = " AND ".join(f"{_quoted(name)} IS ?" for name in key)
    shown = ", ".join(map(_quoted, names))
    row = connection.execute(
        f"SELECT {shown} FROM main.{_quoted(change.name)} WHERE {where}", tuple(key.values())
    ).fetchone()
    return None if row is None else dict(zip(names, map(_json, row), strict=True))


def _json(value: Any) -> Any:
    return {"blob": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def noted(value: Any) -> Any:
    """Returns a value of `context` as SQLite has it."""
    return base64.b64decode(value["blob"]) if isinstance(value, dict) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
