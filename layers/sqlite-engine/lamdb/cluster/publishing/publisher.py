"""Publishes the change feed to an event bus of EventBridge, each change at least once, in the feed's order.

One call reads on from the cursor in `progress`, sends batches, and notes the cursor after each. Calls come
with commits and from a schedule. A call that finds another one at work leaves the changes to that one, which
looks for newer ones after it has given the object free. So a change is published by a call that began before
its commit, or by one that began after it.

If the feed no longer has changes, the event `Changes missing` tells consumers to read the records anew.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from lamdb.cluster.aws.events_api import EventsApi, EventsRefused
from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.publishing.delivery import deliver
from lamdb.cluster.publishing.entries import Entries, Event, batches
from lamdb.cluster.publishing.progress import LEASE_SECONDS, Overtaken, Progress, ProgressObject
from lamdb.errors import ChangesNotKept, NoSchema, NotPublished, StorageError
from lamdb.graphql.apis import Apis
from lamdb.graphql.execution.changes_run import ChangeFeed
from lamdb.storage import Database
from lamdb.storage.budget import Deadline

_PAGE: Final = 500
"""Changes that are read at a time."""
_MARGIN_SECONDS: Final = 10.0
"""The end of a lease in which no attempt begins: the last one may take 7 seconds."""

START: Final = "START"
NOT_KEPT: Final = "NOT_KEPT"
OTHER_DATABASE: Final = "OTHER_DATABASE"
"""The reasons of gaps."""

log = logging.getLogger("lamdb.publisher")


@dataclass(slots=True)
class PublishReport:
    """The work of one call.

    - `published`: changes; `cut`: those of them that were sent without their values.
    - `gaps`: events that changes are missing.
    - `busy`: another publisher was at work. `finished`: all changes up to now are published.
    """

    published: int = 0
    cut: int = 0
    gaps: int = 0
    cursor: str = ""
    busy: bool = False
    finished: bool = False


@dataclass(frozen=True, slots=True)
class _Page:
    """Events to publish, and the cursor after them."""

    events: Sequence[Event]
    next: str
    more: bool
    is_gap: bool = False


class _Turn:
    """The time for which a publisher has the object. It is given free at the end, also after an error."""

    def __init__(self, progress: ProgressObject, found: Progress) -> None:
        self._progress = progress
        self.state = found

    def note(self, cursor: str, *, over: bool) -> None:
        """Raises `Overtaken`, `StoreUnavailable`."""
        state = replace(self.state, cursor=cursor)
        self.state = self._progress.replace(state.released() if over else state.extended())

    def __enter__(self) -> Self:
        self.state = self._progress.replace(self.state.taken())
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not self.state.publisher or isinstance(error, Overtaken):
            return
        try:
            self._progress.replace(self.state.released())
        except (Overtaken, StorageError) as failure:
            # The next publisher waits for the end of the lease.
            log.warning("could not release the cursor", extra={"reason": str(failure)})


class Publisher:
    """Publishes the changes of one database. One call at a time."""

    def __init__(
        self,
        database: Database,
        apis: Apis,
        progress: ProgressObject,
        api: EventsApi,
        entries: Entries,
        models: Sequence[str] = (),
    ) -> None:
        """`models`: only their changes; all if there are none."""
        self._database = database
        self._apis = apis
        self._progress = progress
        self._api = api
        self._entries = entries
        self._models = models
        self._feed: tuple[str, ChangeFeed] | None = None
        self._is_unseen = False
        """True if the bus could not be looked for, such as one of another account."""

    def publish(self, deadline: Deadline) -> PublishReport:
        """Publishes until nothing is left, or until the deadline.

        Raises `NotPublished` if the bus does not take an event, `StorageError`.
        """
        report = PublishReport()
        while not report.finished and not report.busy and deadline.remaining():
            try:
                self._round(report, deadline)
            except Overtaken:
                report.busy = True
        return report

    def _round(self, report: PublishReport, deadline: Deadline) -> None:
        """Publishes what there is at its beginning, with the object taken for so long."""
        # In this order: a cursor that another publisher has noted is not ahead of what is seen then.
        found = self._progress.read() or Progress("")
        self._database.refresh()
        report.cursor = found.cursor
        if found.is_taken():
            report.busy = True
            return
        page = self._read(found.cursor)
        if page is None or (not page.events and page.next == found.cursor):
            report.finished = True
            return
        self._require_bus()
        with _Turn(self._progress, found) as turn:
            while page is not None:
                self._send(page, turn, report, deadline)
                if not page.more or not deadline.remaining():
                    break
                page = self._read(turn.state.cursor)

    def _require_bus(self) -> None:
        """Raises `NotPublished` if there is no such bus: its events would be accepted, and lost."""
        bus = self._entries.bus
        try:
            found = self._api.has_bus(bus)
        except (Unreachable, AnswerLost, EventsRefused) as error:
            if not self._is_unseen:
                log.warning("cannot find out whether the event bus exists", extra={"reason": str(error)})
            self._is_unseen = True
            return
        if not found:
            raise NotPublished(
                f"there is no event bus {bus}",
                hint="Create the bus, or correct PublishChanges (LAMDB_PUBLISH_BUS).",
            )

    def _send(self, page: _Page, turn: "_Turn", report: PublishReport, deadline: Deadline) -> None:
        """Sends a page, and notes the cursor after each batch and after the page."""
        sent = list(batches(page.events))
        for number, batch in enumerate(sent, 1):
            ends = Deadline.after(LEASE_SECONDS - _MARGIN_SECONDS).earlier(deadline)
            report.cut += deliver(self._api, batch, ends.remaining)
            report.gaps += page.is_gap
            report.published += 0 if page.is_gap else len(batch)
            report.cursor = page.next if number == len(sent) else batch[-1].cursor
            over = not deadline.remaining() or (number == len(sent) and not page.more)
            turn.note(report.cursor, over=over)
            if over:
                return
        if not sent:
            report.cursor = page.next
            turn.note(page.next, over=not page.more)

    def _read(self, since: str) -> _Page | None:
        """The next events; None if no changes are recorded. `since`: empty for the beginning."""
        lease = self._database.reader()
        with lease as connection:
            try:
                served = self._apis.at(connection, lease.txid)
            except NoSchema:
                return None  # no migration was deployed yet
            if self._feed is None or self._feed[0] != served.stored.hash:
                self._feed = served.stored.hash, ChangeFeed(served.api.types.changes())
                self._warn_of_unknown()
            feed = self._feed[1]
            if not feed.models:
                return None
            try:
                present = feed.page(connection, None, (), 1).next
                if not since:
                    return self._gap(present, None, START)
                if _txid(since) > lease.txid:
                    return self._gap(present, since, OTHER_DATABASE)
                models = [name for name in feed.models if not self._models or name in self._models]
                page = feed.page(connection, since, models, _PAGE)
            except ChangesNotKept as error:
                if "start" not in error.meta:
                    return None  # recording begins with the next write
                return self._gap(present, since, NOT_KEPT)
        return _Page([self._entries.of_change(each) for each in page.changes], page.next, page.more)

    def _gap(self, cursor: str, since: str | None, reason: str) -> _Page:
        log.warning("changes are missing", extra={"since": since, "cursor": cursor, "reason": reason})
        return _Page([self._entries.of_gap(since, cursor, reason)], cursor, more=False, is_gap=True)

    def _warn_of_unknown(self) -> None:
        assert self._feed is not None
        unknown = sorted(set(self._models) - set(self._feed[1].models))
        if unknown:
            log.error("models that are to be published are not recorded", extra={"models": unknown})


def _txid(cursor: str) -> int:
    return int(cursor.partition(".")[0])
