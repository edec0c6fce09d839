"""`lamdb migrate`: the whole cycle on a local store, what it says, and how it ends."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lamdb.cli import confirm, main
from lamdb.cli.remote import STATUS
from lamdb.errors import SettingsError
from lamdb.prisma.migrate.migrations import Migration, read_migrations, write_migration
from lamdb.storage import Database

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
TAG = HEAD + "model Tag {\n  id   Int    @id\n  name String @unique\n}\n"
SIZED = TAG.replace("@unique\n", "@unique\n  size Int @default(3)\n")
SEED = 'mutation { createOneTag(data: { id: 1, name: "seed" }) { id } }'


class Shop:
    """A project and a store; `shop("dev")` runs `lamdb migrate dev` on them."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.directory = path / "shop"
        self.directory.mkdir()
        self.url = f"file://{path}/store"
        self._capsys, self._patch = capsys, patch
        patch.setenv("LAMDB_STORE", self.url)
        patch.setenv("LAMDB_DATABASE", str(self.directory))
        self.schema = TAG

    @property
    def schema(self) -> str:
        return (self.directory / "schema.prisma").read_text()

    @schema.setter
    def schema(self, text: str) -> None:
        (self.directory / "schema.prisma").write_text(text)

    @property
    def migrations(self) -> list[Migration]:
        return read_migrations(self.directory / "migrations", missing_ok=True)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        self._patch.setattr(sys, "argv", ["lamdb", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return self.run("migrate", *arguments)

    def json(self, *arguments: str, code: int = 0) -> Any:
        ended, out, err = self("".join(arguments[:1]), *arguments[1:], "--json")
        assert ended == code, err
        return json.loads(out)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        with Database.open(self.url) as database, database.writer() as connection:
            return connection.execute(text).fetchall()


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(tmp_path, capsys, monkeypatch)


def test_dev_creates_and_applies(shop: Shop) -> None:
    code, out, _ = shop("dev", "--name", "First tags!")
    assert code == 0
    (first,) = shop.migrations
    assert first.name.endswith("_first_tags")
    assert f"{first.name}/migration.sql\napplied {first.name}\n" in out
    assert out.endswith("at transaction 1.\n")
    assert "nothing changed" in shop("dev")[1]
    shop.sql("INSERT INTO Tag VALUES (1, 'x')")
    shop.schema = SIZED
    answer = shop.json("dev")
    assert answer["applied"][0]["name"] == answer["created"] == shop.migrations[1].name
    assert (answer["warnings"], answer["unexecutable"], answer["txid"]) == ([], [], 3)
    assert shop.sql("SELECT * FROM Tag") == [(1, "x", 3)]
    assert shop("status")[0] == 0


def test_dev_applies_what_is_pending_first(shop: Shop) -> None:
    shop("create", "init")
    shop.schema = SIZED
    assert [each["name"] for each in shop.json("dev")["applied"]] == [each.name for each in shop.migrations]


def test_dev_stores_a_schema_whose_tables_did_not_change(shop: Shop) -> None:
    shop("dev")
    shop.schema = TAG.replace("model Tag", "/// Words.\nmodel Tag")
    assert shop("dev")[1].startswith("stored the schema\n")
    assert len(shop.migrations) == 1


def test_dev_says_what_is_lost_and_does_it_only_when_told(shop: Shop) -> None:
    shop.schema = SIZED
    shop("dev")
    shop.sql("INSERT INTO Tag VALUES (1, 'x', 5)")
    shop.schema = TAG
    code, out, err = shop("dev")
    assert code == 1
    assert "warning: You are about to drop the column `size`" in out
    assert "--accept-data-loss" in err
    assert len(shop.migrations) == 1
    assert shop("dev", "--accept-data-loss")[0] == 0
    assert shop.sql("SELECT * FROM Tag") == [(1, "x")]


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_dev_asks_where_somebody_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    shop.schema = SIZED
    shop("dev")
    shop.sql("INSERT INTO Tag VALUES (1, 'x', 5)")
    shop.schema = TAG
    monkeypatch.setattr(confirm, "is_interactive", lambda: True)
    monkeypatch.setattr("lamdb.cli.migrate.is_interactive", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda _: answer == "y\n")
    assert shop("dev", "--name", "less")[0] == code
    assert len(shop.migrations) == 2 - (code != 0)


def test_dev_stops_at_what_the_data_forbids(shop: Shop) -> None:
    shop("dev")
    shop.sql("INSERT INTO Tag VALUES (1, 'x')")
    shop.schema = SIZED.replace(" @default(3)", "")
    code, out, err = shop("dev")
    assert code == 1
    assert "impossible" not in out
    assert err.count("Added the required column `size`") == 1
    assert "--create-only" in err
    assert "migrations.md#by-hand" in err
    answer = shop.json("dev", "--create-only")
    assert (answer["applied"], len(answer["unexecutable"])) == ([], 1)
    assert len(shop.migrations) == 2
    script = shop.directory / "migrations" / shop.migrations[1].name / "migration.sql"
    filled = script.read_text().replace(
        '"name") SELECT "id", "name"', '"name", "size") SELECT "id", "name", 7'
    )
    script.write_text(filled)
    assert shop("deploy")[0] == 0
    assert shop.sql("SELECT * FROM Tag") == [(1, "x", 7)]


def test_dev_notices_tables_that_were_changed_otherwise(shop: Shop) -> None:
    shop("dev")
    shop.sql("ALTER TABLE Tag ADD COLUMN hidden TEXT")
    shop.schema = SIZED
    code, _, err = shop("dev")
    assert code == 1
    assert "code: MIGRATION_DRIFT" in err
    assert "Added column `hidden`" in err
    code, out, _ = shop("status")
    assert code == 1
    assert "Added column `hidden`" in out


def test_a_dry_run_says_time_and_rows_and_keeps_nothing(shop: Shop) -> None:
    shop("dev")
    shop.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
        " INSERT INTO Tag SELECT i, 'n' || i FROM n"
    )
    shop.schema = SIZED.replace("String", "String?")
    shop("create", "rebuild")
    before = shop.sql("SELECT * FROM Tag")
    answer = shop.json("deploy", "--dry-run")
    assert answer["applied"][0]["changedRows"] >= 500
    assert answer["applied"][0]["milliseconds"] > 0
    assert answer["txid"] == 2
    assert "would apply " in shop("deploy", "--dry-run")[1]
    assert shop.sql("SELECT * FROM Tag") == before
    assert shop.json("status", code=1)["pending"] == [shop.migrations[1].name]


def test_a_failed_deployment_names_its_place_and_changes_nothing(shop: Shop) -> None:
    shop("dev")
    shop.schema = SIZED
    shop("create", "good")
    bad = Migration("29990101000000_bad", "CREATE TABLE a (x);\n\nINSERT INTO\n  nope VALUES (1);\n")
    write_migration(shop.directory / "migrations", bad)
    code, _, err = shop("deploy", "--allow-unmigrated")
    assert code == 1
    assert "29990101000000_bad/migration.sql:3\n  | INSERT INTO\n  |   nope VALUES (1);" in err
    assert "code: P3018" in err
    assert shop.sql("SELECT count(*) FROM pragma_table_info('Tag')") == [(2,)]
    assert shop.run("query", "{ findManyTag { name } }")[0] == 0


def test_deploy_refuses_a_schema_that_is_ahead(shop: Shop) -> None:
    shop("create", "init")
    shop.schema = SIZED
    code, _, err = shop("deploy")
    assert (code, "no migration has" in err) == (1, True)
    assert shop("deploy", "--allow-unmigrated")[0] == 0


def test_tables_that_only_migrations_make_are_no_reason_to_refuse(shop: Shop) -> None:
    shop("create", "init")
    extra = Migration("29990101000000_words", "CREATE TABLE words (w);\nCREATE INDEX w ON words (w);\n")
    write_migration(shop.directory / "migrations", extra)
    assert shop("deploy")[0] == 0


def test_status_as_json(shop: Shop) -> None:
    shop("create", "init")
    shop("deploy")
    name = shop.migrations[0].name
    assert shop.json("status") == {
        "txid": 1,
        "applied": [name],
        "pending": [],
        "edited": [],
        "missing": [],
        "failed": [],
        "drift": None,
        "unmigrated": False,
        "upToDate": True,
    }
    script = shop.directory / "migrations" / name / "migration.sql"
    script.write_text(script.read_text() + "-- edited\n")
    assert shop.json("status", code=1)["edited"] == [name]


def test_a_database_that_others_made_gets_a_baseline(shop: Shop) -> None:
    shop.sql('CREATE TABLE "Tag" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT NOT NULL)')
    shop.sql('CREATE UNIQUE INDEX "Tag_name_key" ON "Tag"("name")')
    shop("create", "init")
    code, _, err = shop("deploy")
    assert (code, "code: P3005" in err, "resolve --applied" in err) == (1, True, True)
    name = shop.migrations[0].name
    assert shop("resolve", "--applied", name)[0] == 0
    assert "P3008" in shop("resolve", "--applied", name)[2]
    assert "stored the schema" in shop("deploy")[1]
    assert shop("status")[0] == 0


def test_what_another_tool_failed_is_resolved(shop: Shop) -> None:
    shop("dev")
    bad = Migration("29990101000000_bad", "CREATE TABLE half (x);")
    write_migration(shop.directory / "migrations", bad)
    columns = "id, checksum, migration_name, started_at, applied_steps_count"
    shop.sql(f"INSERT INTO _prisma_migrations ({columns}) VALUES ('x', 'y', '{bad.name}', 1, 0)")
    assert "P3009" in shop("deploy")[2]
    assert shop("resolve", "--rolled-back", bad.name)[0] == 0
    assert "P3012" in shop("resolve", "--rolled-back", shop.migrations[0].name)[2]
    assert "P3011" in shop("resolve", "--rolled-back", "nonsense")[2]
    assert shop.json("status", code=1)["pending"] == [bad.name]


def test_resolve_wants_one_name(shop: Shop) -> None:
    assert shop("resolve")[0] == 2
    assert shop("resolve", "--applied", "a", "--rolled-back", "b")[0] == 2


def test_reset_starts_over_and_what_was_can_be_restored(shop: Shop) -> None:
    (shop.directory / "seed.graphql").write_text(SEED)
    shop("dev")
    shop.sql("INSERT INTO Tag VALUES (7, 'precious')")
    code, _, err = shop("reset")
    assert (code, "--force" in err) == (2, True)
    code, out, _ = shop("reset", "--force")
    assert code == 0
    assert shop.sql("SELECT * FROM Tag") == [(1, "seed")]
    restore = out.strip().splitlines()[-1].removeprefix("To undo the reset: lamdb ")
    assert shop.run(*restore.split())[0] == 0
    assert shop.sql("SELECT * FROM Tag") == [(7, "precious")]
    answer = shop.json("reset", "--force", "--skip-seed")
    assert (answer["seeded"], answer["schemaChanged"]) == (False, True)
    assert shop.sql("SELECT * FROM Tag") == []


def test_push_is_for_stores_without_history(shop: Shop) -> None:
    assert shop("push")[1] == "The tables are those of the schema now, at transaction 1.\n"
    assert shop("push")[1] == "The tables were those of the schema already.\n"
    shop.schema = SIZED
    assert shop.json("push")["steps"] == 1
    shop.sql("INSERT INTO Tag VALUES (1, 'x', 5)")
    shop.schema = TAG
    assert "would lose data" in shop("push")[2]
    assert shop("push", "--accept-data-loss")[0] == 0
    assert "P3005" not in shop("dev")[2]
    assert shop("reset", "--force")[0] == 0
    assert shop("push")[0] == 0
    shop("create", "init")
    shop("reset", "--force")
    assert "history of migrations" in shop("push")[2]
    assert shop("push", "--force-reset", "--accept-data-loss")[0] == 0


def test_diff(shop: Shop, tmp_path: Path) -> None:
    shop("dev")
    assert shop("diff", "--exit-code")[:2] == (0, "No difference detected.\n")
    shop.schema = SIZED
    code, out, _ = shop("diff", "--exit-code")
    assert (code, "`Tag`" in out) == (2, True)
    assert shop("diff")[0] == 0
    assert '"size" INTEGER NOT NULL DEFAULT 3' in shop("diff", "--script")[1]
    assert shop.json("diff", "--from", shop.url, "--to", str(shop.directory / "migrations")) == {
        "differs": False,
        "summary": "",
        "script": "",
    }
    (tmp_path / "other.prisma").write_text(TAG)
    answer = shop.json("diff", "--from", str(tmp_path / "other.prisma"), "--to", "empty")
    assert 'DROP TABLE "Tag";' in answer["script"]


def test_a_server_without_directory_serves_what_the_store_carries(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamdb.server.instance import Instance
    from lamdb.settings import Settings

    shop("dev")
    monkeypatch.chdir(tmp_path)
    with Instance.open(Settings(store=shop.url)) as instance:
        assert instance.project is None
        assert "findManyTag" in instance.renderings().example
        assert b"type Tag {" in instance.renderings().sdl
    with pytest.raises(SettingsError, match="no directory nowhere"):
        Instance.open(Settings(store=shop.url, database="nowhere"))


def test_the_schema_of_a_store(shop: Shop) -> None:
    shop.sql("CREATE TABLE t (x); ")
    assert "code: NO_SCHEMA" in shop.run("schema", "show", "--store", shop.url)[2]
    shop.sql("DROP TABLE t")
    text = shop.schema = TAG.replace("model Tag", "/// Words.\nmodel Tag")
    shop("dev")
    shop.sql("CREATE TABLE other (id INTEGER PRIMARY KEY, note TEXT)")
    shop.schema = SIZED
    assert shop.run("schema", "show", "--text", "--store", shop.url)[1] == text
    assert "size" in shop.run("schema", "show")[1]
    assert "size" not in shop.run("schema", "show", "--store", shop.url)[1]
    assert "size" not in shop.run("schema", "sdl", "--store", shop.url)[1]
    code, out, _ = shop.run("schema", "introspect", "--store", shop.url)
    assert code == 0
    assert "/// Words.\nmodel Tag {" in out
    assert "model other {" in out
    assert "_lamdb" not in out
    assert "_prisma" not in out


def test_a_path_can_be_validated(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "bad.prisma").write_text(TAG.replace("String", "Strin"))
    assert shop.run("schema", "validate", str(shop.directory))[0] == 0
    assert shop.run("schema", "validate", str(shop.directory / "schema.prisma"))[0] == 0
    code, _, err = shop.run("schema", "validate", str(tmp_path / "bad.prisma"))
    assert (code, "bad.prisma:7" in err) == (1, True)
    assert shop.run("schema", "validate", str(tmp_path / "none"))[0] == 1


def test_the_past_is_asked_by_its_own_schema(shop: Shop) -> None:
    shop("dev")
    shop.sql("INSERT INTO Tag VALUES (1, 'x')")
    shop.schema = SIZED.replace("  name String @unique\n", "")
    assert shop("dev", "--accept-data-loss")[0] == 0
    assert "errors" in shop.run("query", "{ findManyTag { name } }")[1]
    code, out, _ = shop.run("query", "{ findManyTag { name } }", "--txid", "2")
    assert (code, json.loads(out)) == (0, {"data": {"findManyTag": [{"name": "x"}]}})
    code, out, _ = shop.run("query", "mutation { deleteManyTag { count } }", "--txid", "2")
    assert (code, json.loads(out)["errors"][0]["extensions"]["code"]) == (1, "READ_ONLY")
    code, out, _ = shop.run("query", "{ findManyTag { name } }", "--txid", "99")
    assert (code, json.loads(out)["errors"][0]["extensions"]["code"]) == (1, "NOT_RESTORABLE")


def test_the_status_of_a_store_is_what_its_operator_api_tells(shop: Shop) -> None:
    """The one is read without the other."""
    shop("dev")
    shop.sql("INSERT INTO Tag VALUES (1, 'x')")
    code, out, _ = shop.run("admin", STATUS)
    assert code == 0
    told = json.loads(out)["data"]
    code, out, _ = shop.run("status", "--json")
    shown = json.loads(out)
    assert (code, shown["migrations"]["last"], shown["restorable"]) == (
        0,
        told["migrations"][0],
        told["restorable"],
    )
    del shown["migrations"], shown["restorable"]
    assert shown == told["database"]
