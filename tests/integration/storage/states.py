"""A history of many small transactions, and the states it went through."""

import random
from pathlib import Path

import apsw

from lamdb.storage import Database

type Dump = dict[str, list[tuple]]


def dump(connection: apsw.Connection) -> Dump:
    """Schema and rows."""
    schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
    tables = [name for kind, name, _ in schema if kind == "table"]
    rows = {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in tables}
    return {"schema": schema, **rows}


def state_of(database: Database) -> Dump:
    with database.reader() as connection:
        return dump(connection)


def dump_file(path: Path) -> Dump:
    """The state in a SQLite file, whose integrity is checked."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return dump(connection)
    finally:
        connection.close()


def write(database: Database, count: int, seed: int = 0) -> dict[int, Dump]:
    """`count` transactions that insert, update, delete, change the schema, shrink and grow; each state."""
    source = random.Random(seed)
    states: dict[int, Dump] = {}
    for _ in range(count):
        step = database.txid
        with database.writer() as connection:
            _change(connection, step, source)
        states[database.txid] = state_of(database)
        if step % 50 == 49:
            database.vacuum()
            states[database.txid] = state_of(database)
    return states


def _change(connection: apsw.Connection, step: int, source: random.Random) -> None:
    if step == 0:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
    connection.execute("INSERT INTO t(body) VALUES(?)", (source.randbytes(source.choice((10, 300, 3000))),))
    if step % 7 == 3:
        connection.execute("UPDATE t SET body = x'00' WHERE id % 3 = 0")
    if step % 40 == 39:
        connection.execute("DELETE FROM t WHERE id % 10")
    if step % 60 == 30:
        connection.execute(f"CREATE TABLE s{step}(a); INSERT INTO s{step} SELECT id FROM t")
