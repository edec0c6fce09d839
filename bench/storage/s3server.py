"""A small S3 on the loopback that counts its requests and takes its time over each of them.

`python -m bench.storage.s3server ROOT` serves the folders of ROOT as buckets, prints the port it got, and
ends when its standard input does. It knows objects, ranges, create-only puts, uploads in parts and listings,
and checks no credentials. What it holds of an object beside the file (metadata) is gone when it ends.

Its own requests begin with `/-/`: GET `/-/counts`, POST `/-/reset`, POST `/-/rescan` (files were put into
the buckets by hand), POST `/-/latency?ms=20`.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import socket
import sys
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import orjson
import uvicorn

_PIECE: Final = 1024 * 1024
_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_PAGE_OF_KEYS: Final = 1000


class S3Error(Exception):
    """An answer that S3 gives as an error: status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of an object beside its content. `modified` is in seconds since 1970."""

    size: int
    modified: float
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        digest = hashlib.md5(f"{self.size} {self.modified}".encode(), usedforsecurity=False)
        return f'"{digest.hexdigest()}"'


class Bucket:
    """Objects in a folder. Their names, sizes and times are kept in memory, so that listing is quick."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[str, Stored] = {}
        self._keys: list[str] = []
        self.rescan()

    def rescan(self) -> None:
        self._objects = {}
        for folder, _, names in os.walk(self._folder, followlinks=True):
            for name in names:
                path = Path(folder, name)
                found = path.stat()
                key = path.relative_to(self._folder).as_posix()
                self._objects[key] = Stored(found.st_size, found.st_mtime)
        self._keys = sorted(self._objects)

    def path(self, key: str) -> Path:
        return self._folder / key

    def find(self, key: str) -> Stored:
        found = self._objects.get(key)
        if found is None:
            raise S3Error(404, "NoSuchKey")
        return found

    def put(self, key: str, body: bytes, metadata: dict[str, str], *, create_only: bool = False) -> Stored:
        if create_only and key in self._objects:
            raise S3Error(412, "PreconditionFailed")
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        temporary.write_bytes(body)
        temporary.replace(path)
        if key not in self._objects:
            insort(self._keys, key)
        stored = self._objects[key] = Stored(len(body), time.time(), metadata)
        return stored

    def delete(self, key: str) -> None:
        if self._objects.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
            self.path(key).unlink()

    def page(self, prefix: str, after: str, limit: int) -> tuple[list[tuple[str, Stored]], bool]:
        """Objects in order of their keys, and whether there are more."""
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after) if after else 0)
        keys = self._keys[start : start + limit + 1]
        found = [(key, self._objects[key]) for key in keys if key.startswith(prefix)]
        return found[:limit], len(found) > limit

    def below(self, prefix: str, delimiter: str) -> tuple[list[tuple[str, Stored]], list[str]]:
        """Objects whose key has no `delimiter` after `prefix`; of the others, the keys up to there."""
        objects: list[tuple[str, Stored]] = []
        folders: dict[str, None] = {}
        for key in self._keys[bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                break
            name, found, _ = key[len(prefix) :].partition(delimiter)
            if found:
                folders[prefix + name + delimiter] = None
            else:
                objects.append((key, self._objects[key]))
        return objects, [*folders]


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


@dataclass(slots=True)
class Response:
    """`body` comes in pieces, of `length` bytes in all."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()
    length: int = 0


def _xml(status: int, root: str, content: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="{_NAMESPACE}">{content}</{root}>'.encode()
    return Response(status, {"content-type": "application/xml"}, [body], len(body))


def _json(value: object) -> Response:
    body = orjson.dumps(value)
    return Response(200, {"content-type": "application/json"}, [body], len(body))


@dataclass(slots=True)
class _PartUpload:
    metadata: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class S3:
    """Answers requests; the folders below `root` are the buckets."""

    def __init__(self, root: Path) -> None:
        self._buckets = {folder.name: Bucket(folder) for folder in root.iterdir() if folder.is_dir()}
        self._uploads: dict[str, _PartUpload] = {}

    def rescan(self) -> None:
        for bucket in self._buckets.values():
            bucket.rescan()

    def answer(self, request: Request) -> Response:
        try:
            bucket = self._buckets.get(request.bucket)
            if bucket is None:
                raise S3Error(404, "NoSuchBucket")
            return self._handler(request)(bucket, request)
        except S3Error as error:
            return _xml(error.status, "Error", f"<Code>{error.code}</Code><Message>{error.code}</Message>")

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
            case "POST", True:
                return self._complete_upload
            case "DELETE", False:
                return self._delete
            case "DELETE", True:
                return self._abort_upload
        raise S3Error(501, "NotImplemented")

    def _get(self, bucket: Bucket, request: Request) -> Response:
        if not request.key:
            return Response()
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
        body = _pieces(bucket.path(request.key), start, end) if request.method == "GET" else ()
        return Response(status, headers, body, end - start)

    def _list(self, bucket: Bucket, request: Request) -> Response:
        query = request.query
        if query.get("list-type") != "2":
            raise S3Error(501, "NotImplemented")
        prefix = query.get("prefix", "")
        if query.get("delimiter"):
            return self._list_folders(bucket, request, prefix)
        after = query.get("continuation-token") or query.get("start-after", "")
        limit = min(_PAGE_OF_KEYS, int(query.get("max-keys", _PAGE_OF_KEYS)))
        found, more = bucket.page(prefix, after, limit)
        content = "".join(_listed(key, stored) for key, stored in found)
        if more:
            content += f"<NextContinuationToken>{escape(found[-1][0])}</NextContinuationToken>"
        return _xml(
            200,
            "ListBucketResult",
            f"<Name>{request.bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{content}",
        )

    def _list_folders(self, bucket: Bucket, request: Request, prefix: str) -> Response:
        """What lies directly below `prefix`, in one answer: folders have few entries where this is asked."""
        objects, folders = bucket.below(prefix, request.query["delimiter"])
        content = "".join(_listed(key, stored) for key, stored in objects)
        content += "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in folders
        )
        return _xml(
            200,
            "ListBucketResult",
            f"<Name>{request.bucket}</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>{_PAGE_OF_KEYS}</MaxKeys>"
            f"<KeyCount>{len(objects) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>{content}",
        )

    def _put(self, bucket: Bucket, request: Request) -> Response:
        if "aws-chunked" in request.headers.get("content-encoding", ""):
            raise S3Error(501, "NotImplemented")
        create_only = request.headers.get("if-none-match") == "*"
        stored = bucket.put(request.key, request.body, request.metadata, create_only=create_only)
        return Response(headers={"etag": stored.etag})

    def _delete(self, bucket: Bucket, request: Request) -> Response:
        bucket.delete(request.key)
        return Response(204)

    def _begin_upload(self, bucket: Bucket, request: Request) -> Response:
        upload = secrets.token_hex(8)
        self._uploads[upload] = _PartUpload(request.metadata)
        names = f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
        return _xml(200, "InitiateMultipartUploadResult", f"{names}<UploadId>{upload}</UploadId>")

    def _put_part(self, bucket: Bucket, request: Request) -> Response:
        number = int(request.query["partNumber"])
        self._upload(request).parts[number] = request.body
        return Response(headers={"etag": f'"{number}"'})

    def _complete_upload(self, bucket: Bucket, request: Request) -> Response:
        upload = self._upload(request)
        del self._uploads[request.query["uploadId"]]
        body = b"".join(part for _, part in sorted(upload.parts.items()))
        stored = bucket.put(request.key, body, upload.metadata)
        names = f"<Bucket>{request.bucket}</Bucket><Key>{escape(request.key)}</Key>"
        return _xml(200, "CompleteMultipartUploadResult", f"{names}<ETag>{escape(stored.etag)}</ETag>")

    def _abort_upload(self, bucket: Bucket, request: Request) -> Response:
        del self._uploads[request.query["uploadId"]]
        return Response(204)

    def _upload(self, request: Request) -> _PartUpload:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            raise S3Error(404, "NoSuchUpload")
        return upload


def _listed(key: str, stored: Stored) -> str:
    modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(stored.modified))
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{modified}</LastModified>"
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


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while start < end:
            piece = os.pread(file.fileno(), min(_PIECE, end - start), start)
            if not piece:
                raise OSError(f"{path} has become shorter")
            yield piece
            start += len(piece)


# Over HTTP


class Application:
    """The ASGI application: latency, counts, and what controls them."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3
        self._latency = 0.0
        self._counts: Counter[str] = Counter()

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        request = _request(scope, await _body(receive))
        if request.bucket == "-":
            response = self._control(request)
        else:
            await asyncio.sleep(self._latency)
            response = self._s3.answer(request)
            self._count(request, response)
        headers = {**response.headers, "content-length": str(response.length)}
        await send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        for piece in response.body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _count(self, request: Request, response: Response) -> None:
        """Requests by bucket and kind, and the bytes that go to the client."""
        self._counts[f"{request.bucket} {request.kind}"] += 1
        if request.method == "GET":
            self._counts[f"{request.bucket} bytes"] += response.length

    def _control(self, request: Request) -> Response:
        match request.method, request.key:
            case "GET", "counts":
                return _json(self._counts)
            case "POST", "reset":
                self._counts.clear()
            case "POST", "rescan":
                self._s3.rescan()
            case "POST", "latency":
                self._latency = float(request.query["ms"]) / 1000
            case _:
                return Response(404)
        return Response(204)


def _request(scope: Mapping[str, Any], body: bytes) -> Request:
    bucket, _, key = scope["path"].lstrip("/").partition("/")
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], bucket, key, query, headers, body)


async def _body(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serves until standard input ends: with the process that started this one."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reading = loop.run_in_executor(None, sys.stdin.read)
    await asyncio.wait([serving, reading], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = server.force_exit = True
    await serving


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    print(listener.getsockname()[1], flush=True)
    application = Application(S3(Path(sys.argv[1])))
    config = uvicorn.Config(
        application,
        log_level="error",
        access_log=False,
        lifespan="off",
        loop="uvloop",
        http="httptools",
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt), uvloop_runner() as runner:
        runner.run(_serve(uvicorn.Server(config), listener))


def uvloop_runner() -> asyncio.Runner:
    import uvloop

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


if __name__ == "__main__":
    main()
