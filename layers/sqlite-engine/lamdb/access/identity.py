"""The caller of a request, with its role."""

from dataclasses import dataclass
from enum import StrEnum

from lamdb.errors import Forbidden
from lamdb.rules.caller import Caller


class Role(StrEnum):
    """A caller's rights, in GraphQL, SQL over HTTP and everywhere else."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    @classmethod
    def of_claim(cls, claim: object) -> "Role":
        """Returns the role that a token's claim names. Raises `Forbidden`."""
        try:
            return cls(str(claim))
        except ValueError:
            raise Forbidden(
                "The role that the token claims is unknown.", hint=f"Use one of: {', '.join(cls)}."
            ) from None


@dataclass(frozen=True, slots=True)
class Identity:
    """- `role`: the caller's rights.
    - `caller`: the caller that the schema's rules bind; None for administrators.
    - `name`: tells callers apart, also those with the same role.
    """

    role: Role
    caller: Caller | None
    name: str

    @classmethod
    def of(cls, role: Role, caller: Caller, name: str) -> "Identity":
        """Returns an identity; rules do not bind one with the role `admin`."""
        return cls(role, None if role is Role.ADMIN else caller, name)
