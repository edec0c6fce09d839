"""Declares `lamdb token`: search tokens for browsers."""

import json
import os
import time
from typing import Annotated, Any

import typer

from lamdb.cli.app import CommandApp, examples
from lamdb.cli.options import Out
from lamdb.cli.values import object_of, seconds_of
from lamdb.errors import UsageError
from lamdb.settings import Settings

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="A model that may be searched; may be repeated. [default: all]"
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=JSON",
        help="A filter of Prisma that is added to every search of a model, such as "
        "'Post={\"published\": true}'; once for each model.",
    ),
]
Expires = Annotated[
    str | None, typer.Option(metavar="TIME", help="Minutes, hours or days until it expires: 90m, 24h, 30d.")
]
Relations = Annotated[bool, typer.Option("--relations", help="Allow selections of and filters by relations.")]


app = CommandApp("Create search tokens for browsers.")


@app.command(
    epilog=examples(
        "lamdb token search --model Product --expires 30d",
        "lamdb token search --where 'Post={\"published\": true}'",
    )
)
def search(
    *,
    model: Models = None,
    where: Where = None,
    expires: Expires = None,
    relations: Relations = False,
    claims: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The value of auth() in the schema's rules. [default: null]"),
    ] = None,
    output: Out,
) -> None:
    """Print a search token for browsers, signed with LAMDB_SEARCH_KEY: it allows searches only."""
    from lamdb.graphql.search_tokens import SearchToken

    key = Settings.load(os.environ).search_key
    if not key:
        raise UsageError("LAMDB_SEARCH_KEY is not set.", hint="It signs search tokens.")
    filters = dict(map(_filter, where or []))
    if model is not None and (beyond := sorted(filters.keys() - set(model))):
        raise UsageError(f"--where names {beyond[0]}, which --model does not.")
    until = None if expires is None else int(time.time()) + seconds_of("--expires", expires)
    identity = None if claims is None else object_of("--claims", claims)
    content = SearchToken(None if model is None else tuple(model), filters, relations, until, identity)
    try:
        token = content.sign(key)
    except ValueError as error:
        raise UsageError(f"This makes no token: {error}.") from None
    output.result({"token": token, "expires": until}, token)


def _filter(text: str) -> tuple[str, dict[str, Any]]:
    model, separator, written = text.partition("=")
    try:
        found = json.loads(written)
    except ValueError as error:
        raise UsageError(f"--where {text}: the filter is not JSON: {error}.") from None
    if not separator or not model.isidentifier() or not isinstance(found, dict):
        raise UsageError(f"--where {text}: it must be a model, = and a JSON object.")
    return model, found
