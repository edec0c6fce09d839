"""A local SQS with FIFO queues, and what brings their messages to functions (event source mappings).

What it does is what AWS documents:

- a message that was received is invisible for the queue's visibility timeout; while one of a message group
  is, the group gives no other (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
  FIFO-queues-understanding-logic.html);
- a message received too often goes to the dead letters;
- the same deduplication id within five minutes is one message;
- pollers take up to ten messages, and invoke the function at most `concurrency` times at once; a throttled
  batch is tried again, with pauses, until its messages become visible
  (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
"""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from .environment import Handler, serve
from .local import Busy, Function

DEDUPLICATION_SECONDS = 300.0
LIMIT = 1024 * 1024
BATCH = 10


@dataclass
class Message:
    id: str
    body: str
    group: str
    deduplication: str
    sequence: int
    sent: float
    visible: float = 0.0
    received: int = 0


@dataclass
class FifoQueue:
    """`visibility`: seconds. `dead_letters`: messages that were received more than `receives` times."""

    visibility: float = 30.0
    receives: int = 20
    requests: int = 0
    messages: list[Message] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)
    _known: dict[str, float] = field(default_factory=dict)
    _sequence: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def send(self, body: str, group: str, deduplication: str) -> str:
        now = time.monotonic()
        with self._changed:
            self.requests += 1
            if now - self._known.get(deduplication, -DEDUPLICATION_SECONDS) < DEDUPLICATION_SECONDS:
                return str(uuid.uuid4())
            self._known[deduplication] = now
            self._sequence += 1
            message = Message(str(uuid.uuid4()), body, group, deduplication, self._sequence, time.time())
            self.messages.append(message)
            self._changed.notify()
            return message.id

    def receive(self, seconds: float) -> list[Message]:
        """Up to ten messages; waits for one."""
        end = time.monotonic() + seconds
        with self._changed:
            self.requests += 1
            while True:
                taken = self._take(time.monotonic())
                left = end - time.monotonic()
                if taken or left <= 0:
                    return taken
                self._changed.wait(min(left, 0.5))

    def _take(self, now: float) -> list[Message]:
        taken: list[Message] = []
        blocked: set[str] = set()
        for message in list(self.messages):
            if len(taken) == BATCH:
                break
            if message.group in blocked:
                continue
            if message.visible > now:
                blocked.add(message.group)
                continue
            message.received += 1
            if message.received > self.receives:
                self.messages.remove(message)
                self.dead_letters.append(message)
                continue
            taken.append(message)
        for message in taken:
            message.visible = now + self.visibility
        return taken

    def delete(self, done: list[Message]) -> None:
        with self._changed:
            self.requests += 1
            for message in done:
                if message in self.messages:
                    self.messages.remove(message)
            self._changed.notify()


class LocalSqs:
    """`url` is for `AWS_ENDPOINT_URL_SQS`; a queue is at `url/123456789012/NAME`."""

    def __init__(self) -> None:
        self.queues: dict[str, FifoQueue] = {}
        self._server = serve(_Api, queues=self.queues)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(self, name: str, queue: FifoQueue) -> str:
        """The URL of a queue from now on."""
        self.queues[name] = queue
        return f"{self.url}/123456789012/{name}"

    def close(self) -> None:
        self._server.close()


class _Api(Handler):
    queues: dict[str, FifoQueue]

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        asked = json.loads(self.body())
        if self.headers.get("x-amz-target") != "AmazonSQS.SendMessage" or "authorization" not in self.headers:
            self.reply(400, b'{"__type": "com.amazonaws.sqs#InvalidAction"}')
            return
        body = asked["MessageBody"]
        if len(body.encode()) > LIMIT:
            self.reply(400, b'{"__type": "com.amazonaws.sqs#InvalidParameterValue"}')
            return
        queue = self.queues[asked["QueueUrl"].rpartition("/")[2]]
        sent = queue.send(body, asked["MessageGroupId"], asked["MessageDeduplicationId"])
        self.reply(200, json.dumps({"MessageId": sent}).encode())


class Mapping:
    """Brings the messages of a queue to a function, in as many threads as `concurrency`."""

    def __init__(self, queue: FifoQueue, function: Function, *, concurrency: int = 2) -> None:
        self._queue = queue
        self._function = function
        self._stop = threading.Event()
        self.sizes: list[int] = []
        """Sizes of the batches that were invoked."""
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(concurrency)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def _work(self) -> None:
        while not self._stop.is_set():
            batch = self._queue.receive(0.5)
            if batch:
                self._bring(batch)

    def _bring(self, batch: list[Message]) -> None:
        event = json.dumps({"Records": [_record(each) for each in batch]}).encode()
        end = time.monotonic() + self._queue.visibility
        while not self._stop.is_set() and time.monotonic() < end:
            try:
                answer = self._function.invoke(event)
            except Busy:
                time.sleep(0.05)
                continue
            self.sizes.append(len(batch))
            if answer.error is None:
                failed = {each["itemIdentifier"] for each in json.loads(answer.payload)["batchItemFailures"]}
                self._queue.delete([each for each in batch if each.id not in failed])
            return


def _record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": "local",
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.received),
            "SentTimestamp": str(int(message.sent * 1000)),
            "SequenceNumber": str(18849496460467696128 + message.sequence),
            "MessageGroupId": message.group,
            "MessageDeduplicationId": message.deduplication,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:writes.fifo",
        "awsRegion": "us-east-1",
    }
