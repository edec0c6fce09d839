"""A small S3 in a process of its own: slow, throttled, losing answers, trickling, counting its requests.

    with FaultyS3(latency=0.02) as s3:
        store_url, environment = s3.url, s3.environment
        s3.set(slow_down=0.05, lose_answer=0.05)
        s3.counts()      # {"PUT": 12, …}

What it answers is in `s3_objects`. Objects live in memory, or as files in the folders below `root`, which are
the buckets then. Faults are probabilities per request, except times in seconds; each request draws once:

- `latency`, `jitter`: every answer takes so long, plus up to so much more;
- `slow_down`, `internal_error`: 503 or 500 in place of doing what was asked;
- `conflict`: 409 to a conditional request, as S3 answers those that race;
- `ignore_condition`: `If-None-Match` is not heeded, as stores do that do not know it;
- `not_implemented`: 501 to a conditional request;
- `not_modified`: 304 in place of 412, where the object exists;
- `taken`: 412 to a conditional request, whether the object exists or not;
- `forbidden`: 403 to a GET or HEAD of an object;
- `lose_request`: the connection closes and nothing was done;
- `lose_answer`: what was asked is done, and the connection closes;
- `answer_error`: what was asked is done, and the answer is a 500;
- `cut`: the connection closes in the middle of the answer;
- `trickle`: the answer comes in small pieces, for `trickle_seconds` in all.

Callers may list the whole bucket unless `restrict` gives their access key another right: "prefix" (listings
must name one, as a policy with a condition on `s3:prefix` asks) or "none". To these S3 answers 403 for a
missing key. Those with "nothing" are refused whatever they ask.

The process ends when its standard input does: with the one that started it.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import subprocess
import sys
import urllib.request
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote

import uvloop
from tests.support.s3_objects import S3, FileSlice, Request, Response, error_response

ROOT: Final = Path(__file__).parents[2]
CONTROL: Final = "/-/"


@dataclass(frozen=True)
class Faults:
    latency: float = 0.0
    jitter: float = 0.0
    slow_down: float = 0.0
    internal_error: float = 0.0
    conflict: float = 0.0
    ignore_condition: float = 0.0
    not_implemented: float = 0.0
    not_modified: float = 0.0
    taken: float = 0.0
    forbidden: float = 0.0
    lose_request: float = 0.0
    lose_answer: float = 0.0
    answer_error: float = 0.0
    cut: float = 0.0
    trickle: float = 0.0
    trickle_seconds: float = 0.5


_DRAWN = [name.name for name in fields(Faults) if name.name not in {"latency", "jitter", "trickle_seconds"}]


class Server:
    def __init__(self, s3: S3, seed: int) -> None:
        self._s3 = s3
        self._faults = Faults()
        self._random = random.Random(seed)
        self._requests: Counter[str] = Counter()
        self._bytes_read: Counter[str] = Counter()
        self._faulted: Counter[str] = Counter()
        self._restricted: dict[str, str] = {}

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
        if headers.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path, _, query = target.partition("?")
        if path.startswith(CONTROL):
            writer.write(_head(self._control(path.removeprefix(CONTROL), body)))
            return True
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        names = dict(parse_qsl(query, keep_blank_values=True))
        return await self._answer(Request(method, bucket, key, names, headers, body), writer)

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        faults, fault = self._faults, self._draw(request)
        self._requests[f"{request.bucket} {request.kind}"] += 1
        if fault is not None:
            self._faulted[fault] += 1
        if fault == "lose_request":
            return False
        await asyncio.sleep((faults.latency + faults.jitter * self._random.random()) / 2)
        if fault == "ignore_condition":
            request.headers.pop("if-none-match", None)
        response = _REFUSALS.get(fault or "") or self._permitted(request)
        if fault == "not_modified" and response.status == 412:
            response = Response(304)
        await asyncio.sleep(faults.latency / 2)
        if fault == "lose_answer":
            return False
        if fault == "answer_error":
            response = error_response(500, "InternalError")
        if request.method == "GET":
            self._bytes_read[request.bucket] += len(response.body)
        if fault in {"cut", "trickle"}:
            return await self._send_badly(response, fault, writer)
        writer.write(_head(response, with_body=request.method != "HEAD"))
        if isinstance(response.body, FileSlice):
            for piece in response.body.pieces():
                writer.write(piece)
                await writer.drain()
        await writer.drain()
        return True

    def _permitted(self, request: Request) -> Response:
        right = self._restricted.get(_access_key(request))
        if right == "nothing":
            return error_response(403, "InvalidAccessKeyId")
        if request.kind == "LIST" and (
            right == "none" or (right == "prefix" and not request.query.get("prefix"))
        ):
            return error_response(403, "AccessDenied")
        response = self._s3.answer(request)
        if right and response.status == 404 and request.method in {"GET", "HEAD"}:
            return error_response(403, "AccessDenied")
        return response

    async def _send_badly(self, response: Response, fault: str, writer: asyncio.StreamWriter) -> bool:
        data = _head(response)
        if isinstance(response.body, FileSlice):
            data += b"".join(response.body.pieces())
        if fault == "cut":
            writer.write(data[: len(data) // 2])
            return False
        pieces = 10
        step = len(data) // pieces + 1
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await asyncio.sleep(self._faults.trickle_seconds / pieces)
        return True

    def _draw(self, request: Request) -> str | None:
        drawn = self._random.random()
        for name in _DRAWN:
            drawn -= getattr(self._faults, name)
            if drawn < 0:
                creating = "if-none-match" in request.headers
                reading = request.kind in {"GET", "HEAD"}
                fits = creating if name in _CONDITIONAL else name != "forbidden" or reading
                fits = fits or (name == "conflict" and "if-match" in request.headers)
                return name if fits else None
        return None

    def _control(self, action: str, body: bytes) -> Response:
        match action:
            case "faults":
                self._faults = replace(Faults(), **json.loads(body))
            case "restrict":
                self._restricted = json.loads(body)
            case "reset":
                for counts in (self._requests, self._bytes_read, self._faulted):
                    counts.clear()
            case "rescan":
                self._s3.rescan()
        state = {
            "requests": self._requests,
            "bytes_read": self._bytes_read,
            "faults": self._faulted,
            "objects": self._s3.objects,
        }
        return Response(body=json.dumps(state).encode())


_CONDITIONAL: Final = {"conflict", "ignore_condition", "not_implemented", "not_modified", "taken"}
"""Faults of requests that create an object; a conflict is one of requests that replace one, too."""

_REFUSALS: Final = {
    "not_implemented": error_response(501, "NotImplemented"),
    "taken": error_response(412, "PreconditionFailed"),
    "forbidden": error_response(403, "AccessDenied"),
    "slow_down": error_response(503, "SlowDown"),
    "internal_error": error_response(500, "InternalError"),
    "conflict": error_response(409, "ConditionalRequestConflict"),
}


def _access_key(request: Request) -> str:
    """Returns the access key of a request that is signed with version 4."""
    _, _, rest = request.headers.get("authorization", "").partition("Credential=")
    return rest.partition("/")[0]


def _head(response: Response, *, with_body: bool = True) -> bytes:
    """Status and headers, and the body if it is in memory."""
    headers = {"content-length": str(len(response.body)), **response.headers}
    lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    head = f"HTTP/1.1 {response.status} -\r\n{lines}\r\n".encode("latin1")
    return head + response.body if with_body and isinstance(response.body, bytes) else head


async def serve(root: Path | None, seed: int) -> None:
    """Prints the port, and serves until standard input ends."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # Clients that went away are no news.
    server = await asyncio.start_server(
        Server(S3(root), seed).connection, "127.0.0.1", 0, limit=1 << 20, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@dataclass(frozen=True)
class Counts:
    """Requests by kind (GET, LIST, PUT, …), and the bytes that were read."""

    requests: dict[str, int]
    bytes_read: int

    @property
    def total(self) -> int:
        return sum(self.requests.values())


class FaultyS3:
    """The server's process, for as long as the block lasts."""

    bucket = "faulty"

    def __init__(self, root: Path | None = None, *, seed: int = 1, **faults: float) -> None:
        self._root = root
        self._faults = faults
        self._seed = seed

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.s3_faults", "--seed", str(self._seed)]
        if self._root is not None:
            command += ["--root", str(self._root.absolute())]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.set(**self._faults)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

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

    def restrict(self, **rights: str) -> None:
        """Rights of access keys, "prefix", "none" or "nothing"; all others may list the bucket."""
        self._ask("restrict", rights)

    def counts(self) -> Counter[str]:
        """Requests by method (and LIST), and faults by name, since the last `reset`."""
        return Counter(self.requests().requests) + Counter(self._ask("counts")["faults"])

    def requests(self, *buckets: str) -> Counts:
        """The requests to `buckets` (or to all) since the last `reset`."""
        state = self._ask("counts")
        kinds: Counter[str] = Counter()
        for name, count in state["requests"].items():
            bucket, kind = name.split(" ")
            if not buckets or bucket in buckets:
                kinds[kind] += count
        read = [n for bucket, n in state["bytes_read"].items() if not buckets or bucket in buckets]
        return Counts(dict(kinds), sum(read))

    def objects(self) -> int:
        return int(self._ask("counts")["objects"])

    def reset(self) -> None:
        self._ask("reset")

    def rescan(self) -> None:
        """Sees files that were put below the root by hand."""
        self._ask("rescan")

    def _ask(self, action: str, body: object = None) -> Any:
        request = urllib.request.Request(self.endpoint + CONTROL + action, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.root, options.seed))


if __name__ == "__main__":
    main()
