"""The result of compiling an operation: a request template for each root field, and the shape of its
answer."""

from dataclasses import dataclass, field
from typing import Any

from lamdb.errors import LamdbError
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.document.values import Bound, Composite
from lamdb.prisma.query.engine import PreparedTemplate
from lamdb.prisma.query.plan import Plan, Shape
from lamdb.search.definition import SearchDefinition

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
    """Complete but for the engine's `TemplateVariable`s, one for each of `bindings`."""
    bindings: tuple[Binding, ...]
    shape: Shape | None
    """`None` for raw queries, whose answer is JSON as it is."""
    follow_ups: tuple[FollowUp, ...]
    action: str
    template: PreparedTemplate | None = None
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


IDS = "ids"
"""The variable of a request that stands for the ids of the hits."""


@dataclass(slots=True)
class Records:
    """The reading of the records of one model's hits.

    `shapes` are the answers that are made of a record, one for each response name.
    """

    model: str
    identity: tuple[str, ...]
    columns: tuple[str, ...]
    """Those of `identity`."""
    selection: dict[str, Any]
    """With the values of the document left open."""
    request: Request
    """Reads records by `IDS`, if one field identifies them."""
    bindings: tuple[Binding, ...]
    shapes: tuple[Shape, ...]
    follow_ups: tuple[FollowUp, ...]
    template: PreparedTemplate | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """A text with its matches marked: `highlight`, or `snippet` if it has a number of words."""

    arguments: dict[str, Any]
    is_snippet: bool


@dataclass(frozen=True, slots=True)
class Output:
    """One response name: the field's name, and what is selected below it."""

    key: str
    name: str
    below: "tuple[Output, ...]" = ()
    number: int = 0
    """Index among the root's `marked` texts, or among the records' shapes."""
    type_name: str = ""
    model: str = ""
    """The model of a record in hits of several models."""


@dataclass(slots=True)
class SearchRoot:
    """A root field `searchPost`, or `search` if `definition` is None."""

    key: str
    locations: list[dict[str, int]]
    definition: SearchDefinition | None
    arguments: dict[str, Any]
    outputs: tuple[Output, ...]
    type_name: str
    marked: tuple[Marked, ...] = ()
    records: dict[str, Records] = field(default_factory=dict)
    """By model."""
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class ChangesRoot:
    """The root field `changes`."""

    key: str
    locations: list[dict[str, int]]
    arguments: dict[str, Any]
    outputs: tuple[Output, ...]
    nullable: bool = False


type Root = DataRoot | SearchRoot | ChangesRoot | FailedRoot | ConstantRoot | IntrospectionRoot
