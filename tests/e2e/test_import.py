"""A SQLite file that others made: `lamdb import`, then a real server, and further migrations."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Server, run

MUSIC = """
CREATE TABLE artists (ArtistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE albums (
    AlbumId INTEGER PRIMARY KEY, Title NVARCHAR(160) NOT NULL, ArtistId INTEGER NOT NULL REFERENCES artists,
    Released DATETIME, Price NUMERIC(10, 2) CHECK (Price > 0)
);
CREATE INDEX IFK_AlbumArtistId ON albums (ArtistId);
CREATE TABLE plays (album INT, at INTEGER, who ANY);
CREATE VIEW titles AS SELECT AlbumId, Title FROM albums;
CREATE VIRTUAL TABLE words USING fts5 (word);
CREATE TRIGGER loud AFTER INSERT ON albums BEGIN
    UPDATE albums SET Title = upper(Title) WHERE AlbumId = new.AlbumId;
END;
INSERT INTO artists VALUES (1, 'Anna'), (2, 'Bert');
INSERT INTO albums VALUES
    (7, 'First', 1, '2009-01-02 00:00:00', 9.5), (8, 'Later', 1, '2013-05-06 07:08:09', 3);
INSERT INTO plays VALUES (7, 1760000000, 'x'), (NULL, 1760000001, 5);
INSERT INTO words VALUES ('hello');
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "music.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(MUSIC)
    connection.close()
    return path


def test_from_a_file_to_a_server(
    source: Path, tmp_path: Path, store: str, serve: Callable[..., Server]
) -> None:
    project = tmp_path / "project"
    where = ("--store", store, "--database", str(project))
    done = run("import", str(source), *where)
    assert done.returncode == 0, done.stderr
    assert "3 models and 1 view for 3 tables" in done.stdout
    assert "words: a virtual table (fts5): not in the schema" in done.stdout
    assert "plays: nothing identifies a row but its rowid, which is the id here" in done.stdout
    assert run("migrate", "status", *where).returncode == 0

    server = serve("--store", store, database=project)
    answered = server.data(
        """{ findManyArtist(orderBy: { artistId: asc }) {
               name albums(where: { released: { gte: "2013-01-01" } }) { title price released } }
             findUniqueTitle(where: { albumId: 8 }) { title }
             findManyPlay(orderBy: { rowid: asc }) { rowid album at who } }"""
    )
    assert answered == {
        "findManyArtist": [
            {"name": "Anna",
             "albums": [{"title": "LATER", "price": "3", "released": "2013-05-06 07:08:09"}]},
            {"name": "Bert", "albums": []},
        ],
        "findUniqueTitle": {"title": "LATER"},
        "findManyPlay": [
            {"rowid": 1, "album": 7, "at": 1760000000, "who": "x"},
            {"rowid": 2, "album": None, "at": 1760000001, "who": "5"},
        ],
    }  # fmt: skip
    made = server.data(
        """mutation {
             createOneAlbum(data: { title: "new", artist: { connect: { artistId: 2 } } }) {
               albumId artist { name } }
             createOnePlay(data: { album: 7, at: 3, who: "y" }) { rowid }
             updateOnePlay(where: { rowid: 1 }, data: { who: { set: "z" } }) { rowid who }
             deleteOnePlay(where: { rowid: 2 }) { who } }"""
    )
    assert made == {
        "createOneAlbum": {"albumId": 9, "artist": {"name": "Bert"}},
        "createOnePlay": {"rowid": 3},
        "updateOnePlay": {"rowid": 1, "who": "z"},
        "deleteOnePlay": {"who": "5"},
    }
    assert (
        server.data("{ findUniqueAlbum(where: { albumId: 9 }) { title } }")["findUniqueAlbum"]["title"]
        == "NEW"
    )
    assert "createOneTitle" not in server.client.get("/schema.graphql").text
    assert "@lamdb" not in server.client.get("/schema.graphql").text

    schema = project / "schema.prisma"
    schema.write_text(schema.read_text().replace("model Artist {", "model Artist {\n  born Int?"))
    done = run("migrate", "dev", "--name", "born", *where)
    assert done.returncode == 0, done.stderr
    (script,) = project.glob("migrations/*_born/migration.sql")
    assert script.read_text().strip() == '-- AlterTable\nALTER TABLE "artists" ADD COLUMN "born" INTEGER;'
    # A read may be a second behind what another process has done, unless it asks for more.
    assert server.data("{ findFirstArtist { name born } }", x_lamdb_consistency="strong") == {
        "findFirstArtist": {"name": "Anna", "born": None}
    }
    copy = tmp_path / "copy.sqlite"
    assert run("export", str(copy), "--store", store).returncode == 0
    assert sqlite3.connect(copy).execute("SELECT word FROM words").fetchall() == [("hello",)]


def test_nothing_is_replaced_unasked(source: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "schema.prisma").write_text("// mine\n")
    url = (tmp_path / "store").as_uri()
    done = run("import", str(source), "--store", url, "--database", str(project))
    assert (done.returncode, "replace it with --overwrite" in done.stderr) == (1, True)
    assert (project / "schema.prisma").read_text() == "// mine\n"
    assert "no transactions" in run("backups", "--store", url).stdout
    done = run("import", str(source), "--store", url, "--database", str(project), "--overwrite", "--json")
    assert json.loads(done.stdout)["migration"] == "0_init"
    assert "model Artist {" in (project / "schema.prisma").read_text()
    again = run("import", str(source), "--store", url, "--database", str(project), "--overwrite")
    assert (again.returncode, "has migrations" in again.stderr) == (1, True)


def test_a_file_can_be_looked_at_first(source: Path, tmp_path: Path) -> None:
    done = run("schema", "introspect", str(source))
    assert done.returncode == 0
    assert "model Artist {" in done.stdout
    assert "words: a virtual table" in done.stderr
    kept = run("schema", "introspect", str(source), "--names", "keep", "--json")
    report = json.loads(kept.stdout)
    assert "model artists {" in report["schema"]
    assert {each["kind"] for each in report["findings"]} >= {
        "virtual-table",
        "rowid",
        "kept",
        "trigger",
        "view",
    }
    target = tmp_path / "out.prisma"
    assert run("schema", "introspect", str(source), "--output", str(target)).returncode == 0
    assert target.read_text() == done.stdout
    assert run("schema", "introspect", str(source), "--output", str(target)).returncode == 2
    assert run("schema", "introspect", str(source), "--names", "nice").returncode == 2


def test_a_history_of_prismas_stays(source: Path, tmp_path: Path) -> None:
    project, other = tmp_path / "project", tmp_path / "other"
    first = (tmp_path / "first").as_uri()
    assert run("import", str(source), "--store", first, "--database", str(project)).returncode == 0
    copy = tmp_path / "copy.sqlite"
    assert run("export", str(copy), "--store", first).returncode == 0
    second = ("--store", (tmp_path / "second").as_uri())
    done = run("import", str(copy), *second, "--database", str(other))
    assert f"Copy the file's own migrations into {other / 'migrations'}: 0_init." in done.stdout
    assert not (other / "migrations").exists()
    (project / "migrations").rename(other / "migrations")
    assert run("migrate", "status", *second, "--database", str(other)).returncode == 0
