"""A real `lamdb migrate deploy` that is killed at some moment: all of it is there, or what was before it."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lamdb.deployment.apply import deploy
from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrations import Migration, write_migration
from lamdb.storage import Database

LAMDB = str(Path(sys.executable).with_name("lamdb"))
KILLS = 10
ROWS = 20_000

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
OLD = HEAD + "model Word {\n  id   Int    @id\n  text String\n}\n"
SIZED = OLD.replace("text String\n", "text String\n  size Int    @default(0)\n")
NEW = SIZED + "\nmodel Sum {\n  id Int @id\n}\n"
FIRST = Migration(
    "20260101000000_init", 'CREATE TABLE "Word" ("id" INTEGER NOT NULL PRIMARY KEY, "text" TEXT NOT NULL);\n'
)
SECOND = Migration(
    "20260102000000_size",
    'CREATE TABLE "new_Word" (\n    "id" INTEGER NOT NULL PRIMARY KEY,\n    "text" TEXT NOT NULL,\n'
    '    "size" INTEGER NOT NULL DEFAULT 0\n);\n'
    'INSERT INTO "new_Word" ("id", "text", "size") SELECT "id", "text", length("text") FROM "Word";\n'
    'DROP TABLE "Word";\nALTER TABLE "new_Word" RENAME TO "Word";\n',
)
THIRD = Migration(
    "20260103000000_sum",
    'CREATE TABLE "Sum" ("id" INTEGER NOT NULL PRIMARY KEY);\n'
    'INSERT INTO "Sum" SELECT sum("size") FROM "Word";\n',
)
SUM = sum(len(f"word {n}") for n in range(1, ROWS + 1))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose last two migrations are not in the store yet."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "schema.prisma").write_text(NEW)
    for migration in (FIRST, SECOND, THIRD):
        write_migration(directory / "migrations", migration)
    return directory


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A store with the first migration and data."""
    path = tmp_path / "before"
    with Database.open(path.as_uri()) as database:
        deploy(database, [FIRST], PrismaSchema.parse(OLD))
        with database.writer() as connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " INSERT INTO Word SELECT i, 'word ' || i FROM n",
                (ROWS,),
            )
    return path


def start(store: Path, project: Path) -> subprocess.Popen[bytes]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LAMDB_")}
    command = [LAMDB, "migrate", "deploy", "--store", store.as_uri(), "--database", str(project)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def seen(store: Path) -> dict[str, Any]:
    """The state that a reader sees: its columns, rows, history and schema."""
    with Database.open(store.as_uri(), create=False) as database, database.reader() as connection:
        columns = tuple(row[1] for row in connection.execute("PRAGMA table_info(Word)"))
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return {
            "columns": columns,
            "tables": connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE name IN ('Sum', 'new_Word')"
            ).get,
            "rows": connection.execute("SELECT count(*), sum(length(text)) FROM Word").get,
            "size": connection.execute("SELECT sum(size) FROM Word").get if "size" in columns else None,
            "history": connection.execute(
                "SELECT count(*) FROM _prisma_migrations WHERE finished_at NOTNULL"
            ).get,
            "schema": stored_schema.read_files(connection),
        }


@pytest.mark.slow
def test_a_deployment_is_there_as_a_whole_or_not_at_all(before: Path, project: Path, tmp_path: Path) -> None:
    old = seen(before)
    assert (old["columns"], old["history"], old["schema"]) == (("id", "text"), 1, {"schema.prisma": OLD})

    whole = tmp_path / "whole"
    shutil.copytree(before, whole)
    begun = time.monotonic()
    assert start(whole, project).wait(120) == 0
    took = time.monotonic() - begun
    new = seen(whole)
    assert (new["columns"], new["history"], new["size"]) == (("id", "text", "size"), 3, SUM)
    assert new["schema"] == {"schema.prisma": NEW}

    # Each kill comes closer to the moment of the commit: later after one that was too early, and the reverse.
    chance = random.Random(5)
    moment, ends = took * 0.8, Counter[str]()
    for number in range(KILLS):
        store = tmp_path / f"killed-{number}"
        shutil.copytree(before, store)
        process = start(store, project)
        time.sleep(moment * chance.uniform(0.95, 1.05))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        found = seen(store)
        assert found in (old, new)
        ends["new" if found == new else "old"] += 1
        moment *= 0.92 if found == new else 1.15
        if found == old:
            again = start(store, project)
            _, errors = again.communicate(timeout=120)
            assert (again.returncode, errors) == (0, b"")
            assert seen(store) == new
        shutil.rmtree(store)
    print(dict(ends), f"{took:.2f} s undisturbed")
    assert ends["old"] > 0
    assert ends["new"] > 0
