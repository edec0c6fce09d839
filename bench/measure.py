"""Timing: contenders take turns on each request, so that whatever disturbs the machine disturbs all."""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median, quantiles

import orjson

from bench.contenders import Answer, Contenders
from bench.data import Size
from bench.workloads import Workload

_BODIES = 200
_WARM_UP = 20


class WrongAnswer(Exception):
    """A contender answers something else than the floor: its time would mean nothing."""


@dataclass(frozen=True)
class Timing:
    """Microseconds per request."""

    median: float
    p95: float
    count: int


@dataclass(frozen=True)
class Measurement:
    workload: Workload
    floor: Timing
    api: Timing
    http: Timing
    response_bytes: int

    @property
    def ratio(self) -> float:
        """The API's time in terms of the floor's."""
        return self.api.median / self.floor.median


def measure(workload: Workload, contenders: Contenders, size: Size, seconds: float) -> Measurement:
    """Check the answers, then time for about `seconds`. Raises WrongAnswer."""
    bodies = workload.bodies(size, _BODIES)
    answers = [contenders.floor, contenders.api, contenders.http]
    for body in bodies[:_WARM_UP]:
        _check(workload, body, [orjson.loads(answer(body)) for answer in answers])
    # Two by two: a third on the same pages as the second would find them in the processor's cache.
    floor, api = _take_turns(contenders.floor, contenders.api, bodies, seconds / 2)
    _, http = _take_turns(contenders.floor, contenders.http, bodies, seconds / 2)
    return Measurement(
        workload, _timing(floor), _timing(api), _timing(http), len(contenders.floor(bodies[0]))
    )


def _check(workload: Workload, body: bytes, answers: Sequence[dict[str, object]]) -> None:
    """All answers hold the same data; of a created row everything but its id, for each makes its own."""
    data = [answer.get("data") for answer in answers]
    if workload.name == "create":
        data = [_without_id(workload, one) for one in data]
    if any(one != data[0] for one in data):
        raise WrongAnswer(
            f"{workload.name}: {body.decode()}\n" + "\n".join(str(answer)[:500] for answer in answers)
        )


def _without_id(workload: Workload, data: object) -> object:
    if not isinstance(data, dict) or not isinstance(data.get(workload.field), dict):
        return data
    return {key: value for key, value in data[workload.field].items() if key != "id"}


def _take_turns(
    one: Answer, other: Answer, bodies: Sequence[bytes], seconds: float
) -> tuple[list[int], list[int]]:
    """Nanoseconds of every call of each."""
    times: tuple[list[int], list[int]] = ([], [])
    clock = time.perf_counter_ns
    gc.collect()
    gc.freeze()
    end = time.monotonic() + seconds
    for body in cycle(bodies):
        for answer, of_one in zip((one, other), times, strict=True):
            start = clock()
            answer(body)
            of_one.append(clock() - start)
        if time.monotonic() > end:
            break
    gc.unfreeze()
    return times


def _timing(nanoseconds: list[int]) -> Timing:
    p95 = quantiles(nanoseconds, n=20)[-1] if len(nanoseconds) > 1 else nanoseconds[0]
    return Timing(median(nanoseconds) / 1000, p95 / 1000, len(nanoseconds))
