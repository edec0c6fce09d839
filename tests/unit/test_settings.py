"""Settings: where a value comes from, what is refused, and that the documentation is complete."""

import dataclasses
from pathlib import Path

import pytest

from lamdb.errors import SettingsError
from lamdb.settings import Settings, markdown_table, specs, unknown_variables, variable_name
from lamdb.storage.database import DEFAULT_PAGE_SIZE

DOCUMENT = Path(__file__).parents[2] / "docs/settings.md"


def test_defaults_are_within_their_own_limits() -> None:
    settings = Settings.load({})
    for name, spec in specs().items():
        value = getattr(settings, name)
        if isinstance(value, bool | int | float | str) and name not in ("store", "cache_bytes"):
            assert spec.parse(str(value)) == value, name


def test_an_option_wins_over_a_variable_over_the_default() -> None:
    environ = {"LAMDB_PORT": "9000", "LAMDB_HOST": "0.0.0.0"}
    settings = Settings.load(environ, port="9001", host=None)
    assert (settings.port, settings.host, settings.threads) == (9001, "0.0.0.0", Settings().threads)


def test_values_have_their_types() -> None:
    settings = Settings.load(
        {
            "LAMDB_GRAPHIQL": "off",
            "LAMDB_TOKEN_WAIT": "0.5",
            "LAMDB_PAGE_SIZE": "4096",
            "LAMDB_LOG_LEVEL": "DEBUG",
            "LAMDB_CACHE_BYTES": "256MiB",
            "LAMDB_DISK_CACHE_BYTES": "5000000",
            "LAMDB_CORS_ORIGINS": "https://a.example/, http://localhost:3000",
        }
    )
    assert settings.graphiql is False
    assert settings.token_wait == 0.5
    assert settings.page_size == 4096
    assert settings.log_level == "debug"
    assert settings.cache_bytes == 256 * 1024 * 1024
    assert settings.disk_cache_bytes == 5_000_000
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("LAMDB_PORT", "http", "whole number"),
        ("LAMDB_PORT", "-1", "whole number"),
        ("LAMDB_PORT", "", "whole number"),
        ("LAMDB_PORT", "65536", "from 0 to 65535"),
        ("LAMDB_THREADS", "0", "from 1 to 512"),
        ("LAMDB_CACHE_BYTES", "256MB", "KiB, MiB or GiB"),
        ("LAMDB_CACHE_BYTES", "MiB", "KiB, MiB or GiB"),
        ("LAMDB_CACHE_BYTES", "1KiB", "from 1MiB to 64GiB"),
        ("LAMDB_TOKEN_WAIT", "soon", "number of seconds"),
        ("LAMDB_TOKEN_WAIT", "nan", "from 0 to 60"),
        ("LAMDB_TOKEN_WAIT", "inf", "from 0 to 60"),
        ("LAMDB_GRAPHIQL", "maybe", "true or false"),
        ("LAMDB_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("LAMDB_PAGE_SIZE", "5000", "power of two"),
        ("LAMDB_CORS_ORIGINS", "a.example", "neither * nor an origin"),
        ("LAMDB_HOST", " ", "must not be empty"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_setting(variable: str, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.load({variable: text})
    assert variable in raised.value.message
    assert says in raised.value.message


def test_an_option_is_named_as_it_is_written() -> None:
    with pytest.raises(SettingsError, match="--log-level is 'x'"):
        Settings.load({}, log_level="x")


def test_a_store_must_be_given() -> None:
    with pytest.raises(SettingsError, match="--store"):
        Settings.load({}).require_store()
    assert Settings.load({"LAMDB_STORE": "memory:"}).require_store() == "memory:"


def test_misspelt_variables_are_found() -> None:
    environ = {"LAMDB_PORT": "1", "LAMDB_PROT": "1", "PORT": "1"}
    assert unknown_variables(environ) == ["LAMDB_PROT"]


def test_every_setting_is_documented() -> None:
    document = DOCUMENT.read_text()
    assert markdown_table() in document, (
        "run `python -m lamdb.settings` and paste its table into docs/settings.md"
    )
    for field in dataclasses.fields(Settings):
        assert variable_name(field.name) in document


def test_databases_get_the_page_size_that_storage_was_measured_with() -> None:
    assert Settings.load({}).page_size == DEFAULT_PAGE_SIZE


def test_a_secret_is_never_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.load({"LAMDB_OPERATOR_TOKEN": "hunter2 hunter2"})
    assert "hunter2" not in raised.value.message
    assert "LAMDB_OPERATOR_TOKEN is given: it must have at least 16" in raised.value.message
    assert "0123456789abcdef" not in repr(Settings.load({"LAMDB_OPERATOR_TOKEN": "0123456789abcdef"}))
