"""Hints for first mistakes: an empty store, a forgotten project, paths in place of URLs, CORS."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lamdb.cli.main import app
from lamdb.cli.output import fields_of
from lamdb.errors import LamdbError, NotAStore, SettingsError
from lamdb.graphql.transport.cors import Cors
from lamdb.settings import Settings
from lamdb.storage.backup.verification import Verification


def failed(*line: str) -> LamdbError:
    done = CliRunner().invoke(app, line)
    assert isinstance(done.exception, LamdbError), done.output
    return done.exception


@pytest.mark.parametrize(
    "line", [["query", "{ a }"], ["status"], ["schema", "show"], ["schema", "introspect"]]
)
def test_an_empty_store(tmp_path: Path, line: list[str]) -> None:
    error = failed(*line, "--store", str(tmp_path))
    assert isinstance(error, NotAStore)
    assert "lamdb migrate deploy" in error.hint


@pytest.mark.parametrize("line", [["query", "{ a }"], ["status"], ["sql", "SELECT 1"]])
def test_another_process_has_the_memory(line: list[str]) -> None:
    assert "--url" in failed(*line, "--store", "memory:").hint


def test_a_server_without_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = failed("serve", "--store", str(tmp_path / "store"), "--port", "0")
    assert f"no project at {tmp_path / 'database'}" in error.message
    assert ":/database:ro" in error.hint
    assert "lamdb init" in error.hint


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("/srv/shop", "file:///srv/shop"),
        ("/srv/a b/ü", "file:///srv/a%20b/%C3%BC"),
        ("shop", "file://{here}/shop"),
        ("./data/shop", "file://{here}/data/shop"),
        ("~/shop", "file://{home}/shop"),
        ("file:///srv/shop", "file:///srv/shop"),
        ("memory:", "memory:"),
        ("s3://bucket/shop", "s3://bucket/shop"),
        ("ftp://host/x", "ftp://host/x"),
    ],
)
def test_paths_stand_for_stores(
    given: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    expected = url.format(here=tmp_path, home="/home/ada")
    assert Settings.load({"LAMDB_STORE": given}).store == expected
    assert Settings.load({}, store=given).store == expected


def test_a_forgotten_colon_makes_no_directory() -> None:
    with pytest.raises(SettingsError, match="memory:"):
        Settings.load({}, store="memory")


@pytest.mark.parametrize("origins", [[], ["https://other.example.com"]])
def test_a_preflight_names_the_setting(origins: list[str]) -> None:
    headers = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    cors = Cors(origins)
    assert cors.preflight(headers) is None
    refused = cors.refusal(headers)
    assert refused is not None
    assert refused.hint == "Add the page's origin to LAMDB_CORS_ORIGINS: https://app.example.com"
    assert cors.refusal({"origin": "https://app.example.com"}) is None


def test_json_has_names_in_camel_case() -> None:
    assert set(fields_of(Verification(1, 2, (), (), None))) == {
        "txid", "size", "faults", "values", "litestreamTxid"
    }  # fmt: skip
