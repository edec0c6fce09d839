"""libsql for Python over SQL over HTTP: `python python_libsql.py URL`."""

import sys

import libsql
from checks import BIG, BYTES, ROWS, fails, run

db = libsql.connect(sys.argv[1])


def count() -> int:
    return db.execute("SELECT count(*) FROM py_book").fetchone()[0]


def tables() -> None:
    db.executescript("""
        DROP TABLE IF EXISTS py_book; DROP TABLE IF EXISTS py_author;
        CREATE TABLE py_author (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE);
        CREATE TABLE py_book (id INTEGER PRIMARY KEY, title TEXT NOT NULL, pages BIGINT, cover BLOB,
            author INTEGER NOT NULL REFERENCES py_author (id));
    """)
    db.commit()


def crud() -> None:
    inserted = db.execute("INSERT INTO py_author (email) VALUES (?)", ("ada@example.com",))
    assert inserted.lastrowid == 1
    db.executemany("INSERT INTO py_book (title, author) VALUES (?, ?)", [("A", 1), ("B", 1)])
    db.execute("UPDATE py_book SET title = ? WHERE title = ?", ("C", "B"))
    db.commit()
    found = db.execute("SELECT title FROM py_book ORDER BY title")
    assert [column[0] for column in found.description] == ["title"]
    assert found.fetchall() == [("A",), ("C",)]
    db.execute("DELETE FROM py_book WHERE title = 'C'")
    db.commit()
    assert count() == 1


def transaction() -> None:
    db.execute("INSERT INTO py_author VALUES (50, 'b@example.com')")
    assert db.in_transaction
    db.execute("INSERT INTO py_book (title, author) VALUES ('D', 50)")
    db.commit()
    assert not db.in_transaction
    other = libsql.connect(sys.argv[1])
    assert other.execute("SELECT count(*) FROM py_book").fetchone() == (2,)


def rollback() -> None:
    db.execute("DELETE FROM py_book")
    db.rollback()
    assert count() == 2


def unique() -> None:
    fails(
        lambda: db.execute("INSERT INTO py_author (email) VALUES ('b@example.com')"),
        "UNIQUE constraint failed",
    )
    db.rollback()


def foreign_key() -> None:
    fails(
        lambda: db.execute("INSERT INTO py_book (title, author) VALUES ('E', 99)"),
        "FOREIGN KEY constraint failed",
    )
    db.rollback()


def values() -> None:
    # The client sends integers beyond 32 bits as floats. Text loses nothing, and the column converts it.
    db.execute("INSERT INTO py_book VALUES (70, 'Ünïcode 🦆', ?, ?, 50)", (str(BIG), BYTES))
    db.commit()
    rows = db.execute("SELECT title, pages, cover FROM py_book WHERE id IN (1, 70) ORDER BY id").fetchall()
    assert rows == [("A", None, None), ("Ünïcode 🦆", BIG, BYTES)], rows


def rows() -> None:
    db.execute(
        "INSERT INTO py_book (title, author) WITH RECURSIVE n (i) AS "
        "(SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT 'Row ' || i, 50 FROM n",
        (ROWS - 1,),
    )
    db.commit()
    found = db.execute("SELECT * FROM py_book WHERE title LIKE 'Row %' ORDER BY id").fetchall()
    assert len(found) == ROWS
    assert found[-1][1] == f"Row {ROWS - 1}"
    db.executescript("DROP TABLE py_book; DROP TABLE py_author")


run([tables, crud, transaction, rollback, unique, foreign_key, values, rows])
