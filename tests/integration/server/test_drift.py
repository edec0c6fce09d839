"""Findings of `migrate status` about tables that were changed past the migrations."""

import apsw
import pytest

from lamdb.deployment.develop import drift_of, find_drift, require_no_drift
from lamdb.errors import MigrationError
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.snapshot import snapshot

INIT = """
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, price REAL CHECK (price > 0),
    twice REAL AS (price * 2), code TEXT DEFAULT (hex(randomblob(2))), parent INTEGER,
    FOREIGN KEY (parent) REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE seen (msg TEXT NOT NULL ON CONFLICT IGNORE PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE INDEX lowered ON item (lower(name));
CREATE INDEX some ON item (price) WHERE price > 9;
CREATE INDEX plain ON item (price);
CREATE VIEW dear AS SELECT name FROM item WHERE price > 9;
CREATE TRIGGER item_ai AFTER INSERT ON item BEGIN INSERT INTO seen VALUES (NEW.name); END;
CREATE VIRTUAL TABLE words USING fts5(name, content='item');
"""
LOOSENED = """
DROP TRIGGER item_ai; DROP TABLE seen;
CREATE TABLE seen (msg TEXT NOT NULL ON CONFLICT IGNORE PRIMARY KEY) WITHOUT ROWID;
"""
CHANGES = {
    "DROP TRIGGER item_ai": "[-] Missing trigger item_ai on item",
    "DROP VIEW dear": "[-] Missing view dear",
    "DROP INDEX lowered": "[-] Missing index lowered on item",
    "DROP INDEX some": "[-] Missing index some on item",
    "DROP TABLE words": "[-] Missing virtual table words",
    "CREATE TRIGGER extra AFTER DELETE ON item BEGIN SELECT 1; END": "[+] Added trigger extra on item",
    "CREATE VIEW extra AS SELECT 1": "[+] Added view extra",
    "CREATE INDEX extra ON item (name COLLATE RTRIM)": "[+] Added index extra on item",
    "DROP TRIGGER item_ai; CREATE TRIGGER item_ai AFTER INSERT ON item BEGIN SELECT 1; END": (
        "[*] Changed trigger item_ai on item"
    ),
    "DROP VIEW dear; CREATE VIEW dear AS SELECT name FROM item": "[*] Changed view dear",
    LOOSENED: "[-] Missing in table seen: STRICT",
    "ALTER TABLE item ADD COLUMN half REAL AS (price / 2)": "half as ( price / 2 )",
    "ALTER TABLE item ADD COLUMN more REAL CHECK (more < 5)": "check ( more < 5 )",
    "ALTER TABLE item ADD COLUMN loud TEXT COLLATE RTRIM": "loud collate rtrim",
}
SAME = (
    "",
    'DROP TRIGGER item_ai; create trigger [item_ai] after insert on "item" begin\n'
    "  insert into SEEN values (new.name); /* the same */ end",
    "DROP VIEW dear; create view `dear` as select name from item where price>9 -- the same",
    "INSERT INTO item (name, price) VALUES ('a', 10)",
)


def database(sql: str = "") -> apsw.Connection:
    made = apsw.Connection(":memory:")
    migrate.apply_migrations(made, [Migration("0_init", INIT)])
    made.execute(sql)
    return made


@pytest.mark.parametrize("sql", CHANGES)
def test_what_was_changed_is_found(sql: str) -> None:
    connection = database(sql)
    drift = find_drift(connection, [Migration("0_init", INIT)])
    assert drift is not None
    assert CHANGES[sql] in drift


def test_no_migration_is_made_on_top() -> None:
    connection = database("DROP TRIGGER item_ai")
    with pytest.raises(MigrationError) as caught:
        require_no_drift(connection, [Migration("0_init", INIT)])
    assert caught.value.code == "MIGRATION_DRIFT"


@pytest.mark.parametrize("sql", SAME)
def test_what_is_the_same_is_not(sql: str) -> None:
    assert find_drift(database(sql), [Migration("0_init", INIT)]) is None


def test_what_a_rebuild_has_taken_away_is_found() -> None:
    """As Prisma's own command line would leave the table: without its triggers and all else."""
    script = (
        'CREATE TABLE "new_item" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL,'
        ' "price" REAL NOT NULL, "code" TEXT, "parent" INTEGER, CONSTRAINT "item_parent_fkey"'
        ' FOREIGN KEY ("parent") REFERENCES "item" ("id"));\n'
        'INSERT INTO "new_item" ("id", "name", "price", "code", "parent")'
        ' SELECT "id", "name", "price", "code", "parent" FROM "item";\n'
        'DROP TABLE "item"; ALTER TABLE "new_item" RENAME TO "item"; CREATE INDEX "plain" ON "item"("price");'
    )
    history = [Migration("0_init", INIT), Migration("1_price", script)]
    ours = database()
    migrate.apply_migrations(ours, history)
    assert find_drift(ours, history) is None
    theirs = database()
    theirs.execute(f"DROP VIEW dear; {script} CREATE VIEW dear AS SELECT name FROM item WHERE price > 9")
    drift = drift_of(snapshot(theirs), ["0_init", "1_price"], history)
    assert drift is not None
    for line in (
        "Missing trigger item_ai on item", "Missing index lowered on item", "Missing index some on item",
        "name collate nocase", "check ( price > 0 )", "twice as ( price * 2 )",
        "code default hex ( randomblob ( 2 ) )", "deferrable initially deferred",
    ):  # fmt: skip
        assert line in drift
