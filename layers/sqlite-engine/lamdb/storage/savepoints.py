"""Parts of a transaction that can be undone alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


@contextmanager
def savepoint(connection: apsw.Connection, name: str) -> Iterator[None]:
    """Undoes the block if it raises. Savepoints may be nested, those of one name too."""
    connection.execute(f"SAVEPOINT {name}")
    try:
        yield
        connection.execute(f"RELEASE {name}")
    except BaseException:
        # SQLite itself ends the transaction on some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute(f"ROLLBACK TO {name}; RELEASE {name}")
        raise


@contextmanager
def trial(connection: apsw.Connection, name: str) -> Iterator[None]:
    """Undoes the block in any case."""
    connection.execute(f"SAVEPOINT {name}")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute(f"ROLLBACK TO {name}; RELEASE {name}")
