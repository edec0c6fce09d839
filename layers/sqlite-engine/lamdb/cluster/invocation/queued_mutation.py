"""The message for a mutation that goes through a queue, written by the proxy and read by the writer.

    {"lamdb": {"write": {"key": "…", "attempt": "…", "query": "…", "variables": {…}, "operationName": "…",
                         "proxys": false, "deadline": 1767225600.5}}}

The same JSON is the body of an SQS message and the payload of an asynchronous invocation.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from lamdb.errors import EventError
from lamdb.graphql.digests import digest
from lamdb.graphql.request import GraphQLRequest
from lamdb.rules.caller import read_caller, written_caller

LIMIT: Final = 1_000_000
"""Bytes. A message of SQS may have 1 MiB, and the payload of an asynchronous invocation what AWS calls 1 MB:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

SOURCE: Final = "lamdb"
"""The source name of a write that came by an invocation."""

_ESCAPED: Final = {ord(each): f"\\u{ord(each):04x}" for each in "\x7f\ufffe\uffff"}
"""Characters of JSON texts that SQS may refuse, as JSON can write them otherwise."""


@dataclass(frozen=True, slots=True)
class Write:
    """- `key`: the idempotency key; made by the proxy if `proxys`, else by the client.
    - `attempt`: tells this sending from another one under the same key.
    - `deadline`: seconds since 1970, after which the mutation is not begun any more; None: never.
    """

    key: str
    attempt: str
    request: GraphQLRequest
    proxys: bool = False
    deadline: float | None = None

    @classmethod
    def of(cls, members: Any) -> Self:
        """Raises `EventError`."""
        try:
            request = GraphQLRequest(
                members["query"],
                members.get("variables"),
                members.get("operationName") or None,
                caller=read_caller(members.get("caller")),
            )
            deadline = members.get("deadline")
            write = cls(
                members["key"],
                members["attempt"],
                request,
                bool(members.get("proxys")),
                None if deadline is None else float(deadline),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise EventError("The message does not contain a write.") from error
        texts = (write.key, write.attempt, request.query, request.operation_name or "")
        if not all(isinstance(each, str) for each in texts) or not isinstance(request.variables, dict | None):
            raise EventError("The message does not contain a write.")
        return write

    @property
    def group(self) -> str:
        """The message group: what has the same key stays in order, all else does not wait for each other."""
        return digest(self.key.encode()).hex()

    def written(self) -> str:
        """The JSON of the message."""
        members = {
            "key": self.key,
            "attempt": self.attempt,
            "query": self.request.query,
            "variables": self.request.variables,
            "operationName": self.request.operation_name,
            "proxys": self.proxys,
            "deadline": self.deadline,
            "caller": written_caller(self.request.caller),
        }
        return orjson.dumps({"lamdb": {"write": members}}).decode().translate(_ESCAPED)
