"""Object stores over obstore (Rust's object_store): S3 and memory."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import MemoryStore as _ObstoreMemory
from obstore.store import S3Store as _ObstoreS3

from lamdb.errors import StoreUnavailable
from lamdb.storage.objectstore import REFUSED, ObjectInfo

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_CONNECT_TIMEOUT: Final = timedelta(seconds=3)
_TIMEOUT: Final = timedelta(seconds=15)
_LARGE_TIMEOUT: Final = timedelta(minutes=15)
_LARGE_BODY: Final = 4 * 1024 * 1024
"""Bodies above this size (bytes) are sent with the longer time limit."""
_RETRIES: Final = 7
_RETRY_TIMEOUT: Final = timedelta(seconds=20)

LITESTREAM_TIMESTAMP: Final = "litestream-timestamp"
"""The metadata key in which Litestream keeps the time of a transaction."""


class Obstore:
    """An `ObjectStore` over any store of obstore that honours create-only puts."""

    level_folder = "{:04x}/"

    def __init__(self, store: Any, url: str, *, keeps_metadata: bool, patient: Any = None) -> None:
        """`patient` is the same store with a longer time limit, for large bodies."""
        self._store = store
        self._patient = patient or store
        self._keeps_metadata = keeps_metadata
        self.url = url

    def get(self, key: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except BaseError as error:
            raise self._unavailable("read", key, error) from error

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        try:
            return bytes(obstore.get_range(self._store, key, start=offset, length=length))
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except BaseError as error:
            raise self._unavailable("read", key, error) from error

    def get_suffix(self, key: str, length: int) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, key, options={"range": {"suffix": length}}).bytes())
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except BaseError as error:
            raise self._unavailable("read", key, error) from error

    def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        attributes: dict[str, str] = {}
        if self._keeps_metadata:
            moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
            attributes[LITESTREAM_TIMESTAMP] = moment.isoformat(timespec="milliseconds").replace(
                "+00:00", "Z"
            )
        try:
            # A multipart upload could not be create-only.
            store = self._store if len(body) <= _LARGE_BODY else self._patient
            obstore.put(store, key, body, attributes=attributes or None, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except (BaseError, FileNotFoundError) as error:
            raise self._unavailable("write", key, error) from error
        return True

    def head(self, key: str) -> ObjectInfo | None:
        try:
            return _info(obstore.head(self._store, key))
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except BaseError as error:
            raise self._unavailable("look at", key, error) from error

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        try:
            for page in obstore.list(self._store, prefix or None, offset=after or None, chunk_size=1000):
                for entry in sorted(page, key=lambda entry: entry["path"]):
                    yield _info(entry)
        except (BaseError, FileNotFoundError) as error:
            raise self._unavailable("list", prefix, error) from error

    def delete(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise self._unavailable("delete", key, error) from error

    def close(self) -> None:
        pass

    def _require_bucket(self, error: FileNotFoundError) -> None:
        """A missing bucket answers 404 as well, but is not an absent object."""
        if "NoSuchBucket" in str(error):
            raise self._unavailable("reach", "the bucket", error) from error

    def _unavailable(self, verb: str, key: str, error: Exception) -> StoreUnavailable:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"cannot {verb} {key or 'the objects'} in {self.url}: {reason}"
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return StoreUnavailable(
                message, hint="Check the credentials and their permissions.", meta=REFUSED
            )
        return StoreUnavailable(message)


def memory_store(url: str = "memory:") -> Obstore:
    """A store that lives as long as this object."""
    return Obstore(_ObstoreMemory(), url, keeps_metadata=False)


def s3_store(bucket: str, prefix: str, config: "S3Config") -> Obstore:
    """Objects in `bucket` below `prefix`; what `config` leaves open comes from the AWS variables."""
    url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
    return Obstore(
        _s3(bucket, prefix, config, _TIMEOUT),
        url,
        keeps_metadata=True,
        patient=_s3(bucket, prefix, config, _LARGE_TIMEOUT),
    )


def _s3(bucket: str, prefix: str, config: "S3Config", timeout: timedelta) -> _ObstoreS3:
    client: ClientConfig = {"allow_http": True, "connect_timeout": _CONNECT_TIMEOUT, "timeout": timeout}
    retry: RetryConfig = {
        "max_retries": _RETRIES,
        "retry_timeout": _RETRY_TIMEOUT,
        "backoff": {
            "init_backoff": timedelta(milliseconds=50),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    return _ObstoreS3(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retry)


def _info(entry: Any) -> ObjectInfo:
    return ObjectInfo(entry["path"], entry["size"], int(entry["last_modified"].timestamp() * 1000))
