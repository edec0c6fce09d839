"""Roles of callers: what a token's groups and claims allow, as API Gateway's authorizer has checked them.

Groups of a Cognito user pool are assigned by its administrators. Where the settings name any, they alone
decide, and a request without a group of theirs is refused. Otherwise a claim `lamdb_role` (or
`custom:lamdb_role`, as user pools write it) says `read`, `write` or `admin`. In GraphQL `admin` may do what
`write` may; in SQL it may also change tables.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lamdb.access.identity import Role
from lamdb.errors import Forbidden
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.settings import Settings

NO_WRITES: Final = "The token's groups, or its role, allow reading only."

_GROUPS: Final = "cognito:groups"
_CLAIMS: Final = ("lamdb_role", "custom:lamdb_role")
# A REST API joins the groups by commas, an HTTP API by spaces within brackets.
_SEPARATORS: Final = re.compile(r"[\s,]+")


def role_of(context: Mapping[str, Any], settings: Settings, default: str = Role.WRITE) -> Role:
    """Returns the role of a caller; `context` is the event's `requestContext`.

    Raises `Forbidden` if the caller is in no group that the settings name, or has a role that does not exist.
    """
    found = dict(claims(context))
    if settings.read_groups or settings.write_groups or settings.admin_groups:
        return _role_of_groups(found.get(_GROUPS), settings)
    return Role.of_claim(next((found[name] for name in _CLAIMS if name in found), default))


def caller_of(context: Mapping[str, Any], role: Role) -> Caller | None:
    """Returns the caller that rules bind; None for administrators and requests signed with IAM.

    A caller's claims are those of its token, with `groups` for `cognito:groups`, and without the prefix
    `custom:` where that is no other claim.
    """
    found = dict(claims(context))
    identity = context.get("identity")
    signed = isinstance(identity, Mapping) and identity.get("userArn")
    if role == Role.ADMIN or signed or isinstance(found.get("iam"), Mapping):
        return None
    token = {name: value for name, value in found.items() if not isinstance(value, Mapping)}
    if not token.get("sub") and not token.get("principalId"):
        return ANONYMOUS
    for name, value in list(token.items()):
        token.setdefault(name.removeprefix("custom:"), value)
    if _GROUPS in token:
        token.setdefault("groups", _names(token[_GROUPS]))
    token.setdefault("sub", token.get("principalId"))
    return Caller(token)


def claims(context: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
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


def _role_of_groups(claim: Any, settings: Settings) -> Role:
    """Raises `Forbidden`. Where no groups may read alone, every token may read; likewise for writing."""
    groups = set(_names(claim))
    if not groups.isdisjoint(settings.admin_groups):
        return Role.ADMIN
    if not groups.isdisjoint(settings.write_groups):
        return Role.WRITE
    if not groups.isdisjoint(settings.read_groups):
        return Role.READ
    if settings.read_groups:
        raise Forbidden(
            "The token is in no group that may use this API.",
            hint="Ask an administrator of the user pool to add the user to a group.",
        )
    return Role.READ if settings.write_groups else Role.WRITE


def _names(claim: Any) -> list[str]:
    if isinstance(claim, list):
        return [str(each) for each in claim]
    return [each for each in _SEPARATORS.split(str(claim or "").strip("[] ")) if each]
