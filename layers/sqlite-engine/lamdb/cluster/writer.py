"""The writer: answers mutations, and queries sent to it; applies events; keeps the store in order."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lamdb.cluster.function_settings import function_settings
from lamdb.cluster.invocation.events import OperatorCommand
from lamdb.cluster.runtime import metrics
from lamdb.cluster.runtime.observability import Unit
from lamdb.cluster.service import FunctionRole, Service
from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE
from lamdb.storage import Database
from lamdb.storage.budget import Deadline
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.compaction import plan_merges
from lamdb.storage.maintenance.retention import RetentionPolicy
from lamdb.storage.maintenance.transient import remove_transient

if TYPE_CHECKING:
    from lamdb.cluster.sources.batches import BatchReport
    from lamdb.cluster.sources.draining import Draining
    from lamdb.search.upkeep import SearchUpkeep


class Applying:
    """Events of other services: their code is loaded with the first one."""

    def __init__(self) -> None:
        self._apply: Callable[[Mapping[str, Any], Deadline], BatchReport] | None = None
        self._draining: Draining | None = None

    def drain(self, service: Service, contended: bool) -> None:
        """Executes what waits in the queue, if anything probably does. `contended`: as the proxy says."""
        if not service.settings.write_queue or not (contended or self._draining):
            return
        if self._draining is None:
            self._apply = self._of(service)
        assert self._draining is not None
        drained = self._draining.drain(contended)
        if drained:
            service.observer.logger.info("drained the queue", extra={"writes": drained})

    def __call__(self, service: Service, event: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """The answer to the service that brought them. Raises what makes it bring them again."""
        if self._apply is None:
            self._apply = self._of(service)
        report = self._apply(event, deadline)
        service.observer.count(metrics.EVENTS_APPLIED, report.applied)
        service.observer.count(metrics.EVENTS_REPEATED, report.repeated)
        service.observer.count(metrics.EVENTS_SET_ASIDE, report.set_aside)
        counts = {"applied": report.applied, "repeated": report.repeated, "set_aside": report.set_aside}
        service.observer.logger.info("applied events", extra=counts)
        return report.answer

    def _of(self, service: Service) -> "Callable[[Mapping[str, Any], Deadline], BatchReport]":
        from lamdb.cluster.sources.batches import Batches
        from lamdb.cluster.sources.deadletters import DeadLetterQueue
        from lamdb.cluster.sources.writes import Terms

        settings = service.settings
        letters = DeadLetterQueue(settings.dead_letters) if settings.dead_letters else None
        options = service.options
        batches = Batches(
            service.database,
            service.apis,
            letters,
            fenced_retries=settings.fenced_retries,
            terms=Terms(options.costs, options.idempotency_seconds, options.room, service.rate),
        )
        if not settings.write_queue:
            return lambda event, _: batches.apply(event)
        from lamdb.cluster.sources.draining import Draining

        self._draining = Draining.of(batches, settings.write_queue)
        return self._draining.apply


class MaintenanceTask:
    """Maintenance in slices: each call continues where the last one of this environment ended."""

    def __init__(self) -> None:
        self._maintenance: Maintenance | None = None
        self._searches: SearchUpkeep | None = None

    def __call__(self, service: Service, command: OperatorCommand, deadline: Deadline) -> dict[str, Any]:
        """Works for `maintenance_seconds`. Writes wait at the proxy meanwhile."""
        settings = service.settings
        service.database.refresh()
        pages = service.database.pages
        if self._maintenance is None:
            policy = RetentionPolicy.from_settings(settings)
            self._maintenance = Maintenance(pages, policy)
        if self._searches is None:
            # Imported here, as the writer starts to answer a mutation and mostly never gets here.
            from lamdb.search.upkeep import SearchUpkeep

            self._searches = SearchUpkeep(service.database)
        self._searches(settings.maintenance_seconds / 2)
        report = self._maintenance.run(settings.maintenance_seconds)
        if settings.sql:
            remove_transient(pages)
        waiting = sum(len(merge.inputs) for merge in plan_merges(pages.replica.files()))
        service.observer.count(metrics.UNCOMPACTED_FILES, waiting)
        service.observer.count(metrics.MIGRATIONS_APPLIED, applied_migrations(service.database))
        service.observer.count(metrics.DATABASE_SIZE, pages.head.commit * pages.head.page_size, Unit.BYTES)
        return {
            "finished": report.work.finished,
            "merges": report.work.merges,
            "bytes_written": report.work.bytes_written,
            "deleted": len(report.pruned),
            "uncompacted": waiting,
        }


def applied_migrations(database: Database) -> int:
    """How many migrations the database has; 0 if its tables were not made by any."""
    with database.reader() as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (MIGRATIONS_TABLE,)).get:
            return 0
        applied = connection.execute(
            f"SELECT count(*) FROM {MIGRATIONS_TABLE} WHERE finished_at NOTNULL AND rolled_back_at ISNULL"
        )
        return int(applied.get)


def role() -> FunctionRole:
    applying = Applying()
    return FunctionRole(
        "writer",
        "/writer",
        read_only=False,
        tasks={"maintenance": MaintenanceTask()},
        applies=applying,
        afterwards=applying.drain,
    )


def service() -> Service:
    """The writer of this execution environment, warmed up."""
    made = Service(role(), function_settings(os.environ))
    # What the first write would have to wait for: does the store create only what is not there?
    made.database.pages.replica.prepare_commits()
    made.warm_up()
    return made
