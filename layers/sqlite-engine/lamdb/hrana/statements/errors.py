"""Errors in the form in which the protocol reports them, with SQLite's codes."""

from collections.abc import Mapping
from typing import Any, Final

import apsw

from lamdb.errors import Fenced, LamdbError, ReadOnly, RequestError, StorageError, TransactionTooLarge

_NAMES: Final[Mapping[Any, Any]] = apsw.mapping_result_codes
_EXTENDED: Final[Mapping[Any, Any]] = apsw.mapping_extended_result_codes

_OF_STORAGE: Final[Mapping[type[LamdbError], str]] = {
    Fenced: "SQLITE_BUSY",
    ReadOnly: "SQLITE_READONLY",
    TransactionTooLarge: "SQLITE_FULL",
}


class SqlFailure(Exception):
    """The failure of one statement that is not SQLite's own."""

    def __init__(self, message: str, code: str, extended_code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.extended_code = extended_code


def busy(message: str, extended_code: str | None = None) -> SqlFailure:
    """Returns the failure after which a client does well to begin its transaction again."""
    return SqlFailure(message, "SQLITE_BUSY", extended_code)


def refused(message: str) -> SqlFailure:
    """Returns the failure of a statement that the caller may not execute."""
    return SqlFailure(message, "SQLITE_AUTH")


def error_object(error: Exception) -> dict[str, Any]:
    """Returns the error object of a statement's failure; what is no such failure is raised again."""
    if isinstance(error, SqlFailure):
        return _object(error.message, error.code, error.extended_code)
    if isinstance(error, apsw.Error):
        return _of_sqlite(error)
    for kind, code in _OF_STORAGE.items():
        if isinstance(error, kind):
            return _object(error.message, code, None)
    raise error


def is_failure(error: Exception) -> bool:
    """True if `error` is one that the protocol reports as the result of a statement."""
    return isinstance(error, (SqlFailure, apsw.Error, *_OF_STORAGE))


def _of_sqlite(error: apsw.Error) -> dict[str, Any]:
    if isinstance(error, apsw.BindingsError):
        return _object(str(error), "ARGS_INVALID", None)
    is_busy = isinstance(error, apsw.BusyError)
    number = getattr(error, "extendedresult", apsw.SQLITE_BUSY if is_busy else apsw.SQLITE_ERROR)
    code = str(_NAMES.get(number & 255, "SQLITE_ERROR"))
    extended = _EXTENDED.get(number)
    message = str(error)
    if not message.startswith("SQLite "):
        message = f"SQLite error: {message}"
    return _object(message, code, None if extended is None else str(extended))


def _object(message: str, code: str, extended_code: str | None) -> dict[str, Any]:
    made = {"message": message, "code": code}
    if extended_code is not None:
        made["extended_code"] = extended_code
    return made


def in_band(error: StorageError) -> SqlFailure | None:
    """Returns the failure of a statement whose commit the store refused; None if none can be told."""
    for kind, code in _OF_STORAGE.items():
        if isinstance(error, kind):
            return SqlFailure(error.message, code)
    return None


class StreamError(RequestError):
    """The stream of a baton cannot be continued."""

    hint = "Open a new stream and begin the transaction again."


class StreamExpired(StreamError):
    """It was idle, or in a transaction, for too long: the transaction was rolled back."""

    code = "STREAM_EXPIRED"
    status = 410


class StreamLost(StreamError):
    """It was of a server process that is gone: the transaction was rolled back."""

    code = "STREAM_LOST"
    status = 410


class StreamNotFound(StreamError):
    """Nothing is known of it, or its baton is not the newest."""

    code = "STREAM_NOT_FOUND"
    status = 404
