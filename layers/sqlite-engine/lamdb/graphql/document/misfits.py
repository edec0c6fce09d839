"""Why an input object is of none of the types that its place takes."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from graphql.pyutils import did_you_mean, suggestion_list

from lamdb.graphql.schema.types import InputType, Member

_LONGEST_NAME: Final = 100
"""Characters of a client's name that are repeated, and compared with names of the schema."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """One fault of an object.

    - `unknown`: the field that none of the types has.
    - `missing`: a type, and its required field that the object lacks.
    """

    message: str
    unknown: str | None = None
    missing: tuple[str, str] | None = None


def fits(made: InputType, given: Collection[str]) -> bool:
    """True if a type has all the fields of an object, and the object all that the type requires."""
    return all(name in made.fields for name in given) and all(name in given for name in made.required)


def misfits(given: Collection[str], types: Sequence[InputType], shown: Member | None) -> Iterator[Misfit]:
    """The faults of an object that none of `types` fits: unknown fields, else a mixture, else missing ones.

    `given`: the names of its fields. `shown`: the type that the SDL shows for the place.
    """
    best = next((made for made in types if shown and made.name == shown.name), types[0])
    unknown = [name for name in given if not any(name in made.fields for made in types)]
    for name in unknown:
        written = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."
        suggestions = did_you_mean(suggestion_list(written, list(best.fields)))
        yield Misfit(f"Field '{written}' is not defined by type '{best.name}'.{suggestions}", unknown=name)
    if unknown:
        return
    candidates = [made for made in types if all(name in made.fields for name in given)]
    if not candidates:
        names = ", ".join(f"'{name}'" for name in given)
        choice = " or ".join(f"'{made.name}'" for made in types)
        yield Misfit(f"The fields {names} do not stand together in {choice}.")
        return
    if best not in candidates:
        best = candidates[0]
    for name in best.required:
        if name not in given:
            wanted = best.fields[name].type
            message = f"Field '{best.name}.{name}' of required type '{wanted}' was not provided."
            yield Misfit(message, missing=(best.name, name))
