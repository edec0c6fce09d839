"""Where a command works: on a store, opened in this process, or on a lamDB elsewhere.

    with open_target(located) as target:
        response = target.ask(OPERATOR, Question("{ database { txid } }"))

`store`, `http` and `functions` are the ways; `stack` finds functions by their CloudFormation stack. None is
loaded before it is needed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lamdb.cli.options import Located

GRAPHQL: Final = "/graphql"
OPERATOR: Final = "/admin/graphql"

type Response = dict[str, Any]
"""What GraphQL answers: `data`, `errors`, `extensions`."""


@dataclass(frozen=True, slots=True)
class Question:
    """A GraphQL request; the names in `headers` are in lower case."""

    document: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """As GraphQL over HTTP sends it."""
        return {
            "query": self.document,
            "variables": dict(self.variables or {}),
            "operationName": self.operation_name,
        }


class Target(Protocol):
    """A way to a lamDB."""

    @property
    def name(self) -> str:
        """For people: `the stack shop`."""

    def ask(self, path: str, question: Question) -> Response:
        """The response of the endpoint at `path`, with errors in it or not.

        Raises `RemoteError`, `FunctionError`, `StorageError`, `RequestError` if there was none.
        """

    def close(self) -> None: ...


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
