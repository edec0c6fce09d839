"""Store URLs: `file:///directory`, `memory:` and `s3://bucket/prefix`."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lamdb.errors import SettingsError
from lamdb.storage.stores.awsprofile import Profile, SignedInCredentials, read_profile
from lamdb.storage.stores.awssettings import checked
from lamdb.storage.stores.objectstore import ObjectStore

if TYPE_CHECKING:
    from obstore.store import S3Config

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""Wider than today's names on AWS: old buckets and other servers have longer ones, capitals and `_`."""


def open_store(url: str) -> ObjectStore:
    """The object store that `url` names; raises `SettingsError` if it names none. Makes no request.

    `memory:` gives a new, empty store each time. For S3, credentials, region and endpoint come from the
    standard variables (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
    `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`), from the profile
    `AWS_PROFILE`, from a container, or from the instance.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SettingsError(f"store URL {url!r} is not a URL: {error}") from None
    if "@" in parts.netloc:
        # The URL is not repeated: it may have a password.
        raise SettingsError(
            f"store URL {parts.scheme}://…@…: it must not contain credentials",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    if parts.query or parts.fragment:
        raise SettingsError(f"store URL {url!r}: a query or fragment has no meaning here")
    match parts.scheme:
        case "memory":
            from lamdb.storage.stores.obstores import memory_store

            return memory_store()
        case "file":
            return _local(url, parts.netloc, unquote(parts.path))
        case "s3":
            return _s3(url, parts.netloc, unquote(parts.path).strip("/"))
        case _:
            raise SettingsError(f"store URL {url!r} must be file:///directory, memory: or s3://bucket/prefix")


def _local(url: str, host: str, path: str) -> ObjectStore:
    from lamdb.storage.stores.localstore import LocalStore

    if host not in {"", "localhost"} or not path.startswith("/"):
        raise SettingsError(f"store URL {url!r}: write an absolute path, as in file:///directory")
    return LocalStore(Path(path))


def _s3(url: str, bucket: str, prefix: str) -> ObjectStore:
    from lamdb.storage.stores.obstores import s3_store

    if not bucket:
        raise SettingsError(f"store URL {url!r} has no bucket")
    if not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"store URL {url!r}: a bucket's name has letters, digits, `.`, `-` and `_`",
            hint="Write it as in s3://bucket/folder/name.",
        )
    if {"", ".", ".."} & set(prefix.split("/")) and prefix:
        raise SettingsError(
            f"store URL {url!r}: the prefix has an empty step, `.` or `..`, which S3 would take for names",
            hint="Write it as in s3://bucket/folder/name.",
        )
    if not all(character.isprintable() for character in bucket + prefix):
        raise SettingsError(f"store URL {url!r} has characters that cannot be printed")
    profile = _profile()
    signs_in = profile.signs_in and "AWS_ACCESS_KEY_ID" not in os.environ
    credentials = SignedInCredentials() if signs_in else None
    return s3_store(bucket, prefix, checked(s3_config(profile), os.environ), credentials)


def _profile() -> Profile:
    has_keys = "AWS_ACCESS_KEY_ID" in os.environ
    return Profile() if has_keys and "AWS_PROFILE" not in os.environ else read_profile()


def s3_config(profile: Profile | None = None) -> "S3Config":
    """Returns the values of the environment and of a profile, the environment first.

    Without a profile the shared files are read. obstore itself reads the variables for tokens, containers and
    instances.
    """
    environment = os.environ
    profile = profile or _profile()
    has_keys = "AWS_ACCESS_KEY_ID" in environment
    config: S3Config = {}
    if not has_keys and profile.access_key_id and profile.secret_access_key:
        config["access_key_id"] = profile.access_key_id
        config["secret_access_key"] = profile.secret_access_key
        if profile.session_token:
            config["session_token"] = profile.session_token
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or profile.endpoint
    )
    if endpoint:
        config["endpoint"] = endpoint
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.region
    if region:
        config["region"] = region
    return config
