"""Declares `lamdb key`: API keys of a store."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from lamdb.cli.app import CommandApp, examples
from lamdb.cli.options import Out, StoreFiles
from lamdb.cli.values import object_of, seconds_of
from lamdb.errors import UsageError

app = CommandApp("Create, list and revoke API keys, for servers with LAMDB_AUTH=keys.")


@app.command(
    epilog=examples(
        "lamdb key create --name website --role read --store file:///srv/shop",
        'lamdb key create --name worker --expires 90d --claims \'{"sub": "worker"}\' --stack shop',
    )
)
def create(
    *,
    name: Annotated[str, typer.Option(metavar="TEXT", help="What the key is for.")],
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="read, write or admin. [default: write]")
    ] = "write",
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Minutes, hours or days until it expires: 90m, 24h, 30d."),
    ] = None,
    claims: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The value of auth() in the schema's rules. [default: null]"),
    ] = None,
    output: Out,
    settings: StoreFiles,
) -> None:
    """Create an API key and print it. It cannot be shown again: the store keeps a hash."""
    from lamdb.access import keys
    from lamdb.access.identity import Role
    from lamdb.graphql.from_settings import open_database

    if role not in list(Role):
        raise UsageError(f"--role {role}: it must be one of {', '.join(Role)}.")
    until = None if expires is None else int(time.time()) + seconds_of("--expires", expires)
    content = None if claims is None else object_of("--claims", claims)
    with open_database(settings) as database:
        made, text = database.write(
            lambda connection: keys.create(connection, name=name, role=role, claims=content, expires=until)
        )
    output.result({"key": text, "id": made.id, "role": role, "expires": until}, text)


@app.command("list", epilog=examples("lamdb key list --store file:///srv/shop"))
def list_(*, output: Out, settings: StoreFiles) -> None:
    """List the API keys, without their secrets."""
    from lamdb.access import keys
    from lamdb.graphql.from_settings import open_database

    with open_database(settings, create=False) as database, database.reader() as connection:
        found = keys.list_keys(connection)
    value = [
        {
            "id": key.id,
            "name": key.name,
            "role": key.role,
            "claims": key.claims,
            "created": key.created,
            "expires": key.expires,
        }
        for key in found
    ]
    lines = [f"{key.id}  {key.role:5}  {_until(key.expires):21}  {key.name}" for key in found]
    output.result({"keys": value}, lines or ["There are no keys."])


@app.command(epilog=examples("lamdb key revoke k3v9x2m7ab --store file:///srv/shop"))
def revoke(
    *,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="The id of the key, as lamdb key list says.")
    ],
    output: Out,
    settings: StoreFiles,
) -> None:
    """Revoke an API key. Servers notice within five seconds."""
    from lamdb.access import keys
    from lamdb.graphql.from_settings import open_database

    with open_database(settings, create=False) as database:
        gone = database.write(lambda connection: keys.revoke(connection, identifier))
    output.result({"id": gone.id, "name": gone.name}, f"Revoked {gone.id} ({gone.name}).")


def _until(expires: int | None) -> str:
    if expires is None:
        return "does not expire"
    return f"until {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M}"
