"""The API's schema as text, in GraphQL's schema definition language."""

from graphql import print_schema

from lamdb.graphql.schema.lazy import LazySchema
from lamdb.graphql.schema.types import ApiTypes


def render(types: ApiTypes) -> str:
    """The complete SDL: the root types, the models, and every other type, documented where the schema is.

    It takes 0.2 s at 30 models (840 KB), so compute it once for a schema.
    """
    return print_schema(LazySchema(types)) + "\n"
