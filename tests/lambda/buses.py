"""A local event bus: PutEvents as AWS documents it, which keeps what it accepts and can fail.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

import json
import random
import threading
import time
from typing import Any

from .environment import Handler, serve

BATCH = 10
REQUEST_BYTES = 256 * 1024


class LocalBus:
    """`url` is for `AWS_ENDPOINT_URL_EVENTBRIDGE`. It refuses a share of `failures`."""

    def __init__(self) -> None:
        self.failures = 0.0
        self.seconds = 0.0
        """How long each answer takes."""
        self.down = False
        self.names = {"shop"}
        self.requests = 0
        self.accepted: list[dict[str, str]] = []
        self.chance = random.Random(5)
        self._lock = threading.Lock()
        self._server = serve(_Api, bus=self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def details(self) -> list[dict[str, Any]]:
        """The contents of the events, in the order in which they came."""
        return [json.loads(entry["Detail"]) for entry in list(self.accepted)]

    def close(self) -> None:
        self._server.close()

    def put(self, entries: list[dict[str, str]]) -> list[dict[str, str]]:
        with self._lock:
            self.requests += 1
            results = []
            for entry in entries:
                if self.chance.random() < self.failures:
                    results.append({"ErrorCode": "InternalFailure", "ErrorMessage": "try again"})
                else:
                    self.accepted.append(entry)
                    results.append({"EventId": f"{len(self.accepted)}"})
            return results


class _Api(Handler):
    bus: LocalBus

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        asked = json.loads(self.body())
        if self.headers.get("x-amz-target") == "AWSEvents.DescribeEventBus":
            if asked["Name"] in self.bus.names:
                self.reply(200, json.dumps({"Name": asked["Name"]}).encode())
            else:
                self._refuse(400, "ResourceNotFoundException")
            return
        entries = asked["Entries"]
        time.sleep(self.bus.seconds)
        size = sum(
            len(each[name].encode()) for each in entries for name in ("Source", "DetailType", "Detail")
        )
        if "authorization" not in self.headers:
            self._refuse(403, "MissingAuthenticationToken")
        elif self.headers.get("x-amz-target") != "AWSEvents.PutEvents":
            self._refuse(400, "UnknownOperationException")
        elif not 1 <= len(entries) <= BATCH or size > REQUEST_BYTES:
            self._refuse(400, "ValidationException")
        elif self.bus.down or self.bus.chance.random() < self.bus.failures:
            self._refuse(500, "InternalException")
        else:
            results = self.bus.put(entries)
            failed = sum("ErrorCode" in each for each in results)
            self.reply(200, json.dumps({"FailedEntryCount": failed, "Entries": results}).encode())

    def _refuse(self, status: int, code: str) -> None:
        self.reply(status, json.dumps({"__type": code}).encode())
