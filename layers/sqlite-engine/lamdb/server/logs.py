"""Logs: one line per event, JSON or coloured text; values of the data are never logged.

Modules log with the standard library: `log.info("what happened", extra={…})`. This decides how it looks.
"""

import logging
import sys
import time
from contextvars import ContextVar
from typing import Any, Final, TextIO

import orjson

from lamdb.server.rsgi import Scope

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that the current thread or task is answering."""

_log = logging.getLogger("lamdb.server")

_process: dict[str, str] = {}

_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET: Final = {"asyncio": logging.WARNING}
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def name_worker(name: str) -> None:
    """Adds the name of this process to its log lines, where a server has several."""
    _process["worker"] = name


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (standard error); `form` is `human`, `json` or `auto`."""
    stream = stream or sys.stderr
    human = form == "human" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(HumanFormatter(colours=stream.isatty()) if human else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))


class RequestLog:
    """Logs requests: those that fail or are slow, or all of them."""

    def __init__(self, slow_seconds: float, *, logs_all: bool) -> None:
        self._slow = slow_seconds
        self._logs_all = logs_all

    def note(
        self,
        method: str,
        path: str,
        status: int,
        size: int,
        code: str | None,
        seconds: float,
        *,
        follows: bool = False,
    ) -> None:
        """Logs an answered request, if it is to be logged.

        `size`: bytes of the body. `follows`: the client followed what was to come, which takes its time.
        """
        failed = status >= 500
        slow = seconds > self._slow and not follows
        if not (failed or slow or self._logs_all):
            return
        fields: dict[str, Any] = {
            "method": method,
            "path": path,
            "status": status,
            "ms": round(seconds * 1000, 1),
            "bytes": size,
        }
        if code is not None:
            fields["code"] = code
        message = "request failed" if failed else "slow request" if slow else "request"
        _log.log(logging.WARNING if failed or slow else logging.INFO, message, extra=fields)


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", …}` on one line; a stack, if there is one, in `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(event, default=str).decode()


class HumanFormatter(logging.Formatter):
    """`10:31:07 warning  what happened  name=value`."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower():8}"
        if self._colours:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        words = [time.strftime("%H:%M:%S", time.localtime(record.created)), level, record.getMessage()]
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = " ".join(words) + (f"  {fields}" if fields else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The `extra` of the log call, and the request that is being answered."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
    if (current := request_id.get()) is not None:
        fields["request_id"] = current
    fields.update(_process)
    return fields


def _iso(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{milliseconds:03}Z"


def where(scope: Scope) -> dict[str, Any]:
    """Returns the request for the log: neither its query nor its body, which hold values."""
    return {"method": scope.method, "path": scope.path}
