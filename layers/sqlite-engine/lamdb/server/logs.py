"""Logs: one line per event, as JSON for machines or coloured for people. Values of the data are never logged.

Modules log with the standard library: `log.info("what happened", extra={…})`. This decides how it looks.
"""

import logging
import sys
from contextvars import ContextVar
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current thread or task is answering."""

_NOISY: Final = {"_granian": logging.WARNING, "granian": logging.ERROR, "asyncio": logging.WARNING}


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (standard error); `form` is `human`, `json` or `auto`."""
    stream = stream or sys.stderr
    human = form == "human" or (form == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _add_request_id,
    ]
    final: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if human:
        final += [structlog.processors.TimeStamper("%H:%M:%S", utc=False), _human(stream)]
    else:
        final += [
            structlog.processors.TimeStamper("iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=final))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, root.level))


def _human(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if (current := request_id.get()) is not None:
        event.setdefault("request_id", current)
    return event


def fields(**values: Any) -> dict[str, Any]:
    """The `extra` of a log call, without what is None."""
    return {name: value for name, value in values.items() if value is not None}
