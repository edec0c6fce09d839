"""Clients with a token, and without: `python tokens.py URL TOKEN`."""

import sys

import libsql
from checks import fails, run
from sqlalchemy import create_engine, text

url, token = sys.argv[1:]
address = f"sqlite+libsql://{url.partition('://')[2]}?secure=false"


def driver() -> None:
    assert libsql.connect(url, auth_token=token).execute("SELECT count(*) FROM Book").fetchone() == (0,)
    fails(lambda: libsql.connect(url).execute("SELECT 1"), "401")
    fails(lambda: libsql.connect(url, auth_token=token + "x").execute("SELECT 1"), "401")


def _ask(**arguments: object) -> int:
    with create_engine(address, **arguments).connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM Book"))


def sqlalchemy() -> None:
    assert _ask(connect_args={"auth_token": token}) == 0
    fails(_ask, "401")


def roles() -> None:
    db = libsql.connect(url, auth_token=token)
    fails(
        lambda: db.execute("INSERT INTO Author (email) VALUES ('a')"), "changing rows requires the role write"
    )


run([driver, sqlalchemy, roles])
