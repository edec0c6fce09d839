"""`lamdb init`: a project that can be served."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lamdb.cli.main import app
from lamdb.deployment.project import Project
from lamdb.errors import TargetError
from lamdb.server.instance import Instance
from lamdb.settings import Settings

FILES = {"database", "lamdb.toml", "compose.yaml", ".gitignore"}


def test_the_project_is_migrated_seeded_and_served(tmp_path: Path) -> None:
    directory = tmp_path / "shop"
    done = CliRunner().invoke(app, ["init", str(directory), "--json"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert all((directory / name).is_file() for name in made["files"])
    assert {Path(name).parts[0] for name in made["files"]} == FILES
    assert {path.name for path in directory.iterdir()} == FILES
    project = Project.at(directory / "database")
    assert project.unmigrated() is None
    with Instance.open(Settings(store="memory:", database=str(project.directory))) as instance:
        assert b"findManyPost" in instance.renderings().sdl
        with instance.database.reader() as connection:
            assert connection.execute("SELECT count(*) FROM Post").get == 2


def test_it_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init"])
    assert done.exit_code == 0, done.output
    for line in ("lamdb serve", "lamdb query", "lamdb migrate dev"):
        assert line in done.output
    assert "  cd " not in done.output


@pytest.mark.parametrize("name", ["database", "lamdb.toml", "compose.yaml"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert isinstance(done.exception, TargetError)
    assert name in done.exception.message
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_gitignore_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("node_modules/\n")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Add these lines" in done.output
    assert (tmp_path / ".gitignore").read_text() == "node_modules/\n"
