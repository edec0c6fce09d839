"""The directive `@live` of queries, as GraphQL Yoga and Envelop have it.

query Inbox($to: Int!) @live(throttle: 500) { findManyMessage(where: { toId: $to }) { id subject } }
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

from graphql.language import OperationDefinitionNode

from lamdb.errors import VariablesInvalid
from lamdb.graphql.document.values import Variable, literal
from lamdb.graphql.schema.directives import LIVE

LONGEST_THROTTLE: Final = 60_000
"""Milliseconds."""

_MENTION: Final = re.compile(r"@(?:[\s,\ufeff]++|#[^\n\r]*+)*+live\b")


class Wish(NamedTuple):
    """A client's wish to follow a query; `throttle`: seconds between two results."""

    throttle: float = 0.0


class Live:
    """The directive of one operation, whose arguments may be variables."""

    __slots__ = ("_if", "_throttle")

    def __init__(self, condition: Any, throttle: Any) -> None:
        self._if = condition
        self._throttle = throttle

    @classmethod
    def of(cls, node: OperationDefinitionNode) -> Self | None:
        """Returns None for an operation without the directive."""
        for directive in node.directives:
            if directive.name.value == LIVE.name:
                given = {each.name.value: literal(each.value) for each in directive.arguments}
                return cls(given.get("if", True), given.get("throttle"))
        return None

    def wish(self, variables: Mapping[str, Any]) -> Wish | None:
        """Returns None if the directive is switched off. Raises `VariablesInvalid`."""
        if not _value(self._if, variables, default=True):
            return None
        throttle = _value(self._throttle, variables, default=None) or 0
        if not 0 <= throttle <= LONGEST_THROTTLE:
            raise VariablesInvalid(
                f"`throttle` of @live is {throttle}; it can be 0 to {LONGEST_THROTTLE} milliseconds."
            )
        return Wish(throttle / 1000)


def mentions(text: str) -> bool:
    """True if a document may have the directive: it may also stand in a comment or a string."""
    return _MENTION.search(text) is not None


def _value(given: Any, variables: Mapping[str, Any], *, default: Any) -> Any:
    if isinstance(given, Variable):
        return variables.get(given.name, default)
    return given
