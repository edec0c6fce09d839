"""The interface of a target: the requests that commands send to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

GRAPHQL: Final = "/graphql"
OPERATOR: Final = "/admin/graphql"

type Response = dict[str, Any]
"""A response of GraphQL: `data`, `errors`, `extensions`."""


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
