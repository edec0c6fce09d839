"""A small S3 with faults, in a process of its own: slow, throttled, losing answers, trickling.

    with FaultyS3(latency=0.02) as s3:
        store_url, environment = s3.url, s3.environment
        s3.set(slow_down=0.05, lose_answer=0.05)
        s3.counts()      # {"PUT": 12, …}

It answers what object stores are asked for: objects whole, by range and by suffix, create-only puts, listings
page by page, uploads in parts, deletes. Objects live in memory. Faults are probabilities per request, except
times in seconds; each request draws once:

- `latency`, `jitter`: every answer takes so long, plus up to so much more;
- `slow_down`, `internal_error`: 503 or 500 in place of doing what was asked;
- `conflict`: 409 to a conditional put, as S3 answers those that race;
- `lose_request`: the connection closes and nothing was done;
- `lose_answer`: what was asked is done, and the connection closes;
- `answer_error`: what was asked is done, and the answer is a 500;
- `cut`: the connection closes in the middle of the answer;
- `trickle`: the answer comes in small pieces, for `trickle_seconds` in all.
"""

import argparse
import asyncio
import bisect
import contextlib
import hashlib
import json
import logging
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from email.utils import formatdate
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

CONTROL = "/-/"
_XML = {"content-type": "application/xml"}


@dataclass(frozen=True)
class Faults:
    latency: float = 0.0
    jitter: float = 0.0
    slow_down: float = 0.0
    internal_error: float = 0.0
    conflict: float = 0.0
    lose_request: float = 0.0
    lose_answer: float = 0.0
    answer_error: float = 0.0
    cut: float = 0.0
    trickle: float = 0.0
    trickle_seconds: float = 0.5


_DRAWN = [name.name for name in fields(Faults) if name.name not in {"latency", "jitter", "trickle_seconds"}]


class Object(NamedTuple):
    body: bytes
    etag: str
    modified: float
    metadata: dict[str, str]


class Request(NamedTuple):
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return "LIST" if self.method == "GET" and not self.key else self.method


class Response(NamedTuple):
    status: int
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


def _element(name: str, content: str) -> bytes:
    return f"<{name}>{content}</{name}>".encode()


def error(status: int, code: str) -> Response:
    return Response(status, _XML, _element("Error", f"<Code>{code}</Code><Message>{code}</Message>"))


@dataclass
class Bucket:
    """Objects by key, and the keys in order."""

    objects: dict[str, Object] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    uploads: dict[str, tuple[dict[int, bytes], dict[str, str]]] = field(default_factory=dict)

    def answer(self, request: Request) -> Response:
        match request.method:
            case "GET" if not request.key:
                return self._list(request.query)
            case "GET" | "HEAD":
                return self._get(request)
            case "PUT" if "partNumber" in request.query:
                parts, _ = self.uploads[request.query["uploadId"]]
                parts[int(request.query["partNumber"])] = request.body
                return Response(200, {"etag": _etag(request.body)})
            case "PUT":
                return self._put(request)
            case "DELETE":
                self._remove(request.key)
                return Response(204)
            case "POST":
                return self._post(request)
        return error(405, "MethodNotAllowed")

    def _get(self, request: Request) -> Response:
        if not request.key:
            return Response(200, {"x-amz-bucket-region": "us-east-1"})
        found = self.objects.get(request.key)
        if found is None:
            return error(404, "NoSuchKey")
        headers = {"etag": found.etag, "last-modified": formatdate(found.modified, usegmt=True)}
        headers |= found.metadata
        if request.method == "HEAD":
            return Response(200, headers | {"content-length": str(len(found.body))})
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return Response(200, headers, found.body)
        size = len(found.body)
        start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        end = min(int(wanted[2]) + 1, size) if wanted[1] and wanted[2] else size
        if start >= size:
            return error(416, "InvalidRange")
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        return Response(206, headers, found.body[start:end])

    def _put(self, request: Request) -> Response:
        if request.headers.get("if-none-match") == "*" and request.key in self.objects:
            return error(412, "PreconditionFailed")
        return Response(200, {"etag": self._store(request.key, request.body, _metadata(request))})

    def _post(self, request: Request) -> Response:
        if "uploads" in request.query:
            upload = f"upload-{len(self.uploads)}-{time.time_ns()}"
            self.uploads[upload] = ({}, _metadata(request))
            body = f"<UploadId>{upload}</UploadId>"
            return Response(200, _XML, _element("InitiateMultipartUploadResult", body))
        if "uploadId" in request.query:
            if request.headers.get("if-none-match") == "*" and request.key in self.objects:
                return error(412, "PreconditionFailed")
            parts, metadata = self.uploads.pop(request.query["uploadId"])
            etag = self._store(request.key, b"".join(parts[number] for number in sorted(parts)), metadata)
            return Response(200, _XML, _element("CompleteMultipartUploadResult", f"<ETag>{etag}</ETag>"))
        if "delete" in request.query:
            keys = re.findall(r"<Key>(.*?)</Key>", request.body.decode())
            for key in keys:
                self._remove(unescape(key))
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            return Response(200, _XML, _element("DeleteResult", deleted))
        return error(501, "NotImplemented")

    def _list(self, query: dict[str, str]) -> Response:
        if "location" in query:
            return Response(200, _XML, b"<LocationConstraint>us-east-1</LocationConstraint>")
        prefix, most = query.get("prefix", ""), int(query.get("max-keys", 1000))
        after = query.get("continuation-token") or query.get("start-after") or ""
        position = max(bisect.bisect_left(self.keys, prefix), bisect.bisect_right(self.keys, after))
        found = self.keys[position : position + most + 1]
        found = [key for key in found if key.startswith(prefix)]
        more, found = len(found) > most, found[:most]
        token = f"<NextContinuationToken>{escape(found[-1])}</NextContinuationToken>" if more else ""
        entries = "".join(map(self._entry, found))
        content = (
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(found)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
        )
        return Response(200, _XML, _element("ListBucketResult", content))

    def _entry(self, key: str) -> str:
        found = self.objects[key]
        moment = datetime.fromtimestamp(found.modified, UTC).isoformat(timespec="milliseconds")
        return (
            f"<Contents><Key>{escape(key)}</Key><LastModified>{moment.replace('+00:00', 'Z')}</LastModified>"
            f"<ETag>{found.etag}</ETag><Size>{len(found.body)}</Size></Contents>"
        )

    def _store(self, key: str, body: bytes, metadata: dict[str, str]) -> str:
        if key not in self.objects:
            bisect.insort(self.keys, key)
        self.objects[key] = Object(body, _etag(body), time.time(), metadata)
        return self.objects[key].etag

    def _remove(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect.bisect_left(self.keys, key)]


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _metadata(request: Request) -> dict[str, str]:
    return {name: text for name, text in request.headers.items() if name.startswith("x-amz-meta-")}


class Server:
    """Buckets come into being when they are named."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self._random = random.Random(seed)
        self._buckets: dict[str, Bucket] = {}
        self._counts: Counter[str] = Counter()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while (head := await reader.readuntil(b"\r\n\r\n")) and await self._exchange(
                head, reader, writer
            ):
                pass
        writer.close()

    async def _exchange(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; False if the connection is to be closed."""
        first, *lines = head.decode("latin1").strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        if parts.path.startswith(CONTROL):
            writer.write(_encode(method, self._control(parts.path.removeprefix(CONTROL), body)))
            return True
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return await self._answer(Request(method, bucket, key, query, headers, body), writer)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        faults, fault = self.faults, self._draw(request)
        self._counts[request.kind] += 1
        if fault is not None:
            self._counts[fault] += 1
        if fault == "lose_request":
            return False
        await asyncio.sleep((faults.latency + faults.jitter * self._random.random()) / 2)
        if fault in {"slow_down", "internal_error", "conflict"}:
            response = {
                "slow_down": error(503, "SlowDown"),
                "internal_error": error(500, "InternalError"),
                "conflict": error(409, "ConditionalRequestConflict"),
            }[fault]
        else:
            response = self._buckets.setdefault(request.bucket, Bucket()).answer(request)
        await asyncio.sleep(faults.latency / 2)
        if fault == "lose_answer":
            return False
        if fault == "answer_error":
            response = error(500, "InternalError")
        data = _encode(request.method, response)
        if fault == "cut":
            writer.write(data[: len(data) // 2])
            return False
        if fault == "trickle":
            pieces = 10
            step = len(data) // pieces + 1
            for start in range(0, len(data), step):
                writer.write(data[start : start + step])
                await asyncio.sleep(faults.trickle_seconds / pieces)
            return True
        writer.write(data)
        await writer.drain()
        return True

    def _draw(self, request: Request) -> str | None:
        drawn = self._random.random()
        for name in _DRAWN:
            drawn -= getattr(self.faults, name)
            if drawn < 0:
                conditional = "if-none-match" in request.headers
                return name if name != "conflict" or conditional else None
        return None

    def _control(self, action: str, body: bytes) -> Response:
        match action:
            case "faults":
                self.faults = replace(Faults(), **json.loads(body))
            case "reset":
                self._counts.clear()
        state = {"counts": self._counts, "objects": sum(len(b.keys) for b in self._buckets.values())}
        return Response(200, {}, json.dumps(state).encode())


def _encode(method: str, response: Response) -> bytes:
    headers = {"content-length": str(len(response.body)), **response.headers}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    head = f"HTTP/1.1 {response.status} -\r\n{lines}\r\n".encode("latin1")
    return head if method == "HEAD" else head + response.body


async def serve(faults: Faults, seed: int) -> None:
    """Prints the port, and serves for ever."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # Clients that went away are no news.
    server = await asyncio.start_server(
        Server(faults, seed).connection, "127.0.0.1", 0, limit=1 << 20, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class FaultyS3:
    """The server's process, for as long as the block lasts."""

    bucket = "faulty"

    def __init__(self, *, seed: int = 1, **faults: float) -> None:
        self._faults = faults
        self._seed = seed

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, "--seed", str(self._seed)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.set(**self._faults)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def url(self) -> str:
        """A store in it."""
        return f"s3://{self.bucket}/data"

    @property
    def environment(self) -> dict[str, str]:
        """The AWS variables that lead there."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
        }

    def set(self, **faults: float) -> None:
        """These faults from now on, and no others."""
        self._ask("faults", faults)

    def counts(self) -> Counter[str]:
        """Requests by method (and LIST), and faults by name, since the last `reset`."""
        return Counter(self._ask("counts")["counts"])

    def objects(self) -> int:
        return int(self._ask("counts")["objects"])

    def reset(self) -> None:
        self._ask("reset")

    def _ask(self, action: str, body: object = None) -> Any:
        request = urllib.request.Request(self.endpoint + CONTROL + action, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(serve(Faults(), parser.parse_args().seed))
