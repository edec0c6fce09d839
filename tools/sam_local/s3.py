"""An S3 on this machine, for containers: moto's server, with one bucket that is kept in a directory."""

import logging
from pathlib import Path
from typing import Any, Self

import boto3  # type: ignore[import-untyped]
from moto.server import ThreadedMotoServer

BUCKET = "lamdb-local"

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""What the server takes: it checks none."""


class LocalS3:
    """Serves while it is entered.

    With a `directory` the bucket begins with what is in there, and `save` writes back what has changed: as
    plain files by their keys, which is how a store of `file://` lies there too. Without one it begins empty
    and leaves nothing.
    """

    def __init__(self, address: str, directory: Path | None) -> None:
        """`address`: of this machine, to listen on."""
        self._address = address
        self._directory = directory
        self._saved: dict[str, str] = {}
        self._server = ThreadedMotoServer(address, 0, verbose=False)
        self._client: Any = None
        self.port = 0

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server.start()
        _, self.port = self._server.get_host_and_port()
        self._client = boto3.client(
            "s3",
            endpoint_url=f"http://{self._address}:{self.port}",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket=BUCKET)
        self._load()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.save()
        finally:
            self._server.stop()

    def save(self) -> None:
        """Makes the directory hold what the bucket holds."""
        if self._directory is None:
            return
        found = self._etags()
        for key, etag in found.items():
            if self._saved.get(key) != etag:
                _write(self._directory / key, self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        for key in self._saved.keys() - found.keys():
            (self._directory / key).unlink(missing_ok=True)
        self._saved = found

    def _load(self) -> None:
        if self._directory is None:
            return
        for path in sorted(path for path in self._directory.rglob("*") if path.is_file()):
            key = path.relative_to(self._directory).as_posix()
            self._client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
        self._saved = self._etags()

    def _etags(self) -> dict[str, str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: whoever kills the process finds no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
