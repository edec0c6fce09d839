"""Store URLs: `file:///directory`, `memory:` and `s3://bucket/prefix`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lamdb.errors import SettingsError
from lamdb.storage.objectstore import ObjectStore

if TYPE_CHECKING:
    from obstore.store import S3Config


def open_store(url: str) -> ObjectStore:
    """The object store that `url` names; raises `SettingsError` if it names none. Makes no request.

    `memory:` gives a new, empty store each time. For S3, credentials, region and endpoint come from the
    standard variables (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
    `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), from a container, or from the instance.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise SettingsError(f"store URL {url!r}: a query or fragment has no meaning here")
    match parts.scheme:
        case "memory":
            from lamdb.storage.obstores import memory_store

            return memory_store()
        case "file":
            return _local(url, parts.netloc, unquote(parts.path))
        case "s3":
            return _s3(url, parts.netloc, unquote(parts.path).strip("/"))
        case _:
            raise SettingsError(
                f"store URL {url!r} is none of file:///directory, memory: and s3://bucket/prefix"
            )


def _local(url: str, host: str, path: str) -> ObjectStore:
    from lamdb.storage.localstore import LocalStore

    if host not in {"", "localhost"} or not path.startswith("/"):
        raise SettingsError(f"store URL {url!r}: write an absolute path, as in file:///directory")
    return LocalStore(Path(path))


def _s3(url: str, bucket: str, prefix: str) -> ObjectStore:
    from lamdb.storage.obstores import s3_store

    if not bucket:
        raise SettingsError(f"store URL {url!r} names no bucket")
    config: S3Config = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        config["endpoint"] = endpoint
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        config["region"] = region
    return s3_store(bucket, prefix, config=config, client={"allow_http": True})
