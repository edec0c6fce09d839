"""Object stores over obstore (Rust's object_store): S3 and memory."""

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import MemoryStore as _ObstoreMemory
from obstore.store import S3Store as _ObstoreS3

from lamdb.errors import SettingsError, StoreRefused, StoreUnavailable, StoreUnsuitable
from lamdb.storage.stores.objectstore import CREATE_ONLY_PROBE, Body, ObjectInfo, Upload

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

    from lamdb.storage.stores.containercredentials import ContainerCredentials

_CONNECT_TIMEOUT: Final = timedelta(seconds=3)
_TIMEOUT: Final = timedelta(seconds=15)
_LARGE_TIMEOUT: Final = timedelta(minutes=15)
_LARGE_BODY: Final = 4 * 1024 * 1024
"""Bodies above this size (bytes) are sent with the longer time limit."""
_RETRIES: Final = 1000
_RETRY_TIMEOUT: Final = timedelta(seconds=20)
"""Time for which a request is repeated that a store refuses for the moment. Their number is not limited."""

_PROBE: Final = b"Beside a lamDB database. A store must refuse to create this object again.\n"
_PROBES: Final = 2
"""Number of creations of one object that prove that it is replaced."""
_PROBE_SECONDS: Final = 15.0
_PROBE_PAUSE: Final = 0.2

_NOT_IMPLEMENTED: Final = re.compile(r"\b501\b|NotImplemented")

_REFUSED_LIST: Final = re.compile(r"non-2xx status code: 40[13]\b")

_PART: Final = 8 * 1024 * 1024
"""Uploads are sent in parts of this size (bytes) if they are larger than one."""
_PARTS_AT_ONCE: Final = 4

_PERMISSIONS: Final = (
    "Check the credentials and their permissions: s3:GetObject below the prefix, s3:PutObject and "
    "s3:DeleteObject to write, and s3:ListBucket on the bucket."
)

LITESTREAM_TIMESTAMP: Final = "litestream-timestamp"
"""The metadata key in which Litestream keeps the time of a transaction."""


class Obstore:
    """An `ObjectStore` over any store of obstore that honours create-only puts."""

    level_folder = "{:04x}/"
    own_clock = True

    def __init__(
        self,
        make: Callable[[], Any],
        url: str,
        *,
        lasting: bool,
        patient: Callable[[], Any] | None = None,
        hasty: Callable[[], Any] | None = None,
    ) -> None:
        """A `lasting` store outlives the process, keeps metadata, and has etags that differ with the content.

        `make` creates obstore's store, and is called again only if the store is `lasting`. `patient` creates
        the same store with a longer time limit, for large bodies. `hasty` creates one with few retries, to
        find out which operations the store supports.
        """
        store = self._store = make()
        self._make = make
        self._make_patient = patient or (lambda: store)
        self._make_hasty = hasty or (lambda: store)
        self._lasting = lasting
        self.url = url

    @cached_property
    def _patient(self) -> Any:
        return self._make_patient()

    def get(self, key: str) -> bytes | None:
        return self._find("read", key, lambda: bytes(obstore.get(self._store, key).bytes()))

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        return self._find(
            "read", key, lambda: bytes(obstore.get_range(self._store, key, start=offset, length=length))
        )

    def get_suffix(self, key: str, length: int) -> bytes | None:
        return self._find(
            "read",
            key,
            lambda: bytes(obstore.get(self._store, key, options={"range": {"suffix": length}}).bytes()),
        )

    def _find[T](self, verb: str, key: str, ask: Callable[[], T], *, again: bool = True) -> T | None:
        """The answer to a GET or HEAD of one object; None if there is no such object."""
        try:
            return ask()
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except PermissionDeniedError as error:
            # S3 answers 403 for a missing key too, to callers without the right to list the whole bucket.
            if not self._is_listed(key, error):
                return None
            if not again:
                raise self.unavailable(verb, key, error) from error
        except BaseError as error:
            raise self.unavailable(verb, key, error) from error
        # The object may have been created between the two requests.
        return self._find(verb, key, ask, again=False)

    def _is_listed(self, key: str, refused: PermissionDeniedError) -> bool:
        """True if a listing has `key`, by one LIST of its folder. Raises `StoreUnavailable`."""
        folder, slash, _ = key.rpartition("/")
        try:
            for entry in self.list(folder + slash, after=key[:-1]):
                if entry.key >= key:
                    return entry.key == key
        except StoreRefused:
            raise self.unavailable("read", key, refused) from refused
        return False

    def put_new(self, key: str, body: Body, *, timestamp_ms: int) -> bool:
        return self._create(
            self._store if len(body) <= _LARGE_BODY else self._patient, key, body, timestamp_ms=timestamp_ms
        )

    def _create(self, store: Any, key: str, body: Body, *, timestamp_ms: int) -> bool:
        attributes = self._attributes(timestamp_ms)
        try:
            # A multipart upload could not be create-only. A mapped file is sent without a copy in memory.
            obstore.put(store, key, body, attributes=attributes, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError, NotModifiedError):
            return False
        except (BaseError, FileNotFoundError) as error:
            if isinstance(error, NotSupportedError) or _NOT_IMPLEMENTED.search(str(error)):
                raise StoreUnsuitable(
                    f"{self.url} does not support create-only puts (If-None-Match): not implemented"
                ) from error
            raise self.unavailable("write", key, error) from error
        return True

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The whole object and its etag, for `replace`; None if there is none. Raises `StoreUnavailable`."""

        def ask() -> tuple[bytes, str]:
            found = obstore.get(self._store, key)
            return bytes(found.bytes()), found.meta["e_tag"] or ""

        return self._find("read", key, ask)

    def replace(self, key: str, body: bytes, etag: str | None) -> str | None:
        """Replaces the object that has `etag`, or creates it if that is None. Returns the new etag.

        None if the object is another one by now. A request whose answer was lost is sent again, so that the
        object may be this one nevertheless: compare the content. Raises `StoreUnavailable`.
        """
        mode: Any = "create" if etag is None else {"e_tag": etag}
        try:
            put = obstore.put(self._store, key, body, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, NotModifiedError):
            return None
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except BaseError as error:
            raise self.unavailable("write", key, error) from error
        return put["e_tag"] or ""

    def require_create_only(self) -> None:
        if not self._lasting:
            return
        deadline = time.monotonic() + _PROBE_SECONDS
        store = self._make_hasty()
        created = 0
        while created < _PROBES:
            try:
                now = int(time.time() * 1000)
                if not self._create(store, CREATE_ONLY_PROBE, _PROBE, timestamp_ms=now):
                    return
                created += 1
            except StoreRefused:
                raise
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PROBE_PAUSE)
        raise StoreUnsuitable(
            f"{self.url} replaces objects although it is asked not to (If-None-Match): two servers would "
            "lose each other's writes"
        )

    def upload(self, key: str, *, timestamp_ms: int) -> Upload:
        return _PartUpload(self, key, timestamp_ms)

    def open_parts(self, key: str, timestamp_ms: int) -> Any:
        """obstore's writer of an upload in parts, which replaces what is there."""
        return obstore.open_writer(
            self._patient,
            key,
            attributes=self._attributes(timestamp_ms),
            buffer_size=_PART,
            max_concurrency=_PARTS_AT_ONCE,
        )

    def head(self, key: str) -> ObjectInfo | None:
        return self._find("look at", key, lambda: self._info(obstore.head(self._store, key)))

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        try:
            for page in obstore.list(self._store, prefix or None, offset=after or None, chunk_size=1000):
                for entry in sorted(page, key=lambda entry: entry["path"]):
                    yield self._info(entry)
        except (BaseError, FileNotFoundError) as error:
            raise self.unavailable("list", prefix, error) from error

    def delete(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise self.unavailable("delete", key, error) from error

    def renew(self) -> None:
        if self._lasting:
            self._store = self._make()
            self.__dict__.pop("_patient", None)

    def close(self) -> None:
        pass

    def _attributes(self, timestamp_ms: int) -> dict[str, str] | None:
        if not self._lasting:
            return None
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        return {LITESTREAM_TIMESTAMP: moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}

    def _info(self, entry: Any) -> ObjectInfo:
        modified_ms = int(entry["last_modified"].timestamp() * 1000)
        etag = entry["e_tag"] or "" if self._lasting else ""
        return ObjectInfo(entry["path"], entry["size"], modified_ms, etag)

    def _require_bucket(self, error: FileNotFoundError) -> None:
        """A missing bucket answers 404 as well, but is not an absent object."""
        if "NoSuchBucket" in str(error):
            raise self.unavailable("reach", "the bucket", error) from error

    def unavailable(self, verb: str, key: str, error: Exception) -> StoreUnavailable:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"cannot {verb} {key or 'the objects'} in {self.url}: {reason}"
        # A refused LIST has no exception of its own.
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _REFUSED_LIST.search(reason):
            return StoreRefused(message, hint=_PERMISSIONS)
        return StoreUnavailable(message)


class _PartUpload:
    """Gathers what fits into one create-only put; sends more than that in parts."""

    def __init__(self, store: Obstore, key: str, timestamp_ms: int) -> None:
        self._store = store
        self._key = key
        self._timestamp_ms = timestamp_ms
        self._gathered = bytearray()
        self._parts: Any = None

    def write(self, piece: bytes) -> None:
        if self._parts is not None:
            self._send(piece)
            return
        self._gathered += piece
        if len(self._gathered) > _PART:
            self._parts = self._store.open_parts(self._key, self._timestamp_ms)
            self._send(bytes(self._gathered))
            self._gathered.clear()

    def finish(self) -> bool:
        if self._parts is None:
            return self._store.put_new(self._key, bytes(self._gathered), timestamp_ms=self._timestamp_ms)
        # obstore cannot make the completion itself conditional: this leaves a moment, not an upload's time.
        if self._store.head(self._key) is not None:
            self.abort()
            return False
        try:
            self._parts.close()
        except (BaseError, OSError) as error:
            raise self._store.unavailable("write", self._key, error) from error
        return True

    def abort(self) -> None:
        self._gathered.clear()
        self._parts = None

    def _send(self, piece: bytes) -> None:
        try:
            self._parts.write(piece)
        except (BaseError, OSError) as error:
            raise self._store.unavailable("write", self._key, error) from error


def memory_store(url: str = "memory:") -> Obstore:
    """A store that lives as long as this object."""
    return Obstore(_ObstoreMemory, url, lasting=False)


def s3_store(
    bucket: str, prefix: str, config: "S3Config", credentials: "Callable[[], S3Credential] | None" = None
) -> Obstore:
    """Objects in `bucket` below `prefix`; what `config` leaves open comes from the AWS variables.

    `credentials` are asked for when a request needs them.
    """
    url = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
    return Obstore(
        lambda: _s3(bucket, prefix, config, credentials, _TIMEOUT),
        url,
        lasting=True,
        patient=lambda: _s3(bucket, prefix, config, credentials, _LARGE_TIMEOUT),
        hasty=lambda: _s3(bucket, prefix, config, credentials, _TIMEOUT, retries=1),
    )


def _credentials() -> "ContainerCredentials | None":
    """None leaves them to obstore. Raises `SettingsError`."""
    if not os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return None
    from lamdb.storage.stores.containercredentials import container_credentials  # few processes

    return container_credentials(os.environ)


def _s3(
    bucket: str,
    prefix: str,
    config: "S3Config",
    credentials: "Callable[[], S3Credential] | None",
    timeout: timedelta,
    *,
    retries: int = _RETRIES,
) -> _ObstoreS3:
    client: ClientConfig = {"allow_http": True, "connect_timeout": _CONNECT_TIMEOUT, "timeout": timeout}
    retry: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": _RETRY_TIMEOUT,
        "backoff": {
            "init_backoff": timedelta(milliseconds=50),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    try:
        return _ObstoreS3(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=client,
            retry_config=retry,
            credential_provider=None if "access_key_id" in config else credentials or _credentials(),
        )
    except BaseException as error:
        # Rust's panics are no `Exception`; their class cannot be imported.
        if isinstance(error, BaseError | ValueError | TypeError) or type(error).__name__ == "PanicException":
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SettingsError(
                f"the client for S3 refuses its settings: {reason}",
                hint="Check the bucket's name and the variables that begin with AWS_.",
            ) from error
        raise
