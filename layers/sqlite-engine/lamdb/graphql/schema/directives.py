"""The directives that lamDB adds to those of GraphQL."""

from typing import Final

from graphql.language import DirectiveLocation
from graphql.type import GraphQLArgument, GraphQLBoolean, GraphQLDirective, GraphQLInt

LIVE: Final = GraphQLDirective(
    "live",
    [DirectiveLocation.QUERY],
    {
        "if": GraphQLArgument(
            GraphQLBoolean, default_value=True, description="Without it, the query is answered once."
        ),
        "throttle": GraphQLArgument(
            GraphQLInt, description="Milliseconds that are at least between two results."
        ),
    },
    description=(
        "Keeps the query open: a new result follows each commit that changes it. "
        "The request must accept text/event-stream."
    ),
)
