"""The caller of a request of SQL over HTTP and its role, as API Gateway determined them."""

from collections.abc import Mapping
from typing import Any, Final

from lamdb.cluster.invocation.roles import claims, role_of
from lamdb.settings import Settings

ROLE_HEADER: Final = "x-lamdb-sql-role"
PRINCIPAL_HEADER: Final = "x-lamdb-sql-principal"
"""From the proxy to reader and writer, which accept these from the proxy only."""


def identify(context: Mapping[str, Any], settings: Settings) -> tuple[str, str]:
    """Returns the role of a request and what tells its user apart; `context` is the event's.

    Raises `Forbidden` for a caller without a role.
    """
    return role_of(context, settings, settings.sql_role), _principal(context, dict(claims(context)))


def _principal(context: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    identity = context.get("identity")
    identity = identity if isinstance(identity, Mapping) else {}
    iam = claims.get("iam")
    iam = iam if isinstance(iam, Mapping) else {}
    for found in (
        claims.get("sub"),
        claims.get("principalId"),
        identity.get("userArn"),
        iam.get("userArn"),
        identity.get("apiKeyId"),
    ):
        if found:
            return str(found)
    return ""
