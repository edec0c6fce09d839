"""The client of a request, to the server."""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Peer:
    """The client of a request; `client` is an address with a port."""

    request_id: str
    client: str
    is_reader: bool = False
    """Whether the client's role allows reading only."""
    is_gone: bool = False
    watcher: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """The address of the proxy, for all clients behind one."""
        return self.client.rpartition(":")[0]
