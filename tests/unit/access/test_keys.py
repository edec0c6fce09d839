"""API keys in the store."""

import time
from collections.abc import Iterator

import pytest

from lamdb.access import keys
from lamdb.errors import NotFound, Unauthorized
from lamdb.storage import Database


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database.open("memory://")
    yield made
    made.close()


def test_a_key_gives_its_identity(database: Database) -> None:
    with database.writer() as connection:
        made, token = keys.create(connection, name="web", role="read", claims={"sub": "7"})
        admin, admins = keys.create(connection, name="ops", role="admin")
    assert keys.is_key(token)
    with database.reader() as connection:
        identity, expires = keys.identify(connection, token)
        assert (identity.role, expires) == ("read", None)
        assert identity.caller is not None
        assert identity.caller.claims == {"sub": "7"}
        operator, _ = keys.identify(connection, admins)
        assert (operator.role, operator.caller) == ("admin", None)
        assert [each.name for each in keys.list_keys(connection)] == [
            "web",
            "ops",
        ] or made.created == admin.created


def test_the_store_has_no_secrets(database: Database) -> None:
    with database.writer() as connection:
        _, token = keys.create(connection, name="web", role="write")
    # The secret itself may have underscores.
    secret = token.removeprefix(keys.PREFIX).partition("_")[2]
    assert len(secret) == 43
    with database.reader() as connection:
        kept = str(connection.execute("SELECT * FROM _lamdb_keys").fetchall())
    assert secret not in kept
    assert token not in kept


def test_other_tokens_are_refused(database: Database) -> None:
    with database.writer() as connection:
        made, token = keys.create(connection, name="web", role="write")
        _, other = keys.create(connection, name="web", role="write")
    mixed = token[: len(keys.PREFIX) + 10] + other[len(keys.PREFIX) + 10 :]
    with database.reader() as connection:
        for wrong in (
            "",
            token[:-1],
            token + "a",
            mixed,
            token.upper(),
            f"{keys.PREFIX}{made.id}_",
            "x" * 9999,
        ):
            with pytest.raises(Unauthorized):
                keys.identify(connection, wrong)


def test_a_database_without_keys_knows_none(database: Database) -> None:
    with database.reader() as connection:
        assert keys.list_keys(connection) == []
        with pytest.raises(Unauthorized):
            keys.identify(connection, f"{keys.PREFIX}{'a' * 10}_{'b' * 43}")


def test_keys_expire_and_are_revoked(database: Database) -> None:
    with database.writer() as connection:
        _, old = keys.create(connection, name="old", role="write", expires=int(time.time()) - 1)
        made, token = keys.create(connection, name="new", role="write", expires=int(time.time()) + 60)
    with database.reader() as connection:
        with pytest.raises(Unauthorized, match="expired"):
            keys.identify(connection, old)
        assert keys.identify(connection, token)[1] == made.expires
    with database.writer() as connection:
        assert keys.revoke(connection, made.id).name == "new"
        with pytest.raises(NotFound):
            keys.revoke(connection, made.id)
    with database.reader() as connection, pytest.raises(Unauthorized):
        keys.identify(connection, token)


def test_roles_are_checked(database: Database) -> None:
    with database.writer() as connection, pytest.raises(ValueError, match="role"):
        keys.create(connection, name="web", role="owner")
