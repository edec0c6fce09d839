"""The content of a small S3, and its response to each request; no network.

Buckets are in memory or in folders. It knows what object stores are asked for: objects whole, by range and by
suffix, create-only puts, puts that replace a known object, uploads in parts (completed create-only, too),
listings page by page and by folder, deletes. It checks no credentials.
"""

import hashlib
import os
import re
import secrets
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, unescape

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_PAGE_OF_KEYS: Final = 1000
_PIECE: Final = 1024 * 1024

type Body = bytes | FileSlice


class S3Error(Exception):
    """An answer that S3 gives as an error: status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Request(NamedTuple):
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The method, with listings set apart from other GETs."""
        return "LIST" if self.method == "GET" and not self.key else self.method

    @property
    def metadata(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.startswith("x-amz-meta-")}

    @property
    def create_only(self) -> bool:
        return self.headers.get("if-none-match") == "*"


@dataclass(slots=True)
class Response:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Body = b""


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The bytes of a file from `start` to `end`."""

    path: Path
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for position in range(self.start, self.end, _PIECE):
                yield os.pread(file.fileno(), min(_PIECE, self.end - position), position)


class Stored(NamedTuple):
    """The properties of an object beside its content. `modified` is in seconds since 1970."""

    size: int
    modified: float
    metadata: dict[str, str]

    @property
    def etag(self) -> str:
        digest = hashlib.md5(f"{self.size} {self.modified}".encode(), usedforsecurity=False)
        return f'"{digest.hexdigest()}"'


class Bucket:
    """Objects in memory."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """In order."""
        self._objects: dict[str, Stored] = {}
        self._bodies: dict[str, bytes] = {}

    def find(self, key: str) -> Stored:
        found = self._objects.get(key)
        if found is None:
            raise S3Error(404, "NoSuchKey")
        return found

    def put(
        self,
        key: str,
        body: bytes,
        metadata: dict[str, str],
        *,
        create_only: bool,
        if_match: str | None = None,
    ) -> Stored:
        if create_only and key in self._objects:
            raise S3Error(412, "PreconditionFailed")
        if if_match is not None and self.find(key).etag != if_match:
            raise S3Error(412, "PreconditionFailed")
        self._write(key, body)
        if key not in self._objects:
            insort(self.keys, key)
        stored = self._objects[key] = Stored(len(body), time.time(), metadata)
        return stored

    def delete(self, key: str) -> None:
        if self._objects.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]
            self._erase(key)

    def content(self, key: str, start: int, end: int) -> Body:
        return self._bodies[key][start:end]

    def page(self, prefix: str, after: str, limit: int) -> tuple[list[str], bool]:
        """Keys in order, and whether there are more."""
        start = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after) if after else 0)
        found = [key for key in self.keys[start : start + limit + 1] if key.startswith(prefix)]
        return found[:limit], len(found) > limit

    def below(self, prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
        """Keys that have no `delimiter` after `prefix`; of the others, what goes before it."""
        keys: list[str] = []
        folders: dict[str, None] = {}
        for key in self.keys[bisect_left(self.keys, prefix) :]:
            if not key.startswith(prefix):
                break
            name, found, _ = key[len(prefix) :].partition(delimiter)
            if found:
                folders[prefix + name + delimiter] = None
            else:
                keys.append(key)
        return keys, [*folders]

    def _write(self, key: str, body: bytes) -> None:
        self._bodies[key] = body

    def _erase(self, key: str) -> None:
        del self._bodies[key]


class FolderBucket(Bucket):
    """Objects as files. What is known of them is kept in memory; metadata is gone with the process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.rescan()

    def rescan(self) -> None:
        """Sees files that were put into the folder by hand."""
        self._objects = {}
        for folder, _, names in os.walk(self._folder, followlinks=True):
            for path in (Path(folder, name) for name in names):
                found = path.stat()
                key = path.relative_to(self._folder).as_posix()
                self._objects[key] = Stored(found.st_size, found.st_mtime, {})
        self.keys = sorted(self._objects)

    def content(self, key: str, start: int, end: int) -> Body:
        return FileSlice(self._folder / key, start, end)

    def _write(self, key: str, body: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        temporary.write_bytes(body)
        temporary.replace(path)

    def _erase(self, key: str) -> None:
        (self._folder / key).unlink()


@dataclass(slots=True)
class _PartUpload:
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class S3:
    """Answers requests. With `root`, its folders are the buckets; without, buckets are in memory and come
    into being when they are named."""

    def __init__(self, root: Path | None = None) -> None:
        folders = [folder for folder in root.iterdir() if folder.is_dir()] if root else []
        self._folders = {folder.name: FolderBucket(folder) for folder in folders}
        self._in_memory: dict[str, Bucket] | None = {} if root is None else None
        self._uploads: dict[str, _PartUpload] = {}

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(
            len(bucket.keys) for bucket in (*self._folders.values(), *(self._in_memory or {}).values())
        )

    def rescan(self) -> None:
        for bucket in self._folders.values():
            bucket.rescan()

    def answer(self, request: Request) -> Response:
        try:
            return self._handler(request)(self._bucket(request.bucket), request)
        except S3Error as error:
            return error_response(error.status, error.code)

    def _bucket(self, name: str) -> Bucket:
        if self._in_memory is not None:
            return self._in_memory.setdefault(name, Bucket())
        if name not in self._folders:
            raise S3Error(404, "NoSuchBucket")
        return self._folders[name]

    def _handler(self, request: Request) -> Callable[[Bucket, Request], Response]:
        match request.kind, "uploadId" in request.query:
            case "LIST", _:
                return self._list
            case (("GET" | "HEAD"), _):
                return self._get
            case "PUT", False:
                return self._put
            case "PUT", True:
                return self._put_part
            case "POST", False if "uploads" in request.query:
                return self._begin_upload
            case "POST", False if "delete" in request.query:
                return self._delete_many
            case "POST", True:
                return self._complete_upload
            case "DELETE", False:
                return self._delete
            case "DELETE", True:
                return self._abort_upload
        raise S3Error(501, "NotImplemented")

    def _get(self, bucket: Bucket, request: Request) -> Response:
        if not request.key:
            return Response(headers={"x-amz-bucket-region": "us-east-1"})
        stored = bucket.find(request.key)
        start, end, status = 0, stored.size, 200
        headers = {
            "etag": stored.etag,
            "last-modified": formatdate(stored.modified, usegmt=True),
            "accept-ranges": "bytes",
            **stored.metadata,
        }
        if "range" in request.headers:
            start, end = _range(request.headers["range"], stored.size)
            headers["content-range"] = f"bytes {start}-{end - 1}/{stored.size}"
            status = 206
        if request.method == "HEAD":
            return Response(status, headers | {"content-length": str(end - start)})
        return Response(status, headers, bucket.content(request.key, start, end))

    def _list(self, bucket: Bucket, request: Request) -> Response:
        query = request.query
        if "location" in query:
            return _xml(200, "LocationConstraint", "us-east-1")
        if query.get("list-type") != "2":
            raise S3Error(501, "NotImplemented")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        limit = min(_PAGE_OF_KEYS, int(query.get("max-keys", _PAGE_OF_KEYS)))
        folders: list[str] = []
        if delimiter:  # In one answer: folders have few entries where this is asked.
            keys, folders = bucket.below(prefix, delimiter)
            more = False
        else:
            after = query.get("continuation-token") or query.get("start-after", "")
            keys, more = bucket.page(prefix, after, limit)
        content = "".join(_listed(key, bucket.find(key)) for key in keys)
        content += "".join(_element("CommonPrefixes", _element("Prefix", escape(name))) for name in folders)
        if more:
            content += _element("NextContinuationToken", escape(keys[-1]))
        return _xml(
            200,
            "ListBucketResult",
            f"<Name>{request.bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(keys) + len(folders)}</KeyCount><MaxKeys>{limit}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{content}",
        )

    def _put(self, bucket: Bucket, request: Request) -> Response:
        if "aws-chunked" in request.headers.get("content-encoding", ""):
            raise S3Error(501, "NotImplemented")
        stored = bucket.put(
            request.key,
            request.body,
            request.metadata,
            create_only=request.create_only,
            if_match=request.headers.get("if-match"),
        )
        return Response(headers={"etag": stored.etag})

    def _delete(self, bucket: Bucket, request: Request) -> Response:
        bucket.delete(request.key)
        return Response(204)

    def _delete_many(self, bucket: Bucket, request: Request) -> Response:
        keys = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
        for key in keys:
            bucket.delete(unescape(key))
        return _xml(200, "DeleteResult", "".join(_element("Deleted", _element("Key", key)) for key in keys))

    def _begin_upload(self, bucket: Bucket, request: Request) -> Response:
        upload = secrets.token_hex(8)
        self._uploads[upload] = _PartUpload(request.metadata)
        content = _names(request) + _element("UploadId", upload)
        return _xml(200, "InitiateMultipartUploadResult", content)

    def _put_part(self, bucket: Bucket, request: Request) -> Response:
        number = int(request.query["partNumber"])
        self._upload(request).parts[number] = request.body
        return Response(headers={"etag": f'"{number}"'})

    def _complete_upload(self, bucket: Bucket, request: Request) -> Response:
        upload = self._upload(request)
        body = b"".join(part for _, part in sorted(upload.parts.items()))
        stored = bucket.put(request.key, body, upload.metadata, create_only=request.create_only)
        del self._uploads[request.query["uploadId"]]
        content = _names(request) + _element("ETag", escape(stored.etag))
        return _xml(200, "CompleteMultipartUploadResult", content)

    def _abort_upload(self, bucket: Bucket, request: Request) -> Response:
        self._upload(request)
        del self._uploads[request.query["uploadId"]]
        return Response(204)

    def _upload(self, request: Request) -> _PartUpload:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            raise S3Error(404, "NoSuchUpload")
        return upload


def error_response(status: int, code: str) -> Response:
    return _xml(status, "Error", _element("Code", code) + _element("Message", code))


def _xml(status: int, root: str, content: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="{_NAMESPACE}">{content}</{root}>'
    return Response(status, {"content-type": "application/xml"}, body.encode())


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def _names(request: Request) -> str:
    return _element("Bucket", request.bucket) + _element("Key", escape(request.key))


def _listed(key: str, stored: Stored) -> str:
    moment = datetime.fromtimestamp(stored.modified, UTC).isoformat(timespec="milliseconds")
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{moment.replace('+00:00', 'Z')}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{stored.size}</Size></Contents>"
    )


def _range(text: str, size: int) -> tuple[int, int]:
    """Start and end of `bytes=first-last`, `bytes=first-` or `bytes=-length`."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    if match is None or not (match[1] or match[2]):
        raise S3Error(400, "InvalidArgument")
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
    if start >= size:
        raise S3Error(416, "InvalidRange")
    return start, end
