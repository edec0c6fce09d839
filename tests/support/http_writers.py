"""Many clients that write over HTTP at once, cheaply enough that the server is what is measured."""

import asyncio
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

type Writing = tuple[list[float], list[bytes]]


def write_concurrently(url: str, bodies: list[bytes], clients: int) -> Writing:
    """Posts every one of `bodies` to `url`, by so many clients with a connection each.

    Returns the seconds that each took, in the order in which they ended, and the answers that were not 200 or
    had errors.
    """
    return asyncio.run(_run(url, iter(bodies), clients))


async def _run(url: str, bodies: Iterator[bytes], clients: int) -> Writing:
    times: list[float] = []
    wrong: list[bytes] = []
    await asyncio.gather(*(_client(url, bodies, times, wrong) for _ in range(clients)))
    return times, wrong


async def _client(url: str, bodies: Iterator[bytes], times: list[float], wrong: list[bytes]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for body in bodies:
        begun = time.perf_counter()
        head = f"POST {parts.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answered.split(b"content-length:")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        times.append(time.perf_counter() - begun)
        if b" 200 " not in answered.split(b"\r\n")[0] or "errors" in json.loads(answer):
            wrong.append(answer)
    writer.close()
