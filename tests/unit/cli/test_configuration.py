"""Settings from `lamdb.toml` and `.env` of the working directory."""

import os
from pathlib import Path

import pytest

from lamdb.cli.configuration import environment
from lamdb.cli.options import load, locate
from lamdb.errors import SettingsError
from lamdb.settings import Settings

PLACES = ("store", "url", "function", "stack")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LAMDB_")]:
        monkeypatch.delenv(name)
    return tmp_path


def read(environ: dict[str, str] | None = None, **options: str) -> Settings:
    return Settings.load(environment(environ or {}, PLACES), **options)


def test_options_win_over_the_environment_over_env_over_toml(directory: Path) -> None:
    (directory / "lamdb.toml").write_text("port = 1\nhost = 'a'\nthreads = 11\nlog_level = 'error'\n")
    (directory / ".env").write_text("LAMDB_PORT=2\nLAMDB_HOST=b\nLAMDB_THREADS=12\n")
    found = read({"LAMDB_PORT": "3", "LAMDB_HOST": "c"}, port="4")
    assert (found.port, found.host, found.threads, found.log_level) == (4, "c", 12, "error")
    assert found.write_threads == Settings().write_threads


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("graphiql = false", "graphiql", False),
        ("max_staleness = 2.5", "max_staleness", 2.5),
        ('cache_bytes = "64MiB"', "cache_bytes", 64 * 1024 * 1024),
        ('cors_origins = ["https://a.example", "https://b.example"]', "cors_origins",
         ("https://a.example", "https://b.example")),
        ('sql_tokens = ["read:0123456789abcdef"]', "sql_tokens", {"0123456789abcdef": "read"}),
        ('"port" = 0 # a comment', "port", 0),
    ],
)  # fmt: skip
def test_values_of_toml(directory: Path, line: str, name: str, value: object) -> None:
    (directory / "lamdb.toml").write_text(line)
    assert getattr(read(), name) == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("LAMDB_HOST=shop", "shop"),
        ("export LAMDB_HOST = shop # a comment", "shop"),
        ('LAMDB_HOST="a # b"', "a # b"),
        ("LAMDB_HOST='a=b' # c", "a=b"),
        ("\ufeffLAMDB_HOST=shop\r", "shop"),
        ("DATABASE_URL=file:x\n# LAMDB_HOST=no\nLAMDB_HOST=shop\nLAMDB_IMAGE=lamdb", "shop"),
    ],
)
def test_lines_of_env(directory: Path, line: str, value: str) -> None:
    (directory / ".env").write_text(line)
    assert read().host == value


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("lamdb.toml", "prot = 1", "no setting 'prot'"),
        ("lamdb.toml", "[server]\nport = 1", "no setting 'server'"),
        ("lamdb.toml", "LAMDB_PORT = 1", "no setting 'LAMDB_PORT'"),
        ("lamdb.toml", "port = ", "is not TOML"),
        ("lamdb.toml", "port = 70000", "port is '70000': it must be from 0 to 65535"),
        ("lamdb.toml", "port = { a = 1 }", "port is neither"),
        ("lamdb.toml", "cors_origins = [1]", "cors_origins is neither"),
        ("lamdb.toml", 'operator_token = "short"', "operator_token is given"),
        (".env", "A=1\nLAMDB_PROT=1", ":2: there is no setting LAMDB_PROT"),
        (".env", "LAMDB_port=1", "no setting LAMDB_port"),
        (".env", "LAMDB_PORT=x", "port is 'x'"),
    ],
)
def test_mistakes_are_errors_that_name_the_file(directory: Path, file: str, text: str, said: str) -> None:
    (directory / file).write_text(text)
    with pytest.raises(SettingsError) as refused:
        load()
    assert file in refused.value.message
    assert said in refused.value.message
    assert "short" not in refused.value.message


def test_a_database_that_is_named_puts_aside_those_of_lower_levels(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "lamdb.toml").write_text('store = "data"')
    assert locate().settings.store == f"file://{directory}/data"
    assert locate(url="http://localhost").settings.store == ""
    (directory / ".env").write_text("LAMDB_STACK=shop")
    assert (locate().settings.store, locate().settings.stack) == ("", "shop")
    monkeypatch.setenv("LAMDB_URL", "http://localhost")
    found = locate().settings
    assert (found.store, found.stack, found.url) == ("", "", "http://localhost")


def test_functions_read_no_files(directory: Path) -> None:
    (directory / "lamdb.toml").write_text("port = 1")
    (directory / ".env").write_text("LAMDB_PORT=2")
    assert Settings.load({}).port == Settings().port
