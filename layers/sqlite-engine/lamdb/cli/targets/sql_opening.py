"""Opens the target of SQL: a store in this process, or the SQL endpoint of a remote lamDB."""

from collections.abc import Iterator
from contextlib import contextmanager

from lamdb.cli.options import Located
from lamdb.cli.targets.sql import SqlTarget
from lamdb.errors import UsageError


@contextmanager
def open_sql_target(located: Located) -> Iterator[SqlTarget]:
    """Raises `UsageError`, `SettingsError`, `StorageError`, `RemoteError`."""
    target = _make(located)
    try:
        yield target
    finally:
        target.close()


def _make(located: Located) -> SqlTarget:
    settings = located.settings
    url = settings.url
    if settings.function:
        raise UsageError(
            "SQL is not executed by invoking a function",
            hint="Give --store, or --url or --stack of a lamDB that serves SQL over HTTP.",
        )
    if settings.stack:
        from lamdb.cli.targets.stack import url_of

        url = url_of(settings.stack)
    if url:
        from lamdb.cli.targets.http import HttpTarget

        return HttpTarget(url, token=settings.token, api_key=settings.api_key, sign=located.sign)
    from lamdb.cli.targets.sql_store import SqlStoreTarget

    return SqlStoreTarget(settings)
