"""AWS settings and store URLs that cannot be used: a sentence that names the variable, never a panic."""

import pytest

from lamdb.errors import SettingsError
from lamdb.storage import open_store


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize(
    "value",
    [
        "127.0.0.1:9000",
        "localhost",
        "minio:9000",
        "ftp://127.0.0.1:9000",
        "http://",
        "http://:9000",
        "http://h:99999",
        "http://h:x",
        "http://h:0",
        "http://[::1",
        "http://a b",
        "http://h/\n",
        "http://h?x=1",
        "://h",
        "nonsense",
    ],
)
def test_addresses_that_are_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as raised:
        open_store("s3://bucket/data")
    assert "http://" in raised.value.message
    if value == "127.0.0.1:9000":
        assert "http://127.0.0.1:9000" in raised.value.message


@pytest.mark.parametrize("value", ["http://127.0.0.1:9000", "https://s3.example.com", "http://[::1]:9000/"])
def test_addresses(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", value)
    open_store("s3://bucket/data").close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "eu central 1"),
        ("AWS_DEFAULT_REGION", "eu/central"),
        ("AWS_REGION", "eu\n"),
        ("AWS_ACCESS_KEY_ID", "s3cr3t\n"),
        ("AWS_SECRET_ACCESS_KEY", " s3cr3t"),
        ("AWS_SESSION_TOKEN", "tökén"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "169.254.170.2/x"),
    ],
)
def test_other_variables(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as raised:
        open_store("s3://bucket/data")
    if "KEY" in name or "TOKEN" in name:
        assert value not in raised.value.message


@pytest.mark.parametrize(
    "url",
    [
        "s3://b/../x",
        "s3://b/x/..",
        "s3://b/./x",
        "s3://b/a//b",
        "s3://b/%2e%2e/x",
        "s3://b/a%00b",
        "s3://b/a%0Ab",
        "s3://",
        "s3:///x",
        "s3://b/x?y",
        "s3://b/x#y",
        "s3://[/x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(SettingsError):
        open_store(url)
