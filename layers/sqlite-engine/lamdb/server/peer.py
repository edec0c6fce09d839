"""The other end of a request's connection."""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Peer:
    """The client of a request, or a proxy in front of it; `client` is its address with the port."""

    request_id: str
    client: str
    is_reader: bool = False
    """True if the client's role allows reading only."""
    is_gone: bool = False
    watcher: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """The address without the port: that of the proxy, for all clients behind one."""
        return self.client.rpartition(":")[0]
