"""The output shape of a plan, which a caller may choose: keys, their order, and their selected fields.

Prisma's JSON protocol selects each field of a model once, under its own name. GraphQL answers are keyed by
response key (alias or field name), in document order, may repeat a field under several aliases, and contain
constants such as `__typename`. A `Shape` describes the wanted object, and `Plan.shaped(shape)` builds it
directly from the rows, so the result needs no second pass::

    # { posts: findManyPost { __typename  id  name: title  author { email } } }
    Shape.of(
        Constant("__typename", "Post"),
        Field("id", "id"),
        Field("name", "title"),
        Nested("author", "author", Shape.of(Field("email", "email"))),
    )

Rules:

- A shape describes *one* object; the plan determines lists and nulls. `Nested` over a to-many relation
  yields a list of shaped objects, over an absent to-one relation null.
- `source` is the name the field has in the request's `selection` (the schema's field name, never the column):
  a scalar, enum or JSON field for `ScalarOutput`; a relation, `_count`, `_avg`, `_sum`, `_min` or `_max` for
  `Nested`. The result of an `…Many` mutation is one object with the field `count`.
- Keys have the order of `fields`. A source that the plan does not return raises `KeyError` when the
  shape is bound to the plan, never while rows are read.
- Shapes are immutable and hashable; a plan remembers the shapes it was bound to.

Raw queries (`queryRaw`, `executeRaw`) have no shape.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScalarOutput:
    """One scalar of the record, under `key`."""

    key: str
    source: str


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every object (`__typename`). The value must be JSON-ready."""

    key: str
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Nested:
    """An object, or a list of them, or null, each built by `shape`."""

    key: str
    source: str
    shape: "Shape"


type Part = ScalarOutput | Constant | Nested


@dataclass(frozen=True, slots=True)
class Shape:
    """The keys of one output object, in order."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, *parts: Part) -> "Shape":
        return cls(parts)


def multiplies(shape: Shape) -> bool:
    """True if an object of this shape may hold a value twice, or one that other objects hold too."""
    sources = [part.source for part in shape.parts if isinstance(part, ScalarOutput)]
    nested = any(isinstance(part, Nested) for part in shape.parts)
    return nested or len(set(sources)) < len(sources)
