"""The caller of a request, with its role."""

from dataclasses import dataclass
from typing import Final

from lamdb.rules.caller import Caller

READ: Final = "read"
WRITE: Final = "write"
ADMIN: Final = "admin"
ROLES: Final = (READ, WRITE, ADMIN)


@dataclass(frozen=True, slots=True)
class Identity:
    """- `role`: one of `ROLES`.
    - `caller`: the caller that the schema's rules bind; None for administrators.
    - `name`: tells callers apart, also those with the same role.
    """

    role: str
    caller: Caller | None
    name: str

    @classmethod
    def of(cls, role: str, caller: Caller, name: str) -> "Identity":
        """Returns an identity; rules do not bind one with the role `admin`."""
        return cls(role, None if role == ADMIN else caller, name)
