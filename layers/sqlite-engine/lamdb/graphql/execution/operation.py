"""What an operation is compiled into: a request template for each root field, and the shape of its answer."""

from dataclasses import dataclass
from typing import Any

from lamdb.errors import LamdbError
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.document.values import Bound, Composite
from lamdb.prisma.query.engine import Template
from lamdb.prisma.query.plan import Plan, Shape

type Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A further read for records that a request has found.

    `path` leads from the result to the records, by field names. For each of them `model` is read by
    `identity` with `selection`, and what lies at `inner` + `source` in the answer is put into the record at
    `inner` + `slot`.
    """

    path: tuple[str, ...]
    model: str
    identity: tuple[str, ...]
    inner: tuple[str, ...]
    source: str
    slot: str
    selection: dict[str, Any]
    children: tuple["FollowUp", ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """A value that a request leaves open: `key` names it there, `source` makes it of the variables."""

    key: str
    source: Bound | Composite


@dataclass(slots=True)
class DataRoot:
    """A root field that Prisma answers."""

    key: str
    nullable: bool
    locations: list[dict[str, int]]
    request: Request
    """Complete but for the engine's `Variable`s, one for each of `bindings`."""
    bindings: tuple[Binding, ...]
    shape: Shape | None
    """`None` for raw queries, whose answer is JSON as it is."""
    follow_ups: tuple[FollowUp, ...]
    action: str
    template: Template | None = None
    """The engine's plans for the request; made when it first runs."""
    constant: tuple[Plan, dict[str, Any]] | None = None
    """The plan and values of a request without variables; made when it first runs."""


@dataclass(frozen=True, slots=True)
class FailedRoot:
    """A root field that cannot be a request, whatever the variables: Prisma's values do not allow it."""

    key: str
    nullable: bool
    locations: list[dict[str, int]]
    error: LamdbError


@dataclass(frozen=True, slots=True)
class ConstantRoot:
    """`__typename` of the root."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class IntrospectionRoot:
    """`__schema` or `__type`."""

    key: str
    locations: list[dict[str, int]]
    selected: Selected
    collector: Collector


type Root = DataRoot | FailedRoot | ConstantRoot | IntrospectionRoot
