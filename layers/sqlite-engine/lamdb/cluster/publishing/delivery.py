"""Delivers a batch of events to the bus: all of them, or an error."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from lamdb.cluster.aws.events_api import TRANSIENT, EventsApi, EventsRefused
from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.publishing.entries import Event
from lamdb.errors import NotPublished

_OF_CONTENT: Final = frozenset({"InvalidArgument", "MalformedDetail"})
"""Codes of events that may be accepted with another content."""
_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


def deliver(
    api: EventsApi,
    events: Sequence[Event],
    remaining: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Sends events until each is accepted. Returns how many were sent without their values.

    Those that were accepted are not sent again, unless the answer was lost. An event that EventBridge refuses
    for its content is sent with its key only. `remaining`: seconds for it. Raises `NotPublished`.
    """
    waiting = [(event.entry, event.cut) for event in events]
    shortened = sum(event.is_cut for event in events)
    code = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.0)
            if remaining() <= pause:
                break
            sleep(pause)
        try:
            codes = api.put([entry for entry, _ in waiting])
        except (Unreachable, AnswerLost) as error:
            code = str(error)
            continue
        except EventsRefused as error:
            code = error.code
            if not error.is_transient:
                break
            continue
        refused = [(code, *pair) for code, pair in zip(codes, waiting, strict=True) if code]
        if not refused:
            return shortened
        code = refused[0][0]
        final = [each for each in refused if each[0] not in TRANSIENT]
        if any(known not in _OF_CONTENT or entry is cut for known, entry, cut in final):
            break
        shortened += len(final)
        waiting = [(entry if known in TRANSIENT else cut, cut) for known, entry, cut in refused]
    raise NotPublished(f"EventBridge did not accept events: {code}", meta={"code": code})
