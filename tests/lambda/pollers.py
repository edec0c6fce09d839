"""The pollers between a queue or stream and a function: they deliver batches in order, repeatedly until they
are done."""

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .local import Busy, Function


class Poller:
    """Brings records, in order, to a function that reports the failed ones (`ReportBatchItemFailures`)."""

    def __init__(self, function: Function, records: Sequence[Mapping[str, Any]], *, size: int) -> None:
        self._function = function
        self._waiting = list(records)
        self._size = size
        self.deliveries = 0

    def run(self, *, chance: random.Random | None = None, chaos: float = 0.0, patience: float = 60.0) -> None:
        """Delivers until nothing is left. `chaos`: how likely the writer dies, and how likely its answer is
        lost."""
        end = time.monotonic() + patience
        while self._waiting:
            assert time.monotonic() < end, f"{len(self._waiting)} records are left"
            batch = self._waiting[: chance.randint(1, self._size) if chance else self._size]
            failed = self._deliver(batch, chance, chaos)
            self._waiting = failed + self._waiting[len(batch) :]

    def _deliver(
        self, batch: list[Mapping[str, Any]], chance: random.Random | None, chaos: float
    ) -> list[Mapping[str, Any]]:
        """Returns the records that must be delivered again."""
        self.deliveries += 1
        killer = None
        if chance is not None and chance.random() < chaos:
            killer = threading.Timer(chance.uniform(0, 0.15), self._function.kill_any)
            killer.start()
        try:
            answer = self._function.invoke(json.dumps({"Records": batch}).encode())
        except Busy:
            time.sleep(0.05)
            return batch
        finally:
            if killer is not None:
                killer.join()
        if answer.error or (chance is not None and chance.random() < chaos):
            return batch
        failed = {each["itemIdentifier"] for each in json.loads(answer.payload)["batchItemFailures"]}
        return [record for record in batch if _identifier(record) in failed]


def _identifier(record: Mapping[str, Any]) -> str:
    if record["eventSource"] == "aws:dynamodb":
        return str(record["dynamodb"]["SequenceNumber"])
    return str(record["messageId"])
