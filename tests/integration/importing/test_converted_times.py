"""`lamdb import --convert-times`: times that other programs store as text."""

import sqlite3
from pathlib import Path

import pytest
from tests.support.imported_databases import imported, in_sync

from lamdb.cli.importing import IntrospectionOptions
from lamdb.prisma.datamodel.naming import Style

DJANGO = """
CREATE TABLE article (
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT,
    title varchar(100) NOT NULL,
    created datetime NOT NULL,
    changed datetime(6),
    published timestamp with time zone,
    shown datetime,
    counted datetime,
    day date
);
CREATE TRIGGER touched AFTER UPDATE ON article BEGIN UPDATE article SET title = 'touched'; END;
INSERT INTO article (title, created, changed, published, shown, counted, day) VALUES
    (
        'one', '2020-04-13 15:43:41.715696', '2020-04-13 15:43:41', '2021-11-09 11:41:52+02:00',
        '', 1586792621, '2020-04-13'
    ),
    ('two', '2020-04-14T00:00:00Z', NULL, NULL, '2020-04-13 15:43:41', NULL, NULL);
CREATE TABLE key_of_time (at datetime PRIMARY KEY NOT NULL);
CREATE TABLE reference (id integer PRIMARY KEY, at datetime REFERENCES key_of_time (at));
INSERT INTO key_of_time VALUES ('2020-04-13 15:43:41');
INSERT INTO reference VALUES (1, '2020-04-13 15:43:41');
"""
ALIKE = """
CREATE TABLE visit (at timestamp PRIMARY KEY NOT NULL, page text);
INSERT INTO visit VALUES ('2020-04-13 15:43:41.7151', 'a'), ('2020-04-13 15:43:41.7159', 'b');
"""


def read(
    path: Path, script: str, place: Path, *, converts: bool
) -> tuple[list[dict[str, object]], str, bool]:
    """The rows of the first model, the schema, and True if `migrate status` finds no difference."""

    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    options = IntrospectionOptions(Style.PRISMA, None, converts)
    with imported(path, place, options=options) as found:
        block = found.served[0]
        fields = [each.name for each in block.fields if each.type in ("String", "DateTime", "BigInt")]
        rows = found.ask(f"{{ rows: findMany{block.name} {{ {' '.join(fields)} }} }}")["rows"]
        return rows, found.text, in_sync(found)


def test_texts_become_times(tmp_path: Path) -> None:
    rows, schema, agrees = read(tmp_path / "app.sqlite3", DJANGO, tmp_path, converts=True)
    assert rows == [
        {
            "title": "one",
            "created": "2020-04-13T15:43:41.715Z",
            "changed": "2020-04-13T15:43:41.000Z",
            "published": "2021-11-09T09:41:52.000Z",
            "shown": "",
            "counted": "1586792621",
            "day": "2020-04-13",
        },
        {
            "title": "two",
            "created": "2020-04-14T00:00:00.000Z",
            "changed": None,
            "published": None,
            "shown": "2020-04-13 15:43:41",
            "counted": None,
            "day": None,
        },
    ]
    assert agrees
    assert schema.count("DateTime") == 3, "neither columns with other values nor keys of relations"


@pytest.mark.parametrize(("script", "converts"), [(DJANGO, False), (ALIKE, True)])
def test_texts_stay(tmp_path: Path, script: str, converts: bool) -> None:
    """Unasked, and where two times would become one."""
    rows, schema, agrees = read(tmp_path / "app.sqlite3", script, tmp_path, converts=converts)
    assert "DateTime" not in schema
    assert any(str(value).startswith("2020-04-13 15:43:41.71") for row in rows for value in row.values())
    assert agrees
