"""Checks AWS's own settings before the S3 client reads them, which panics at some of them without an
explanation."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lamdb.errors import SettingsError

if TYPE_CHECKING:
    from obstore.store import S3Config

_REGION: Final = re.compile(r"[A-Za-z0-9-]+")
_SECRETS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_URLS: Final = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_METADATA_ENDPOINT")


def checked(config: "S3Config", environ: Mapping[str, str]) -> "S3Config":
    """`config`, if it and the variables that the client reads by itself can be used. Raises `SettingsError`,
    which names the variable."""
    if "endpoint" in config:
        _require_address(_source_of_endpoint(environ), str(config["endpoint"]))
    region = config.get("region")
    if region is not None and not _REGION.fullmatch(str(region)):
        raise _wrong(
            _first(environ, "AWS_REGION", "AWS_DEFAULT_REGION"), repr(region), "such as eu-central-1"
        )
    for name in _SECRETS:
        value = environ.get(name, "")
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            raise SettingsError(
                f"{name} has a space at an end, a line break or another character that no key has",
                hint="Copy it again; the value is one line.",
            )
    for name in _URLS:
        if environ.get(name):
            _require_address(name, environ[name])
    return config


def _require_address(name: str, value: str) -> None:
    """Raises `SettingsError` if `value` is not the URL of a server."""
    example = "http://127.0.0.1:9000"
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits, parts = False, urlsplit("")
    host = parts.hostname or ""
    if (
        fits
        and value.isprintable()
        and " " not in value
        and not (parts.query or parts.fragment or "%" in host)
    ):
        return
    if re.fullmatch(r"[\w.-]+(:[0-9]{1,5})?", value):
        example = f"http://{value}"
    raise _wrong(name, repr(value), f"a URL with its scheme, such as {example}")


def _source_of_endpoint(environ: Mapping[str, str]) -> str:
    return _first(environ, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", other="endpoint_url of the AWS profile")


def _first(environ: Mapping[str, str], *names: str, other: str = "region of the AWS profile") -> str:
    return next((name for name in names if environ.get(name)), other)


def _wrong(name: str, shown: str, what: str) -> SettingsError:
    return SettingsError(f"{name} is {shown}: it must be {what}", hint="Correct it and start again.")
