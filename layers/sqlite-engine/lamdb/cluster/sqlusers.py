"""The caller of a request of SQL over HTTP and its role, as API Gateway determined them.

A claim `lamdb_role` (or `custom:lamdb_role`, as user pools write it) of a token says `read`, `write` or
`admin`. All others have the role of the setting. What API Gateway lets through may use the API.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lamdb.errors import Forbidden

ROLES: Final = ("read", "write", "admin")
ROLE_HEADER: Final = "x-lamdb-sql-role"
PRINCIPAL_HEADER: Final = "x-lamdb-sql-principal"
"""From the proxy to reader and writer, which take these from nobody else."""

_CLAIMS: Final = ("lamdb_role", "custom:lamdb_role")


def identify(context: Mapping[str, Any], default: str) -> tuple[str, str]:
    """Returns the role of a request and what tells its user apart; `context` is the event's.

    Raises `Forbidden` for a role that does not exist.
    """
    claims = dict(_claims(context))
    role = next((str(claims[name]) for name in _CLAIMS if name in claims), default)
    if role not in ROLES:
        raise Forbidden("The token's claim of a role is unknown.", hint=f"Use one of: {', '.join(ROLES)}.")
    return role, _principal(context, claims)


def _claims(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The result of the authorizer of a REST API (Cognito, Lambda) or of an HTTP API (JWT, Lambda)."""
    authorizer = context.get("authorizer")
    if not isinstance(authorizer, Mapping):
        return
    yield from authorizer.items()
    for found in (authorizer.get("claims"), authorizer.get("lambda"), authorizer.get("jwt")):
        if isinstance(found, Mapping):
            yield from found.items()
            inner = found.get("claims")
            if isinstance(inner, Mapping):
                yield from inner.items()


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
