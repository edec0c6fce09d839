"""Requests of a function to its store, as subsegments in AWS X-Ray. Loaded only where tracing is on.

Lambda itself makes the segment of an invocation. Subsegments are sent to the daemon beside the function, each
by itself (https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html): one datagram of JSON,
without waiting. The X-Ray SDK would do the same, and take 0.2 s of each cold start.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

import orjson

from lamdb.storage.stores.objectstore import ObjectStore
from lamdb.storage.stores.wrappers import StoreWrapper

_DAEMON: Final = "AWS_XRAY_DAEMON_ADDRESS"
_TRACE: Final = "_X_AMZN_TRACE_ID"
"""The trace header that Lambda gives to the present invocation."""

_HEADER: Final = b'{"format": "json", "version": 1}\n'
_NAMES: Final = {
    "put_new": "commit",
    "get_range": "page fetch",
    "get_suffix": "file index",
    "get": "next transaction",
    "list": "list of files",
}


class XRayStore(StoreWrapper):
    """A store whose requests are subsegments of the invocation that they belong to, if that is sampled."""

    def __init__(self, inner: ObjectStore, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(inner)
        self._environ = environ
        self._daemon = _udp_address(environ[_DAEMON])
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        trace = _fields(self._environ.get(_TRACE, ""))
        if trace.get("Sampled") != "1":
            return call()
        started, failed = time.time(), True
        try:
            result = call()
            failed = False
            return result
        finally:
            self._send(trace, _NAMES.get(operation, operation), started, failed)

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _send(self, trace: Mapping[str, str], name: str, started: float, failed: bool) -> None:
        subsegment = {
            "id": secrets.token_hex(8),
            "trace_id": trace.get("Root"),
            "parent_id": trace.get("Parent"),
            "type": "subsegment",
            "name": name,
            "start_time": started,
            "end_time": time.time(),
            "fault": failed,
        }
        try:
            self._socket.sendto(_HEADER + orjson.dumps(subsegment), self._daemon)
        except OSError:
            # A trace is worth no failure, and its daemon may be gone before the function is.
            return


def _fields(header: str) -> dict[str, str]:
    """`Root=1-a-b;Parent=c;Sampled=1` → {"Root": "1-a-b", …}."""
    pairs = (part.partition("=") for part in header.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _udp_address(text: str) -> tuple[str, int]:
    """`host:port`, or `tcp:host:port udp:host:port`."""
    chosen = next((part for part in text.split() if part.startswith("udp:")), text)
    host, _, port = chosen.removeprefix("udp:").rpartition(":")
    return host, int(port)
