"""The API's schema as text, in GraphQL's schema definition language."""

from collections.abc import Iterator

from graphql.type import is_introspection_type, is_specified_scalar_type
from graphql.utilities.print_schema import print_directive, print_schema_definition, print_type

from lamdb.graphql.schema.directives import LIVE
from lamdb.graphql.schema.lazy import InputObjectType, LazySchema
from lamdb.graphql.schema.types import ApiTypes


def render(types: ApiTypes) -> str:
    """The complete SDL: the root types, the models, and every other type, documented where the schema is.

    The same text as graphql-core's `print_schema`. It is large (840 KB at 30 models), so compute it once for
    a schema.
    """
    return "\n\n".join(_parts(LazySchema(types))) + "\n"


def _parts(schema: LazySchema) -> Iterator[str]:
    yield print_schema_definition(schema) or ""
    yield print_directive(LIVE)
    lines: dict[tuple[str, str], str] = {}
    for made in schema.type_map.values():
        if is_specified_scalar_type(made) or is_introspection_type(made):
            continue
        if isinstance(made, InputObjectType) and made.notations():
            yield _input_object(made, lines)
        else:
            yield print_type(made)


def _input_object(made: InputObjectType, lines: dict[tuple[str, str], str]) -> str:
    """The text of an input type; `lines` keeps those of fields, which many types have in common."""
    found = []
    for field in made.notations().items():
        line = lines.get(field)
        if line is None:
            line = lines[field] = f"  {field[0]}: {made.fields[field[0]].type}"
        found.append(line)
    return "\n".join([f"input {made.name} {{", *found, "}"])
