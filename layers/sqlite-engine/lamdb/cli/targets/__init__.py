"""Targets of commands: a store that is opened in this process, or a remote lamDB.

    with open_target(located) as target:
        response = target.ask(OPERATOR, Question("{ database { txid } }"))

`store`, `http` and `functions` are the ways; `stack` finds functions by their CloudFormation stack. None is
loaded before it is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lamdb.cli.options import Located
from lamdb.cli.targets.target import Target


@contextmanager
def open_target(located: Located) -> Iterator[Target]:
    """Raises `SettingsError`, `StorageError`, `RemoteError`."""
    target = _make(located)
    try:
        yield target
    finally:
        target.close()


def _make(located: Located) -> Target:
    settings = located.settings
    if settings.url:
        from lamdb.cli.targets.http import HttpTarget

        return HttpTarget(settings.url, token=settings.token, api_key=settings.api_key, sign=located.sign)
    if settings.function:
        from lamdb.cli.targets.functions import FunctionTarget

        return FunctionTarget(f"the function {settings.function}", settings.function, settings.function)
    if settings.stack:
        from lamdb.cli.targets.stack import target

        return target(settings.stack)
    from lamdb.cli.targets.store import StoreTarget

    return StoreTarget(settings)
