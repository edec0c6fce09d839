"""Tables with what Prisma does not model, rebuilt by a script: all of it is there afterwards, and works.

Each table is put together at random (from a number that the test's name has) out of features. Then one column
becomes optional: by a script in Prisma's form, by a migration that lamDB creates, and by a push.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw
import pytest

from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.introspection.introspect import introspect
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.completion import complete
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.migrate.snapshot import snapshot

type Check = Callable[[apsw.Connection], None]

ROW = "INSERT INTO item (name, price, memo{more}) VALUES ({name}, {price}, {memo}{values})"


@dataclass
class Table:
    """A table `item`, what hangs on it, and how to see that each works. `memo` is to become optional."""

    number: int
    primary: str = "id INTEGER PRIMARY KEY"
    name: str = "name TEXT NOT NULL"
    price: str = "price REAL NOT NULL DEFAULT 1"
    columns: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: str = ""
    others: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def sql(self) -> str:
        parts = [self.primary, self.name, self.price, *self.columns, "memo TEXT NOT NULL", *self.constraints]
        table = f"CREATE TABLE item ({', '.join(parts)}){self.options};\n"
        return table + "CREATE TABLE seen (msg TEXT);\n" + "".join(f"{each};\n" for each in self.others)


def put(connection: apsw.Connection, name: str, price: float = 2, memo: str | None = "m") -> int:
    sql = "INSERT INTO item (name, price, memo) VALUES (?, ?, ?)"
    connection.execute(sql, (name, price, memo))
    return int(connection.last_insert_rowid())


def value(connection: apsw.Connection, sql: str) -> object:
    return connection.execute(sql).get


def refused(connection: apsw.Connection, name: str, price: float = 2) -> None:
    with pytest.raises(apsw.ConstraintError):
        put(connection, name, price)


def collated(table: Table) -> None:
    table.name = "name TEXT NOT NULL COLLATE NOCASE UNIQUE"
    table.checks.append(lambda c: (put(c, "Collated"), refused(c, "cOLLATED"))[1])


def conflicting(table: Table) -> None:
    table.name = "name TEXT NOT NULL ON CONFLICT IGNORE"
    table.checks.append(lambda c: _ignored(c))


def _ignored(connection: apsw.Connection) -> None:
    before = value(connection, "SELECT count(*) FROM item")
    connection.execute("INSERT INTO item (name, price, memo) VALUES (NULL, 1, 'm')")
    assert value(connection, "SELECT count(*) FROM item") == before


def checked(table: Table) -> None:
    table.price += " CHECK (price > 0)"
    table.checks.append(lambda c: refused(c, "cheap", -1))


def checked_by_name(table: Table) -> None:
    table.constraints.append("CONSTRAINT sane CHECK (price < 1000 AND length(name) < 50)")
    table.checks.append(lambda c: refused(c, "dear", 5000))


def stored(table: Table) -> None:
    table.columns.append("twice REAL GENERATED ALWAYS AS (price * 2) STORED")
    table.checks.append(lambda c: _equal(c, "twice", 3, 6.0))


def virtual(table: Table) -> None:
    table.columns.append('"loud one" TEXT AS (upper(name))')
    table.checks.append(lambda c: _computed(c))


def _computed(connection: apsw.Connection) -> None:
    row = put(connection, "quiet")
    assert value(connection, f'SELECT "loud one" FROM item WHERE rowid = {row}') == "QUIET"


def _equal(connection: apsw.Connection, column: str, price: float, wanted: object) -> None:
    row = put(connection, f"equal {column}", price)
    assert value(connection, f"SELECT {column} FROM item WHERE rowid = {row}") == wanted


def default_expression(table: Table) -> None:
    table.columns.append("code TEXT NOT NULL DEFAULT (lower(hex(randomblob(3))))")

    def works(connection: apsw.Connection) -> None:
        row = put(connection, "coded")
        code = value(connection, f"SELECT code FROM item WHERE rowid = {row}")
        assert re.fullmatch("[0-9a-f]{6}", str(code))

    table.checks.append(works)


def default_time(table: Table) -> None:
    table.columns.append("made TEXT DEFAULT CURRENT_TIMESTAMP")

    def works(connection: apsw.Connection) -> None:
        row = put(connection, "timed")
        assert value(connection, f"SELECT made FROM item WHERE rowid = {row}") is not None

    table.checks.append(works)


def autoincrement(table: Table) -> None:
    table.primary = "id INTEGER PRIMARY KEY AUTOINCREMENT"

    def works(connection: apsw.Connection) -> None:
        # Five rows were there, and the last of them went.
        assert put(connection, "next") >= 6

    table.checks.append(works)


def strict(table: Table) -> None:
    table.options = " STRICT"
    table.checks.append(lambda c: _strict(c))


def _strict(connection: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError):
        connection.execute("INSERT INTO item (name, price, memo) VALUES ('s', 'no number', 'm')")


def text_key(table: Table) -> None:
    """Rows that only their rowid tells: the key is not the rowid."""
    table.primary = "key TEXT PRIMARY KEY ON CONFLICT REPLACE DEFAULT (hex(randomblob(8)))"

    def works(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO item (key, name, memo) VALUES ('k', 'one of a key', 'm')")
        connection.execute("INSERT INTO item (key, name, memo) VALUES ('k', 'other of a key', 'm')")
        assert value(connection, "SELECT group_concat(name) FROM item WHERE key = 'k'") == "other of a key"

    table.checks.append(works)


def own_trigger(table: Table) -> None:
    table.others.append(
        "CREATE TRIGGER item_ai AFTER INSERT ON item WHEN NEW.name <> 'x;y' BEGIN"
        " INSERT INTO seen VALUES ('new ' || NEW.name); SELECT CASE WHEN 1 THEN 2 END; END"
    )

    def works(connection: apsw.Connection) -> None:
        put(connection, "fires")
        assert value(connection, "SELECT count(*) FROM seen WHERE msg = 'new fires'") == 1

    table.checks.append(works)


def other_trigger(table: Table) -> None:
    table.others += [
        "CREATE TABLE mail (text TEXT)",
        "CREATE TRIGGER mail_ai AFTER INSERT ON mail BEGIN UPDATE item SET price = 77; END",
    ]

    def works(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO mail VALUES ('a')")
        assert value(connection, "SELECT count(*) FROM item WHERE price <> 77") == 0

    table.checks.append(works)


def view(table: Table) -> None:
    table.others += [
        "CREATE VIEW dear AS SELECT name FROM item WHERE price >= 2",
        "CREATE VIEW dearer AS SELECT name FROM dear",
        "CREATE TRIGGER dear_ii INSTEAD OF INSERT ON dear BEGIN"
        " INSERT INTO item (name, price, memo) VALUES (NEW.name, 9, 'v'); END",
    ]

    def works(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO dear VALUES ('through the view')")
        assert value(connection, "SELECT count(*) FROM dearer WHERE name = 'through the view'") == 1

    table.checks.append(works)


def indexes(table: Table) -> None:
    table.others += [
        "CREATE INDEX lowered ON item (lower(name))",
        "CREATE UNIQUE INDEX expensive ON item (price) WHERE price > 900",
        "CREATE INDEX reversed ON item (name COLLATE RTRIM DESC, price)",
    ]

    def works(connection: apsw.Connection) -> None:
        put(connection, "costly", 950)
        refused(connection, "as costly", 950)
        sql = "SELECT count(*) FROM pragma_index_xinfo('reversed') WHERE coll = 'RTRIM' AND desc"
        assert value(connection, sql) == 1
        assert value(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'lowered'") == 1

    table.checks.append(works)


def full_text(table: Table) -> None:
    table.others += [
        "CREATE VIRTUAL TABLE words USING fts5(name, content='item')",
        "CREATE TRIGGER words_ai AFTER INSERT ON item BEGIN"
        " INSERT INTO words (rowid, name) VALUES (NEW.rowid, NEW.name); END",
        "CREATE TRIGGER words_ad AFTER DELETE ON item BEGIN"
        " INSERT INTO words (words, rowid, name) VALUES ('delete', OLD.rowid, OLD.name); END",
    ]

    def works(connection: apsw.Connection) -> None:
        put(connection, "searchable")
        assert value(connection, "SELECT count(*) FROM words('searchable')") == 1
        assert value(connection, "SELECT group_concat(name) FROM words('fourth')") == "fourth"
        connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")

    table.checks.append(works)


def deferred(table: Table) -> None:
    table.others.append("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    table.columns.append(
        "parent INTEGER REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE"
        " DEFERRABLE INITIALLY DEFERRED"
    )

    def works(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA foreign_keys=ON; BEGIN")
        row = put(connection, "child")
        connection.execute(f"UPDATE item SET parent = 99 WHERE rowid = {row}")
        connection.execute("INSERT INTO parent VALUES (99); COMMIT; DELETE FROM parent")
        assert value(connection, f"SELECT parent FROM item WHERE rowid = {row}") is None

    table.checks.append(works)


NAMES = (collated, conflicting)
KEYS = (autoincrement, text_key)
FEATURES = (
    checked, checked_by_name, stored, virtual, default_expression, default_time, strict, own_trigger,
    other_trigger, view, indexes, full_text, deferred,
)  # fmt: skip


def table_of(number: int) -> Table:
    rng = random.Random(number)
    table = Table(number)
    chosen = [*rng.sample(FEATURES, rng.randint(2, 6)), *rng.sample(NAMES, rng.randint(0, 1))]
    chosen += rng.sample(KEYS, rng.randint(0, 1))
    for feature in sorted(chosen, key=lambda each: each.__name__):
        feature(table)
    return table


def filled(table: Table) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(table.sql)
    for name in ("first", "second", "third", "fourth", "fifth"):
        put(connection, name)
    connection.execute("DELETE FROM item WHERE name IN ('second', 'fifth')")
    return connection


@pytest.mark.parametrize("number", range(250))
def test_the_checks_themselves(number: int) -> None:
    table = table_of(number)
    connection = filled(table)
    for check in table.checks:
        check(connection)


def rows_of(connection: apsw.Connection) -> list[tuple[object, ...]]:
    found = connection.execute("SELECT name FROM pragma_table_xinfo('item') ORDER BY name").fetchall()
    columns = ", ".join(f'"{name}"' for (name,) in found)
    return connection.execute(f"SELECT rowid, {columns} FROM item ORDER BY rowid").fetchall()


def optional_memo(text: str) -> str:
    changed = re.sub(r"(\bmemo\s+String)(\s)", r"\1?\2", text)
    assert changed != text
    return changed


def engines_script(connection: apsw.Connection) -> tuple[list[Migration], PrismaSchema, str]:
    """The history of an imported database, a schema with a change, and what Prisma's engine makes of it."""
    schema = PrismaSchema.parse(optional_memo(introspect(connection).text))
    history = [snapshot(connection, "0_init")]
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, history)
        script = engine.create_migration("optional", history, schema)
    assert script is not None
    assert 'CREATE TABLE "new_item"' in script
    return history, schema, script


def prismas_script(connection: apsw.Connection) -> str:
    """A script as Prisma's own command line would write it: with what it sees of the table."""
    columns, names = [], []
    rows = connection.execute(
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('item')"
    ).fetchall()
    for name, type_, not_null, default, key in rows:
        required = bool(not_null or key) and name != "memo"
        primary = " PRIMARY KEY AUTOINCREMENT" if key and type_ == "INTEGER" else " PRIMARY KEY" * bool(key)
        literal = default is not None and re.fullmatch(r"[0-9.]+|'.*'", str(default))
        columns.append(
            f'"{name}" {type_}{" NOT NULL" if required else ""}{primary}'
            + (f" DEFAULT {default}" if literal else "")
        )
        names.append(f'"{name}"')
    unique = connection.execute(
        "SELECT i.name FROM pragma_index_list('item') AS l, pragma_index_info(l.name) AS i"
        " WHERE l.origin = 'u'"
    ).fetchall()
    made = [f'CREATE UNIQUE INDEX "item_{name}_key" ON "item"("{name}");' for (name,) in unique]
    keys = connection.execute("SELECT count(*) FROM pragma_foreign_key_list('item')").get
    if keys:
        columns.append(
            'CONSTRAINT "item_parent_fkey" FOREIGN KEY ("parent") REFERENCES "parent" ("id")'
            " ON DELETE SET NULL ON UPDATE CASCADE"
        )
    listed = ", ".join(names)
    body = ",\n    ".join(columns)
    return (
        "-- RedefineTables\nPRAGMA defer_foreign_keys=ON;\nPRAGMA foreign_keys=OFF;\n"
        f'CREATE TABLE "new_item" (\n    {body}\n);\n'
        f'INSERT INTO "new_item" ({listed}) SELECT {listed} FROM "item";\n'
        'DROP TABLE "item";\nALTER TABLE "new_item" RENAME TO "item";\n'
        + "\n".join(made)
        + "\nPRAGMA foreign_keys=ON;\nPRAGMA defer_foreign_keys=OFF;\n"
    )


def assert_kept(table: Table, connection: apsw.Connection, before: list[tuple[object, ...]]) -> None:
    assert rows_of(connection) == before
    not_null = "SELECT \"notnull\" FROM pragma_table_info('item') WHERE name = 'memo'"
    assert value(connection, not_null) == 0
    for check in table.checks:
        check(connection)
    assert value(connection, "PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("number", range(40))
def test_a_script_of_prismas_command_line(number: int) -> None:
    table = table_of(number)
    connection = filled(table)
    before = rows_of(connection)
    migrate.apply_one(connection, Migration("1_optional", prismas_script(connection)))
    assert_kept(table, connection, before)


@pytest.mark.parametrize("number", range(100, 110))
def test_a_created_migration(number: int) -> None:
    table = table_of(number)
    connection = filled(table)
    before = rows_of(connection)
    history, schema, script = engines_script(connection)
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, history)
        completed = complete(engine.connection, script, schema.text)
    assert completed.lost == ()
    created = Migration("1_optional", completed.text)
    # What the script says is all that happens: any SQLite does the same.
    plain = apsw.Connection(":memory:")
    with plain.backup("main", connection, "main") as backup:
        backup.step()
    plain.execute(completed.text)
    migrate.apply_one(connection, created)
    assert snapshot(connection) == snapshot(plain)
    assert_kept(table, plain, before)
    assert_kept(table, connection, before)
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, [*history, created])
        assert engine.create_migration("again", [*history, created], schema) is None


@pytest.mark.parametrize("number", range(200, 206))
def test_a_push(number: int) -> None:
    table = table_of(number)
    connection = filled(table)
    before = rows_of(connection)
    schema = PrismaSchema.parse(optional_memo(introspect(connection).text))
    migrate.push(connection, schema)
    assert_kept(table, connection, before)
    assert migrate.push(connection, schema).executed_steps == 0


REBUILD = """\
CREATE TABLE "new_item" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    {columns}
);
INSERT INTO "new_item" ("id", {names}) SELECT "id", {sources} FROM "item";
DROP TABLE "item";
ALTER TABLE "new_item" RENAME TO "item";
"""

LOSSES = {
    "CHECK over a column that goes": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a INT, b INT, CHECK (a < b))",
        "CHECK(a < b)",
        "as written",
    ),
    "generated of a column that goes": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a INT, b INT, c INT AS (b + 1))",
        "the generated column c",
        "as written",
    ),
    "trigger that reads a column that goes": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a INT, b INT);"
        "CREATE TRIGGER t AFTER INSERT ON item BEGIN UPDATE item SET a = NEW.b WHERE id < 0; END",
        "the trigger t (no such column: NEW.b)",
        "without trigger",
    ),
    "trigger of another table": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a INT, b INT); CREATE TABLE o (x INT);"
        "CREATE TRIGGER t AFTER INSERT ON o BEGIN UPDATE item SET b = NEW.x; END",
        "the trigger t (no such column: b)",
        "without trigger",
    ),
    "view of a column that goes": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a INT, b INT); CREATE VIEW v AS SELECT a, b FROM item",
        "what the view shows: v (no such column: b)",
        "without view",
    ),
    "index over an expression of a column that goes": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a INT, b INT); CREATE INDEX i ON item (a + b)",
        "the index i",
        "without index",
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_what_cannot_be_kept_is_refused_until_confirmed(case: str) -> None:
    sql, message, comment = LOSSES[case]
    script = REBUILD.format(columns='"a" INTEGER', names='"a"', sources='"a"')
    connection = apsw.Connection(":memory:")
    connection.execute(f"{sql}; INSERT INTO item (id, a, b) VALUES (1, 2, 3)")
    before = snapshot(connection)
    with pytest.raises(MigrationError, match=r"cannot be kept") as caught:
        migrate.apply_one(connection, Migration("1_drop", script))
    assert caught.value.code == "MIGRATION_LOSS"
    assert message in caught.value.message
    assert snapshot(connection) == before
    # The hint's comments say that it is meant.
    comments = [line.strip() for line in caught.value.hint.splitlines() if line.strip().startswith("-- ")]
    assert comments
    assert all(line.startswith(f"-- lamdb: {comment}") for line in comments)
    said = apsw.Connection(":memory:")
    said.execute(f"{sql}; INSERT INTO item (id, a, b) VALUES (1, 2, 3)")
    migrate.apply_one(said, Migration("1_drop", "\n".join([*comments, script])))
    assert said.execute("SELECT id, a FROM item").fetchall() == [(1, 2)]
    migrate.apply_one(connection, Migration("1_drop", script), accept_loss=True)
    assert connection.execute("SELECT id, a FROM item").fetchall() == [(1, 2)]
    connection.execute("INSERT INTO item (a) VALUES (5)")


def test_a_renamed_column_takes_all_along() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT NOT NULL COLLATE NOCASE CHECK (a <> ''),"
        " c TEXT AS (upper(a)), UNIQUE (a), CHECK (length(a) < 9)); CREATE TABLE seen (m TEXT);"
        "CREATE TRIGGER t AFTER UPDATE OF a ON item BEGIN INSERT INTO seen VALUES (OLD.a || NEW.a); END;"
        "CREATE INDEX i ON item (lower(a)); INSERT INTO item (id, a) VALUES (1, 'x')"
    )
    script = REBUILD.format(columns='"b" TEXT NOT NULL', names='"b"', sources='"a"')
    script += 'CREATE UNIQUE INDEX "item_b_key" ON "item"("b");\n'
    migrate.apply_one(connection, Migration("1_rename", script))
    assert connection.execute("SELECT id, b, c FROM item").fetchall() == [(1, "x", "X")]
    connection.execute("UPDATE item SET b = 'y'")
    assert connection.execute("SELECT m FROM seen").get == "xy"
    for refused_value in ("", "Y", "longer than nine"):
        with pytest.raises(apsw.ConstraintError):
            connection.execute("INSERT INTO item (b) VALUES (?)", (refused_value,))
    assert "lower" in str(connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'i'").get)


def test_a_script_that_makes_its_triggers_again_is_followed() -> None:
    """As people do who know that SQLite drops them."""
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT NOT NULL); CREATE TABLE seen (m TEXT);"
        "CREATE TRIGGER t AFTER INSERT ON item BEGIN INSERT INTO seen VALUES ('old'); END;"
        "CREATE INDEX i ON item (lower(a))"
    )
    rebuild = REBUILD.format(columns='"a" TEXT', names='"a"', sources='"a"')
    trigger = "CREATE TRIGGER t AFTER INSERT ON item BEGIN INSERT INTO seen VALUES ('new'); END;\n"
    index = "CREATE INDEX i ON item (upper(a));\n"
    migrate.apply_one(connection, Migration("1_same", rebuild + trigger + index))
    connection.execute("INSERT INTO item (a) VALUES ('x')")
    assert connection.execute("SELECT m FROM seen").fetchall() == [("new",)]
    # A later script, written where the rebuild had dropped them.
    migrate.apply_one(connection, Migration("2_rebuild", rebuild))
    migrate.apply_one(connection, Migration("3_again", trigger.replace("new", "newer") + index))
    connection.execute("INSERT INTO item (a) VALUES ('y')")
    assert connection.execute("SELECT m FROM seen").fetchall() == [("new",), ("newer",)]


def test_a_rebuild_by_hand_keeps_triggers_and_its_own_definition() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT CHECK (a <> '')); CREATE TABLE seen (m TEXT);"
        "CREATE TRIGGER t AFTER INSERT ON item BEGIN INSERT INTO seen VALUES (NEW.a); END"
    )
    script = (
        "CREATE TABLE item2 (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO item2 SELECT * FROM item;"
        "DROP TABLE item; ALTER TABLE item2 RENAME TO item;"
    )
    migrate.apply_one(connection, Migration("1_by_hand", script))
    connection.execute("INSERT INTO item (a) VALUES ('')")
    assert connection.execute("SELECT m FROM seen").fetchall() == [("",)]


def test_what_is_taken_out_of_the_schema_goes() -> None:
    """A default that the schema had, and has no more, is not kept."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT (upper('x')))")
    text = introspect(connection).text
    assert "dbgenerated" in text
    schema = PrismaSchema.parse(
        re.sub(r"@default\(dbgenerated\([^)]*\)+", "", text).replace("String ", "String?")
    )
    history = [snapshot(connection, "0_init")]
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, history)
        script = engine.create_migration("drop", history, schema)
        assert script is not None
        completed = complete(engine.connection, script, schema.text)
    assert '-- lamdb: as written "item"' in completed.text
    migrate.apply_one(connection, Migration("1_drop", completed.text))
    assert connection.execute("SELECT dflt_value FROM pragma_table_info('item') WHERE name = 'a'").get is None


TAGGED = """
datasource db {
  provider = "sqlite"
}
model Post {
  id     Int    @id
  author User   @relation(fields: [userId], references: [id])
  userId Int
  tags   Tag[]
}
model User {
  id    Int    @id
  posts Post[]
}
model Tag {
  id    Int    @id
  posts Post[]
}
"""


@pytest.mark.parametrize("model", ["Post", "User", "Tag"])
@pytest.mark.parametrize("pushed", [True, False])
def test_references_follow_a_table_to_its_new_name(model: str, pushed: bool) -> None:
    renamed = re.sub(rf"(model {model} {{\n(?:  .*\n)*)}}", r'\1  @@map("other")\n}', TAGGED)
    assert renamed != TAGGED
    before, after = PrismaSchema.parse(TAGGED), PrismaSchema.parse(renamed)
    with SchemaEngine() as engine:
        connection = engine.connection
        migrate.push(connection, before)
        if pushed:
            migrate.push(connection, after, force=True)
        else:
            script = engine.create_migration("rename", [], after)
            assert script is not None
            made = complete(connection, script, after.text).text
            migrate.apply_one(connection, Migration("1_rename", made), accept_loss=True)
        connection.execute("PRAGMA foreign_keys = ON")
        names = {each: "other" if each == model else each for each in ("Post", "User", "Tag")}
        connection.execute(
            f'INSERT INTO "{names["User"]}" VALUES (1); INSERT INTO "{names["Post"]}" VALUES (1, 1);'
            f'INSERT INTO "{names["Tag"]}" VALUES (1); INSERT INTO "_PostToTag" VALUES (1, 1)'
        )
        parents = {
            row[2]
            for table in ("_PostToTag", names["Post"])
            for row in connection.execute(f'PRAGMA foreign_key_list("{table}")')
        }
        assert parents == set(names.values())
