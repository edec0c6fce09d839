"""The store under `sam local`: a bucket if one is named, else a directory in the container."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lamdb.errors import LamdbError
from lamdb.server.instance import Instance, find_project
from lamdb.settings import Settings

DIRECTORY: Final = Path("/tmp/lamdb-local")
"""The one place in a container that a function can write to. It is kept as long as its container."""

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

log = logging.getLogger("lamdb.samlocal")


def local_settings(environ: Mapping[str, str], directory: Path = DIRECTORY) -> Settings:
    """The function's settings, with what differs from AWS. Raises `SettingsError`.

    Without `ExistingBucket`, and without an endpoint of S3, the store is `directory`. GraphiQL is always
    served.
    """
    # SAM's API checks no tokens, so that nobody has a group.
    groups = dict.fromkeys(("LAMDB_READ_GROUPS", "LAMDB_WRITE_GROUPS", "LAMDB_ADMIN_GROUPS"), "")
    # For a queue SAM puts in its resource's name.
    different = {"LAMDB_GRAPHIQL": "true", "LAMDB_WRITE_QUEUE": "", **groups}
    if not names_bucket(environ):
        different["LAMDB_STORE"] = directory.as_uri()
    return Settings.load({**environ, **different})


def names_bucket(environ: Mapping[str, str]) -> bool:
    """True if `LAMDB_STORE` is a store that exists outside the container.

    For a bucket that the template would create, SAM puts in the resource's name, `DataBucket`. S3 allows no
    capitals in names (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
    """
    store = urlsplit(environ.get("LAMDB_STORE", ""))
    if store.scheme == "s3" and not any(environ.get(name) for name in _ENDPOINTS):
        return store.netloc == store.netloc.lower()
    return bool(store.scheme)


def fill(settings: Settings) -> None:
    """Applies the project's migrations and its seed to a directory, as `lamdb serve` does when it starts.

    A bucket is left as it is. The project is what `sam build` has copied beside the function's code. Where it
    cannot be applied, the reason is logged, and requests are answered from what there is.
    """
    if not settings.store.startswith("file:"):
        return
    try:
        if find_project(settings) is None:
            return
        with Instance.open(settings):
            pass
    except LamdbError as error:
        log.error("the project is not applied: %s", error, extra={"code": error.code})
