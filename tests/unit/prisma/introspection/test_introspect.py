"""From tables that others made to a schema that reads them, and stays in step with them."""

import re

import apsw
import pytest

from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.naming import Style
from lamdb.prisma.datamodel.schema import PrismaSchema, format_schema
from lamdb.prisma.introspection.introspect import Introspected, introspect, is_schema_of
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.migrate.snapshot import BASELINE, snapshot
from lamdb.prisma.sqlite import column_statistics
from lamdb.prisma.sqlite.catalog import read_catalog


@pytest.fixture
def connection() -> apsw.Connection:
    return apsw.Connection(":memory:")


def found_in(connection: apsw.Connection, sql: str, **options: object) -> Introspected:
    """The output of `introspect`, which must agree with the tables."""
    connection.execute(sql)
    found = introspect(connection, **options)  # type: ignore[arg-type]
    assert not messages(found, "difference")
    if found.schema is not None:
        assert format_schema(found.text) == found.text
    return found


def messages(found: Introspected, kind: str) -> dict[str, str]:
    return {each.place: each.message for each in found.findings if each.kind == kind}


def field(found: Introspected, name: str) -> str:
    """The line of a field, with single spaces."""
    line = re.search(rf"^  {name} .*$", found.text, re.MULTILINE)
    assert line is not None, f"no field {name} in:\n{found.text}"
    return " ".join(line[0].split())


def notes(found: Introspected, name: str) -> list[str]:
    """The comments above a field."""
    lines = [line.strip() for line in found.text.splitlines()]
    end = next(number for number, line in enumerate(lines) if line.startswith(f"{name} "))
    start = end
    while lines[start - 1].startswith("//"):
        start -= 1
    return lines[start:end]


def difference(connection: apsw.Connection, schema: str) -> str:
    """The script that leads from the tables to a schema."""
    with SchemaEngine() as engine:
        return engine.diff([snapshot(connection)], PrismaSchema.parse(schema))


# Names.


def test_models_and_fields_get_prismas_names(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        'CREATE TABLE "Order Details" ("Order ID" INTEGER PRIMARY KEY, "unit_price" REAL, "URLPath" TEXT);'
        "CREATE TABLE categories (id INTEGER PRIMARY KEY); CREATE TABLE User (id INTEGER PRIMARY KEY)",
    )
    assert re.findall(r"^model (\w+)", found.text, re.MULTILINE) == ["Category", "OrderDetail", "User"]
    assert field(found, "orderId") == 'orderId Int @id @default(autoincrement()) @map("Order ID")'
    assert field(found, "unitPrice") == 'unitPrice Float? @map("unit_price")'
    assert field(found, "urlPath") == 'urlPath String? @map("URLPath")'
    assert '@@map("Order Details")' in found.text
    assert '@@map("User")' not in found.text


def test_names_can_be_kept(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        'CREATE TABLE artists (artist_id INTEGER PRIMARY KEY); CREATE TABLE "2 b" ("x y" INTEGER PRIMARY KEY,'
        " artist_id INT REFERENCES artists)",
        style=Style.KEEP,
    )
    assert "model artists {" in found.text
    assert "artist_id" in found.text
    assert field(found, "x_y").endswith('@map("x y")')
    assert '@@map("2 b")' in found.text


def test_names_that_collide_or_mean_something_else(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        'CREATE TABLE query (id INTEGER PRIMARY KEY, "a b" TEXT, a_b TEXT, aB TEXT, "AND" TEXT, "日本" TEXT);'
        "CREATE TABLE string (id INTEGER PRIMARY KEY); CREATE TABLE tags (id INTEGER PRIMARY KEY);"
        'CREATE TABLE "Tag" (id INTEGER PRIMARY KEY)',
    )
    assert re.findall(r"^model (\w+)", found.text, re.MULTILINE) == [
        "QueryRecord", "StringRecord", "Tag", "Tag2"
    ]  # fmt: skip
    assert [field(found, name) for name in ("aB", "aB2", "aB3")] == [
        'aB String? @map("a b")', 'aB2 String? @map("a_b")', 'aB3 String? @map("aB")'
    ]  # fmt: skip
    assert '@map("日本")' in found.text


def test_relations_are_named_after_what_they_are(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE artists (id INTEGER PRIMARY KEY);"
        "CREATE TABLE albums (id INTEGER PRIMARY KEY, artist_id INT NOT NULL"
        " REFERENCES artists ON DELETE CASCADE, cover_id INT UNIQUE REFERENCES pictures);"
        "CREATE TABLE pictures (id INTEGER PRIMARY KEY);"
        "CREATE TABLE people (id INTEGER PRIMARY KEY, boss INT REFERENCES people,"
        " pal_id INT REFERENCES people);"
        "CREATE TABLE lines (order_no INT, order_year INT,"
        " FOREIGN KEY (order_no, order_year) REFERENCES orders);"
        "CREATE TABLE orders (no INT, year INT, PRIMARY KEY (no, year))",
    )
    assert field(found, "artist").startswith("artist Artist @relation(fields: [artistId], references: [id]")
    assert "onDelete: Cascade" in field(found, "artist")
    assert field(found, "albums") == "albums Album[]"
    assert field(found, "cover").startswith("cover Picture? @relation(fields: [coverId]")
    assert field(found, "album") == "album Album?"
    assert field(found, "bossPerson").startswith('bossPerson Person? @relation("')
    assert field(found, "peopleByBossPerson").startswith("peopleByBossPerson Person[]")
    assert field(found, "peopleByPal").startswith("peopleByPal Person[]")
    assert field(found, "order").startswith("order Order? @relation(fields: [orderNo, orderYear]")


# Types.


@pytest.mark.parametrize(
    ("declared", "stored", "type_", "note"),
    [
        ("INTEGER", "1", "Int", None),
        ("INTEGER", "3000000000", "BigInt", "1 integer from 3000000000 to 3000000000"),
        ("INTEGER", "'many'", "String", "1 text, such as 'many'"),
        ("INTEGER", "1.5", "Float", "1 real"),
        ("BOOLEAN", "1", "Boolean", None),
        ("BOOLEAN", "2", "Int", "1 integer from 2 to 2"),
        ("BOOL", "0", "Boolean", None),
        ("SMALLINT", "7", "Int", None),
        ("TEXT", "x'00'", "Bytes", "1 BLOB"),
        ("BLOB", "'text'", "String", "1 text, such as 'text'"),
        ("VARCHAR(9)", "'x'", "String", None),
        ("uuid", "'12'", "String", None),
        ("uuid", "'a'", "String", None),
        ("JSON", "'{\"a\": 1}'", "Json", None),
        ("JSON", "'{'", "String", "1 text, such as '{'"),
        ("REAL", "9e999", "String", "1 real, 1 of them infinite"),
        ("", "'x'", "String", None),
        ("", "5", "Int", None),
        ("ANYTHING", "NULL", "String", None),
        ("DATETIME", "NULL", "DateTime", None),
        ("DATETIME", "'2026-01-02T03:04:05.678+00:00'", "DateTime", None),
        ("DATETIME", "'2026-01-02 03:04:05'", "String", "Times as text, such as '2026-01-02 03:04:05'"),
        ("DATE", "2461000.5", "Float", "Times as Julian days"),
        ("DATETIME", "1760000000", "BigInt", "Times in seconds since 1970-01-01"),
        ("TIMESTAMP", "1760000000000", "BigInt", "Times in milliseconds since 1970-01-01"),
        ("INTEGER", "13400000000000000", "BigInt", "1 integer from 13400000000000000 to 13400000000000000"),
    ],
)
def test_the_type_reads_the_values_that_are_there(
    connection: apsw.Connection, declared: str, stored: str, type_: str, note: str | None
) -> None:
    found = found_in(
        connection,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared}); INSERT INTO t (c) VALUES (NULL), ({stored})",
    )
    assert field(found, "c").split()[1] == f"{type_}?"
    said = [line for line in notes(found, "c") if "@lamdb" not in line]
    assert said == ([f"/// {note}"] if note else [])
    assert messages(found, "type").get("t.c", "").endswith(note if note and type_ != "DateTime" else "")


def test_times_are_told_by_names_too(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE visits (id INTEGER PRIMARY KEY, visit_time INTEGER, created_at INT, later_utc INTEGER);"
        "INSERT INTO visits VALUES (1, 13400000000000000, 1760000000, 0)",
    )
    assert field(found, "visitTime").split()[1] == "BigInt?"
    assert notes(found, "visitTime")[-1].endswith("microseconds since 1601-01-01, as Chromium has them")
    assert notes(found, "createdAt") == ["/// Times in seconds since 1970-01-01"]
    assert field(found, "laterUtc").split()[1] == "BigInt?"


def test_columns_that_refer_to_each_other_have_one_type(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (5000000000);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INT REFERENCES a); INSERT INTO b VALUES (1, NULL)",
    )
    assert field(found, "aId").split()[1] == "BigInt?"
    assert re.search(r"id +BigInt +@id @default\(autoincrement\(\)\)", found.text)


@pytest.mark.parametrize(
    ("sql", "own", "other"),
    [
        ("CREATE TABLE c (p INTEGER REFERENCES p); INSERT INTO c VALUES (9.3e18)", "Float", "Int"),
        ("CREATE TABLE c (p INTEGER REFERENCES p); INSERT INTO c VALUES ('none')", "String", "Int"),
        ("CREATE TABLE c (p TEXT REFERENCES p); INSERT INTO c VALUES ('none')", "String", "Int"),
        ("CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (x'00')", "Bytes", "Int"),
        ("CREATE TABLE c (p INT REFERENCES p); INSERT INTO c VALUES (CAST(x'ff' AS TEXT))", "nothing", "Int"),
        ("CREATE TABLE c (p INT REFERENCES p); INSERT INTO c VALUES ('none');"
         "INSERT INTO p VALUES (5000000000)", "String", "BigInt"),
    ],
)  # fmt: skip
def test_what_cannot_have_the_type_of_the_rowid_is_no_relation(
    connection: apsw.Connection, sql: str, own: str, other: str
) -> None:
    found = found_in(connection, f"CREATE TABLE p (id INTEGER PRIMARY KEY); {sql}")
    assert messages(found, "reference") == {
        "c.p": f"read as {own}, refers to id of p, read as {other}: no relation"
    }
    assert not messages(found, "orphans")
    assert "@relation" not in found.text
    assert re.search(rf"id +{other} +@id @default\(autoincrement\(\)\)", found.text)
    again = introspect(connection, carried=found.schema)
    assert field(again, "p") == field(found, "p")
    assert "@relation" not in again.text
    assert not messages(again, "difference")
    assert messages(again, "reference") == messages(found, "reference")


def test_the_rowid_may_itself_refer_to_what_is_no_integer(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE p (code TEXT PRIMARY KEY NOT NULL, tag TEXT); INSERT INTO p VALUES ('a', NULL);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY REFERENCES p, code TEXT REFERENCES p)",
    )
    assert messages(found, "reference") == {
        "c.id": "read as Int, refers to code of p, read as String: no relation"
    }
    assert found.text.count("@relation") == 1


def test_only_what_does_not_fit_is_no_relation(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE p (id INTEGER PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, a TEXT REFERENCES p, b INT REFERENCES p);"
        "INSERT INTO c VALUES (1, 'x', NULL);"
        "CREATE TABLE pair (x INTEGER, y INTEGER, PRIMARY KEY (x, y), FOREIGN KEY (x) REFERENCES p);"
        "CREATE TABLE d (x TEXT, y INT, FOREIGN KEY (x, y) REFERENCES pair); INSERT INTO d VALUES ('x', 1)",
    )
    assert messages(found, "reference") == {
        "c.a": "read as String, refers to id of p, read as Int: no relation",
        "d.x, y": "read as String, Int, refers to x, y of pair, read as Int, Int: no relation",
    }
    assert field(found, "b") == "b Int?"
    assert found.text.count("@relation") == 2


def test_types_that_a_schema_has_may_differ_too(connection: apsw.Connection) -> None:
    carried = PrismaSchema.parse(
        'datasource db {\n  provider = "sqlite"\n}\n'
        "model a {\n  id Int @id @default(autoincrement())\n}\n"
        "model b {\n  id Int @id @default(autoincrement())\n  a BigInt?\n}\n"
    )
    found = found_in(
        connection,
        "CREATE TABLE a (id INTEGER PRIMARY KEY);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a BIGINT REFERENCES a);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY); INSERT INTO c VALUES (5000000000);"
        "CREATE TABLE d (id INTEGER PRIMARY KEY, c_id INT REFERENCES c)",
        carried=carried,
    )
    assert messages(found, "reference") == {
        "b.a": "read as BigInt, refers to id of a, read as Int: no relation"
    }
    assert field(found, "c_id") == "c_id BigInt?"
    assert found.text.count("@relation") == 1


def test_a_relation_that_cannot_be_read_is_hidden(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE p (k TEXT PRIMARY KEY NOT NULL); INSERT INTO p VALUES ('x');"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, k TEXT REFERENCES p);"
        "INSERT INTO c VALUES (1, CAST(x'ff' AS TEXT))",
    )
    assert set(messages(found, "unreadable")) == {"c.k"}
    assert field(found, "p").endswith("@ignore")
    assert field(found, "cs") == "cs C[] @ignore"


def test_what_is_no_text_is_left_out(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, CAST(x'ff' AS TEXT))",
    )
    assert field(found, "name").endswith("@ignore")
    assert messages(found, "unreadable") == {"t.name": "1 text not in UTF-8: no field can read them"}


def test_what_is_no_text_among_numbers_is_left_out(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, CAST(x'ff' AS TEXT))",
    )
    assert field(found, "n") == "n String? @ignore"


def test_strange_texts_and_names_break_no_line(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        """CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER, "a\nb" TEXT, "\u2028'\t\\" TEXT);
        INSERT INTO t (c) VALUES (char(10, 13, 8232, 65))""",
    )
    assert notes(found, "c")[-1] == "/// 1 text, such as '   A'"
    assert '@map("a\\nb")' in found.text


def test_not_all_rows_need_to_be_looked_at(connection: apsw.Connection) -> None:
    rows = "CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER); INSERT INTO t VALUES (1, 1), (2, 'x')"
    found = found_in(connection, rows, rows=1)
    assert field(found, "c").split()[1] == "Int?"
    assert messages(found, "unread-rows") == {"t": "has more rows than were looked at"}
    assert not messages(introspect(connection, rows=2), "unread-rows")
    assert not messages(introspect(connection, rows=0), "unread-rows")
    assert field(introspect(connection, rows=None), "c").split()[1] == "String?"


def test_defaults_stay_the_databases(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT (upper('x')), b TEXT DEFAULT 'x''y',"
        " c DATETIME DEFAULT CURRENT_TIMESTAMP, d INT NOT NULL DEFAULT -1, e JSON DEFAULT '{}',"
        " f TEXT DEFAULT NULL, g BOOL NOT NULL DEFAULT 1, h TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,"
        " i INT AS (d + 1) STORED)",
    )
    assert field(found, "a") == "a String @default(dbgenerated())"
    assert field(found, "b") == 'b String? @default("x\'y")'
    assert field(found, "c") == "c DateTime? @default(now())"
    assert field(found, "d") == "d Int @default(-1)"
    assert field(found, "e") == "e Json? @default(dbgenerated())"
    assert field(found, "f") == "f String?"
    assert field(found, "g") == "g Boolean @default(true)"
    assert field(found, "h") == "h String @default(dbgenerated())"
    assert field(found, "i") == "i Int? @default(dbgenerated())"
    assert messages(found, "generated") == {"t.i": "is computed by SQLite: it cannot be written"}


# What Prisma has no words for.


@pytest.mark.parametrize("columns", ["rowid, oid, _rowid_", "ROWID TEXT, Oid TEXT, _RowId_ TEXT, more"])
def test_a_table_whose_columns_have_all_names_of_the_rowid_is_ignored(
    connection: apsw.Connection, columns: str
) -> None:
    names = [each.split()[0] for each in columns.split(", ")]
    connection.execute(
        f"CREATE TABLE log ({columns}); CREATE TABLE note (id INTEGER PRIMARY KEY);"
        f"INSERT INTO log ({', '.join(names)}) VALUES ({', '.join(['NULL'] * len(names))})"
    )
    found = introspect(connection)
    assert (found.tables, found.models) == (2, 1)
    assert set(messages(found, "no-identifier")) == {"log"}


def test_the_rowid_identifies_where_nothing_else_does(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE log (line TEXT, rowid TEXT); INSERT INTO log VALUES ('a', 'b');"
        "CREATE TABLE keyed (a TEXT, b TEXT, PRIMARY KEY (a, b)); INSERT INTO keyed VALUES ('x', NULL);"
        "CREATE TABLE partly (a TEXT NOT NULL); CREATE UNIQUE INDEX p ON partly (a) WHERE a > 'm';"
        "CREATE TABLE fine (a TEXT NOT NULL UNIQUE)",
    )
    assert set(messages(found, "rowid")) == {"log", "keyed", "partly"}
    assert '@map("_rowid_")' in found.text
    assert found.text.count("/// @lamdb.rowid") == 3
    assert '@@unique([a], map: "p", where: raw("a > \'m\'"))' in found.text
    assert 'previewFeatures = ["partialIndexes"]' in found.text


def test_views_are_read_only_models(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x');"
        "CREATE VIEW some AS SELECT a, id AS number FROM t WHERE a > '';"
        "CREATE VIEW totals AS SELECT count(*) AS n, avg(id) AS mean FROM t;"
        "CREATE VIEW twice AS SELECT t.* FROM t, t AS u; CREATE VIEW again AS SELECT * FROM twice;"
        "CREATE VIEW lost AS SELECT * FROM gone; CREATE VIEW odd AS SELECT nosuch(1)",
    )
    assert found.views == 4
    assert re.findall(r"^view (\w+)", found.text, re.MULTILINE) == ["Again", "Some", "Total", "Twice"]
    assert field(found, "number") == "number Int @unique"
    assert found.text.count("@unique") == 1
    assert field(found, "n") == "n Int?"
    assert field(found, "mean") == "mean Float?"
    assert set(messages(found, "broken-view")) == {"lost", "odd"}
    assert "//   lost: a view that cannot be read (no such table: main.gone)" in found.text


def test_views_that_take_too_long_are_not_waited_for(
    connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_statistics, "VIEW_SECONDS", 0.05)
    found = found_in(
        connection,
        "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW endless AS"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS i FROM n",
    )
    assert messages(found, "unread-rows") == {"endless": "takes too long to be looked at"}


def test_what_is_kept_is_said(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE t (a TEXT PRIMARY KEY, b INT CHECK (b > 0), c TEXT) STRICT, WITHOUT ROWID;"
        "CREATE TABLE u (\"CHECK (\" TEXT PRIMARY KEY, d TEXT DEFAULT 'CHECK (x)');"
        "CREATE INDEX l ON t (lower(c));"
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"
        "CREATE VIRTUAL TABLE words USING fts5 (word);"
        "CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1)",
    )
    assert messages(found, "kept") == {
        "t": "keeps CHECK constraints, WITHOUT ROWID, STRICT, also when a migration rebuilds the table"
    }
    assert messages(found, "trigger") == {"t": "has triggers, which go on running: g"}
    assert messages(found, "index") == {"t": "keeps the index l, which is over expressions"}
    assert set(messages(found, "virtual-table")) == {"boxes", "words"}
    assert "//   words: a virtual table (fts5): not in the schema" in found.text
    assert "words_data" not in found.text


def test_references_that_do_not_hold(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE p (id INTEGER PRIMARY KEY, x TEXT);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, gone INT REFERENCES nowhere, loose TEXT"
        " REFERENCES p (x), strict INT NOT NULL REFERENCES p, optional INT REFERENCES p);"
        "INSERT INTO c VALUES (1, 1, 'x', 9, 9)",
    )
    assert set(messages(found, "reference")) == {"c.gone", "c.loose"}
    assert messages(found, "orphans") == {
        "c.strict": "1 rows refer to rows of p that are not there",
        "c.optional": "1 rows refer to rows of p that are not there",
    }
    assert field(found, "strictP").endswith("@ignore")
    assert not field(found, "optionalP").endswith("@ignore")


def test_an_empty_database_cannot_be_described(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE _lamdb_schema (x); CREATE TABLE _prisma_migrations (x)")
    with pytest.raises(MigrationError) as caught:
        introspect(connection)
    assert caught.value.code == "P4001"


# Afterwards.


def test_only_what_is_changed_is_migrated(connection: apsw.Connection) -> None:
    found = found_in(
        connection,
        "CREATE TABLE logs (at DATETIME, what integer_or_text); INSERT INTO logs VALUES (1760000000, 'x');"
        "CREATE TABLE named (name TEXT PRIMARY KEY, note TEXT UNIQUE);"
        "CREATE VIRTUAL TABLE words USING fts5 (w)",
    )
    more = found.text.replace("  note String?", "  more Int?\n  note String?")
    script = difference(connection, more)
    assert script.strip() == '-- AlterTable\nALTER TABLE "named" ADD COLUMN "more" INTEGER;'
    bigger = found.text.replace("at    BigInt?", "at    String?").replace("/// @lamdb.type DATETIME\n", "")
    assert "new_logs" in difference(connection, bigger)
    connection.execute(difference(connection, bigger))
    assert connection.execute("SELECT rowid, at, what FROM logs").fetchall() == [(1, "1760000000", "x")]
    assert difference(connection, bigger).strip() == "-- This is an empty migration."


def test_the_baseline_makes_the_same_tables(connection: apsw.Connection) -> None:
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX i ON t (a) WHERE a > 'x';"
        "CREATE VIEW v AS SELECT a FROM t -- all of them\n; CREATE TABLE z (id INTEGER PRIMARY KEY);"
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO z VALUES (NULL); END;"
        "CREATE VIRTUAL TABLE words USING fts5 (word)"
    )
    baseline = snapshot(connection, BASELINE)
    assert baseline.name == "0_init"
    again = apsw.Connection(":memory:")
    again.execute(baseline.sql)
    assert snapshot(again, BASELINE) == baseline
    assert read_catalog(again) == read_catalog(connection)


def test_a_baseline_leaves_out_what_this_sqlite_cannot_make(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.execute(
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES"
        " ('table', 'places', 'places', 0, 'CREATE VIRTUAL TABLE places USING spatial_index (x)')"
    )
    connection.execute("PRAGMA writable_schema = RESET")
    sql = snapshot(connection, BASELINE).sql
    assert "-- Not possible here: no such module: spatial_index." in sql
    apsw.Connection(":memory:").execute(sql)
    found = introspect(connection)
    assert set(messages(found, "virtual-table")) == {"places"}


def test_known_names_types_and_comments_stay(connection: apsw.Connection) -> None:
    first = found_in(
        connection, "CREATE TABLE logs (at DATETIME); INSERT INTO logs VALUES (1760000000), (1760000001)"
    )
    assert first.schema is not None
    mine = first.text.replace("model Log {", "/// What happened.\nmodel Event {")
    mine = re.sub(r"\bat +BigInt\?", 'moment BigInt? @map("at")', mine)
    carried = PrismaSchema.parse(mine)
    connection.execute("CREATE TABLE new_ones (id INTEGER PRIMARY KEY, at DATETIME)")
    connection.execute("INSERT INTO new_ones VALUES (1, 1760000000)")
    again = introspect(connection, carried=carried)
    assert "/// What happened.\nmodel Event {" in again.text
    assert "moment BigInt?" in " ".join(again.text.split())
    assert "/// @lamdb.rowid" in again.text
    assert "model new_ones {" in again.text
    assert again.text.count("/// @lamdb.type DATETIME") == 2
    assert not messages(again, "difference")


def test_a_history_reads_notes_as_the_schema_does(connection: apsw.Connection) -> None:
    """The behaviour of `migrate dev` and `migrate status` with a baseline."""
    found = found_in(connection, "CREATE TABLE logs (at DATETIME); INSERT INTO logs VALUES (1760000000)")
    assert found.schema is not None
    baseline = snapshot(connection, BASELINE)
    with SchemaEngine(connection) as engine:
        engine.mark_applied(baseline.name, [baseline])
        assert engine.create_migration("next", [baseline], found.schema) is None
        assert engine.evaluate_data_loss([baseline], found.schema).steps == 0
        later = PrismaSchema.parse(found.text + "\nmodel More {\n  id Int @id\n}\n")
        script = engine.create_migration("next", [Migration(*baseline)], later)
    assert script is not None
    assert 'CREATE TABLE "More"' in script
    assert "logs" not in script


SEARCHED = """datasource db {
  provider = "sqlite"
}
/// A note.
/// @lamdb.search title^2 author.name
/// @lamdb.search.facets kind
model Note {
  id       Int     @id @default(autoincrement())
  title    String
  kind     String?
  authorId Int?
  author   Author? @relation(fields: [authorId], references: [id])
}
model Author {
  id    Int    @id @default(autoincrement())
  name  String
  notes Note[]
}
"""


def test_the_tables_of_a_search_are_no_findings(connection: apsw.Connection) -> None:
    schema = PrismaSchema.parse(SEARCHED)
    push(connection, schema)
    found = introspect(connection, carried=PrismaSchema.trusted(schema.text))
    assert found.findings == ()
    assert found.schema is not None
    assert found.schema.searches == schema.searches
    fresh = introspect(connection)
    assert {each.kind for each in fresh.findings} <= {"difference"}
    assert "_lamdb" not in fresh.text


def test_a_schema_is_told_from_that_of_other_tables(connection: apsw.Connection) -> None:
    schema = PrismaSchema.parse(SEARCHED)
    push(connection, schema)
    assert is_schema_of(connection, schema)
    assert not is_schema_of(connection, PrismaSchema.parse(SEARCHED.replace("title^2 author.name", "title")))
    assert not is_schema_of(
        connection, PrismaSchema.parse(SEARCHED.replace("kind     String?", "kind     Int?"))
    )


def test_annotations_that_do_not_fit_are_left_out(connection: apsw.Connection) -> None:
    schema = PrismaSchema.parse(SEARCHED)
    push(connection, schema)
    other = SEARCHED.replace("author.name", "author.title").replace("  name ", "  title ")
    found = introspect(connection, carried=PrismaSchema.trusted(other))
    assert [(each.kind, each.table) for each in found.findings] == [("search", "Note"), ("difference", "")]
    assert "@lamdb.search" not in found.text
    assert "/// A note." in found.text
