"""Logs and metrics of a function: JSON lines by Powertools' Logger, metrics in CloudWatch's embedded format.

Neither holds what clients sent or the database has: only names, counts, sizes, times and error codes.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from lamdb.errors import LamdbError

_NAMESPACE: Final = "lamDB"


class Unit(StrEnum):
    COUNT = "Count"
    BYTES = "Bytes"
    MILLISECONDS = "Milliseconds"


class Observer:
    """Logs and counts for one execution environment."""

    def __init__(self, service: str) -> None:
        """`service` is what the function is called where `POWERTOOLS_SERVICE_NAME` does not say."""
        name = os.environ.get("POWERTOOLS_SERVICE_NAME", service)
        self.logger = Logger(service=name)
        self._metrics = Metrics(
            namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", _NAMESPACE), service=name
        )
        self._is_cold = True

    def count(self, name: str, value: float = 1, unit: Unit = Unit.COUNT) -> None:
        """Adds to a metric of this invocation."""
        self._metrics.add_metric(name=name, unit=unit.value, value=value)

    @contextmanager
    def invocation(self, context: Any) -> Iterator[None]:
        """Everything logged inside carries the invocation's id; its metrics are written at the end."""
        self.logger.append_keys(
            function_request_id=getattr(context, "aws_request_id", None), cold_start=self._is_cold
        )
        try:
            yield
        finally:
            self._is_cold = False
            self.logger.remove_keys(["correlation_id"])
            if self._metrics.metric_set:
                self._metrics.flush_metrics()

    def failed(self, error: LamdbError) -> None:
        """Logs what a request came to. The message of a refusal may quote the request, so only its code is
        logged."""
        if error.status < 500:
            self.logger.info("request refused", extra={"code": error.code})
        else:
            self.logger.error("request failed", extra={"code": error.code, "reason": error.message})

    def correlate(self, correlation_id: str | None) -> None:
        """The id of a client's request in the logs of every function that it reached."""
        self.logger.append_keys(correlation_id=correlation_id)

    def adopt_library_logs(self) -> None:
        """From now on lamDB's own log lines are written in the same way. For the whole process."""
        library = logging.getLogger("lamdb")
        library.handlers = [self.logger.registered_handler]
        library.setLevel(self.logger.log_level)
        library.propagate = False
