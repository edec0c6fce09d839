"""A local SQS with FIFO queues, and what brings their messages to functions (event source mappings).

What it does is what AWS documents:

- a message that was received is invisible for the queue's visibility timeout; while one of a message group
  is, the group gives no other (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
  FIFO-queues-understanding-logic.html);
- each time a message is received it has another receipt handle; it is deleted by the last one, and only while
  it is invisible (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
  sqs-queue-message-identifiers.html);
- a message received too often goes to the dead letters;
- the same deduplication id within five minutes is one message;
- pollers take up to a batch of messages, and invoke the function at most `concurrency` times at once; a
  throttled batch is tried again, with pauses, until its messages become visible
  (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html).
"""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Collection
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
    handle: str = ""


@dataclass
class FifoQueue:
    """`visibility`: seconds. `dead_letters`: messages that were received more than `receives` times."""

    visibility: float = 30.0
    receives: int = 20
    requests: Counter[str] = field(default_factory=Counter)
    """By kind: SendMessage, ReceiveMessage, DeleteMessageBatch, ChangeMessageVisibilityBatch; and `idle`, of
    pollers that found nothing, whose number depends on how long they wait."""
    messages: list[Message] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)
    _known: dict[str, float] = field(default_factory=dict)
    _sequence: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def send(self, body: str, group: str, deduplication: str) -> str:
        now = time.monotonic()
        with self._changed:
            self.requests["SendMessage"] += 1
            if now - self._known.get(deduplication, -DEDUPLICATION_SECONDS) < DEDUPLICATION_SECONDS:
                return str(uuid.uuid4())
            self._known[deduplication] = now
            self._sequence += 1
            message = Message(str(uuid.uuid4()), body, group, deduplication, self._sequence, time.time())
            self.messages.append(message)
            self._changed.notify()
            return message.id

    def receive(self, most: int = BATCH) -> list[Message]:
        """Up to so many messages that are visible now."""
        with self._changed:
            self.requests["ReceiveMessage"] += 1
            return self._take(time.monotonic(), most)

    def poll(self, seconds: float, most: int) -> list[Message]:
        """The same for a poller, which waits for one."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                taken = self._take(time.monotonic(), most)
                left = end - time.monotonic()
                if taken or left <= 0:
                    self.requests["ReceiveMessage" if taken else "idle"] += 1
                    return taken
                self._changed.wait(min(left, 0.5))

    def _take(self, now: float, most: int) -> list[Message]:
        taken: list[Message] = []
        blocked: set[str] = set()
        for message in list(self.messages):
            if len(taken) == most:
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
            message.handle = str(uuid.uuid4())
        return taken

    def delete(self, handles: Collection[str]) -> list[str]:
        """The handles that are not valid any more."""
        with self._changed:
            self.requests["DeleteMessageBatch"] += 1
            held = self._held()
            for handle in handles:
                if handle in held:
                    self.messages.remove(held[handle])
            self._changed.notify()
            return [handle for handle in handles if handle not in held]

    def release(self, handles: Collection[str], seconds: float = 0.0) -> list[str]:
        """Makes received messages visible after so many seconds; the handles that are not valid any more."""
        now = time.monotonic()
        with self._changed:
            self.requests["ChangeMessageVisibilityBatch"] += 1
            held = self._held()
            for handle in handles:
                if handle in held:
                    held[handle].visible = now + seconds
            self._changed.notify()
            return [handle for handle in handles if handle not in held]

    def _held(self) -> dict[str, Message]:
        now = time.monotonic()
        return {each.handle: each for each in self.messages if each.visible > now}


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
        action = self.headers.get("x-amz-target", "").removeprefix("AmazonSQS.")
        queue = self.queues[asked["QueueUrl"].rpartition("/")[2]]
        if "authorization" not in self.headers:
            self._refuse("MissingAuthenticationToken")
        elif action == "SendMessage":
            body = asked["MessageBody"]
            if len(body.encode()) > LIMIT:
                self._refuse("InvalidParameterValue")
                return
            sent = queue.send(body, asked["MessageGroupId"], asked["MessageDeduplicationId"])
            self._say({"MessageId": sent})
        elif action == "ReceiveMessage":
            found = queue.receive(int(asked.get("MaxNumberOfMessages", 1)))
            # Without messages there is no member, as SQS leaves it out.
            self._say({"Messages": [_received(each) for each in found]} if found else {})
        elif action in {"DeleteMessageBatch", "ChangeMessageVisibilityBatch"}:
            self._change(queue, action, asked["Entries"])
        else:
            self._refuse("InvalidAction")

    def _change(self, queue: FifoQueue, action: str, entries: list[dict[str, Any]]) -> None:
        if not 1 <= len(entries) <= BATCH:
            self._refuse("EmptyBatchRequest" if not entries else "TooManyEntriesInBatchRequest")
            return
        handles = [each["ReceiptHandle"] for each in entries]
        failed = queue.delete(handles) if action == "DeleteMessageBatch" else queue.release(handles)
        self._say(
            {
                "Successful": [{"Id": each["Id"]} for each in entries if each["ReceiptHandle"] not in failed],
                "Failed": [
                    {"Id": each["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True}
                    for each in entries
                    if each["ReceiptHandle"] in failed
                ],
            }
        )

    def _say(self, answer: dict[str, Any]) -> None:
        self.reply(200, json.dumps(answer).encode())

    def _refuse(self, kind: str) -> None:
        self.reply(400, json.dumps({"__type": f"com.amazonaws.sqs#{kind}"}).encode())


class Mapping:
    """Brings the messages of a queue to a function, in as many threads as `concurrency`."""

    def __init__(self, queue: FifoQueue, function: Function, *, concurrency: int = 2, batch: int = 1) -> None:
        """`concurrency`, `batch`: as the template has them for the queue of writes."""
        self._queue = queue
        self._batch = batch
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
            batch = self._queue.poll(0.5, self._batch)
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
                done = [each.handle for each in batch if each.id not in failed]
                if done:
                    self._queue.delete(done)
            return


def _record(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "receiptHandle": message.handle,
        "body": message.body,
        "attributes": _attributes(message),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:writes.fifo",
        "awsRegion": "us-east-1",
    }


def _received(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "Attributes": _attributes(message),
    }


def _attributes(message: Message) -> dict[str, str]:
    return {
        "ApproximateReceiveCount": str(message.received),
        "SentTimestamp": str(int(message.sent * 1000)),
        "SequenceNumber": str(18849496460467696128 + message.sequence),
        "MessageGroupId": message.group,
        "MessageDeduplicationId": message.deduplication,
    }
