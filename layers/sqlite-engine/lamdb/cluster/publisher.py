"""The publisher: sends the changes of the database to an event bus. It reads as a reader does."""

import os
from dataclasses import asdict
from typing import Any

from lamdb.cluster.aws.events_api import EventsApi
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.function_settings import function_settings
from lamdb.cluster.invocation.events import OperatorCommand
from lamdb.cluster.publishing.entries import Entries
from lamdb.cluster.publishing.progress import ProgressObject
from lamdb.cluster.publishing.publisher import Publisher
from lamdb.cluster.runtime import metrics
from lamdb.cluster.service import FunctionRole, Service
from lamdb.errors import LamdbError, SettingsError
from lamdb.storage.budget import Deadline
from lamdb.storage.stores.obstores import Obstore
from lamdb.storage.stores.url import open_store


class PublishTask:
    """Publishes for `publish_seconds`. A commit in the store and a schedule invoke it."""

    def __init__(self) -> None:
        self._publisher: Publisher | None = None

    def __call__(self, service: Service, command: OperatorCommand, deadline: Deadline) -> dict[str, Any]:
        """Raises what fails, so that the invocation fails and an alarm tells."""
        if self._publisher is None:
            self._publisher = _publisher(service)
        try:
            report = self._publisher.publish(
                deadline.earlier(Deadline.after(service.settings.publish_seconds))
            )
        except LamdbError as error:
            service.observer.failed(error)
            service.observer.count(metrics.OPERATION_ERRORS)
            raise
        if report.published:
            service.observer.count(metrics.CHANGES_PUBLISHED, report.published)
        if report.gaps:
            service.observer.count(metrics.PUBLISHING_GAPS, report.gaps)
        return asdict(report)


def _publisher(service: Service) -> Publisher:
    """Raises `SettingsError`."""
    settings = service.settings
    if not settings.publish_bus:
        raise SettingsError("LAMDB_PUBLISH_BUS names no event bus to publish to")
    store = open_store(settings.require_store())
    if not isinstance(store, Obstore):
        raise SettingsError(
            f"changes of {store.url} cannot be published: the store does not replace objects conditionally",
            hint="Keep the database in S3.",
        )
    return Publisher(
        service.database,
        service.apis,
        ProgressObject(store),
        EventsApi(Access.find(service="events")),
        Entries(store.url, settings.publish_bus, settings.publish_source),
        settings.publish_models,
    )


def role() -> FunctionRole:
    return FunctionRole("publisher", "/publisher", read_only=True, tasks={"publish": PublishTask()})


def service() -> Service:
    """The publisher of this execution environment, warmed up."""
    made = Service(role(), function_settings(os.environ))
    made.warm_up()
    return made
