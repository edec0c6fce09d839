"""Schemas with changes that no migration has, on stores that other servers serve."""

from pathlib import Path

import pytest

from lamdb.deployment.project import Project
from lamdb.errors import MigrationError
from lamdb.graphql import stored_schema
from lamdb.prisma.migrate import migrate
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage import Database

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
TAG = "model Tag {\n  id Int @id\n}\n"
POST = "model Post {\n  id Int @id\n  title String\n}\n"

UNFINISHED = {
    "a field": HEAD + TAG + POST.replace("title String\n", "title String\n  body String?\n"),
    "a type": HEAD + TAG + POST.replace("title String", "title Int"),
    "a field less": HEAD + TAG + POST.replace("  title String\n", ""),
    "a model": HEAD + TAG + POST + TAG.replace("Tag", "Label"),
    "a model less": HEAD + POST,
    "an index": HEAD + TAG + POST.replace("}", "  @@index([title])\n}"),
    "a column's name": HEAD + TAG + POST.replace("title String", 'title String @map("heading")'),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A store to which a migrated project is deployed."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "schema.prisma").write_text(HEAD + TAG + POST)
    migrate.create(project, "init")
    made = Settings(store=f"file://{tmp_path}/store", database=str(project))
    Instance.open(made).database.close()
    return made


def carried(settings: Settings) -> tuple[str, int]:
    with Database.open(settings.store) as database, database.reader() as connection:
        files = stored_schema.read_files(connection)
        assert files is not None
        return files["schema.prisma"], database.txid


@pytest.mark.parametrize("change", UNFINISHED)
def test_an_unfinished_schema_does_not_reach_other_servers(settings: Settings, change: str) -> None:
    before = carried(settings)
    Path(settings.database, "schema.prisma").write_text(UNFINISHED[change])
    with pytest.raises(MigrationError, match="changes that no migration has") as refused:
        Instance.open(settings)
    assert "lamdb migrate create NAME" in refused.value.hint
    assert "--allow-unmigrated" in refused.value.hint
    assert carried(settings) == before


def test_it_is_served_when_that_is_asked_for(settings: Settings) -> None:
    Path(settings.database, "schema.prisma").write_text(UNFINISHED["a model less"])
    with Instance.open(settings, allow_unmigrated=True) as instance:
        assert b"findManyTag" not in instance.renderings().sdl
    # The store carries it now, so that nothing is published by a further server.
    Instance.open(settings).database.close()
    assert carried(settings)[0] == UNFINISHED["a model less"]


@pytest.mark.parametrize(
    "schema",
    [
        HEAD + "/// Labels of posts.\n" + TAG + POST,
        HEAD + POST + TAG,
        HEAD.replace("\n}", '\n  url = env("DATABASE_URL")\n}') + TAG + POST,
    ],
    ids=["a comment", "another order", "an address"],
)
def test_changes_that_need_no_migration_are_served(settings: Settings, schema: str) -> None:
    Path(settings.database, "schema.prisma").write_text(schema)
    Instance.open(settings).database.close()


def test_tables_that_only_migrations_make_do_not_matter(settings: Settings) -> None:
    project = Project.at(settings.database)
    script = (
        'CREATE TABLE "audit" ("id" INTEGER PRIMARY KEY);\nCREATE INDEX "by_title" ON "Post" ("title");\n'
    )
    folder = project.layout.migrations / "20990101000000_audit"
    folder.mkdir()
    (folder / "migration.sql").write_text(script)
    with Instance.open(settings) as instance:
        assert instance.database.txid == 2


def test_a_store_of_this_process_alone_takes_any_schema(settings: Settings) -> None:
    Path(settings.database, "schema.prisma").write_text(UNFINISHED["a field"])
    alone = Settings(store="memory:", database=settings.database)
    with Instance.open(alone) as instance:
        assert b"body" in instance.renderings().sdl
    with Instance.open(alone, push=True) as instance:
        assert b"body" in instance.renderings().sdl
    with pytest.raises(MigrationError, match="has migrations") as refused:
        Instance.open(settings, push=True)
    assert "--store memory: --push" in refused.value.hint
