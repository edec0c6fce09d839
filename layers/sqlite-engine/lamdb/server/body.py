"""Reads the body of a request, within its limits of size and time."""

import asyncio
from collections.abc import AsyncIterable, Mapping

from lamdb.errors import BodyTimeout, BodyTooLarge, MalformedRequest
from lamdb.server.rsgi import ClientGone, Wire


async def read_body(wire: Wire, headers: Mapping[str, str], limit: int, seconds: float) -> bytes:
    """Returns the body, which may have up to `limit` bytes and take so many seconds to arrive.

    Raises `BodyTooLarge`, `BodyTimeout`, `MalformedRequest`, `ClientGone`.
    """
    # Transfer-Encoding wins over Content-Length (RFC 9112, section 6.3).
    declared = None if "transfer-encoding" in headers else headers.get("content-length")
    if declared is not None and int(declared) > limit:
        raise BodyTooLarge(f"The body has {declared} bytes; the limit is {limit}.")
    try:
        async with asyncio.timeout(seconds):
            body = await (wire() if declared is not None else _limited(wire, limit))
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {seconds:g} s.") from None
    except RuntimeError:
        raise ClientGone from None
    if declared is not None and len(body) != int(declared):
        raise MalformedRequest(f"The body has {len(body)} bytes; Content-Length says {declared}.")
    return body


async def _limited(wire: AsyncIterable[bytes], limit: int) -> bytes:
    """Returns a body whose length is not declared."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in wire:
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)
