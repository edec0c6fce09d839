"""The caller of a request, as far as rules are concerned."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from lamdb.rules.times import stored_time

SUBJECT: Final = "sub"
"""The claim that identifies a user: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.2"""
_IDENTITY: Final = "id"
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}|-?(?:0|[1-9][0-9]{0,17})\.[0-9]{0,17}[1-9]")
"""A number as it is written in one way alone, so that different texts are never the same user's id."""
_LATEST: Final = 253_402_300_800
"""Seconds since 1970 at the end of the year 9999."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that rules bind.

    - `claims`: what `auth()` is in rules; None for a caller without identity, for which `auth() == null`.
    """

    claims: Mapping[str, Any] | None = None
    _digest: list[str] = field(default_factory=list, compare=False, repr=False)

    def claim(self, path: str, kind: str) -> str | int | float | None:
        """Returns the claim at a dotted path as a value of SQLite; None if it is not of this kind.

        `id` stands for `sub` where there is no `id`. The kinds:

        - `text`: a text, or a number written as one;
        - `number`: a number, or a text that is one;
        - `boolean`: 1 for true, 0 for false;
        - `time`: a text in ISO 8601 or seconds since 1970, as a DateTime is stored;
        - `any`: a text, number or boolean as it is; lists and objects as JSON.
        """
        found = self.find(path)
        if found is None:
            return None
        return _READERS[kind](found)

    def claim_has(self, path: str, value: Any) -> int:
        """Returns 1 if the claim at `path` is a list with `value`, else 0; 5 and "5" are equal."""
        found = self.find(path)
        if value is None or not isinstance(found, list):
            return 0
        return int(any(_equal(each, value) for each in found))

    def find(self, path: str) -> Any:
        """Returns the claim at a dotted path as JSON has it; None if there is none."""
        if self.claims is None:
            return None
        if path == _IDENTITY and _IDENTITY not in self.claims:
            path = SUBJECT
        if path in self.claims:  # such as `custom:tenant` or a URL with dots
            return self.claims[path]
        found: Any = self.claims
        for name in path.split("."):
            if not isinstance(found, Mapping):
                return None
            found = found.get(name)
        return found

    @property
    def digest(self) -> str:
        """The SHA-256 of its subject, or else of its claims: different for different users."""
        if not self._digest:
            claims = self.claims or {}
            known = claims.get(SUBJECT) or claims.get(_IDENTITY) or claims
            content = orjson.dumps([known, claims.get("iss")], default=str, option=orjson.OPT_SORT_KEYS)
            self._digest.append(hashlib.sha256(content).hexdigest()[:32])
        return self._digest[0]


ANONYMOUS: Final = Caller()
"""A caller without identity."""


def written_caller(caller: Caller | None) -> dict[str, Any]:
    """Returns a caller as JSON, for `read_caller`; None is a trusted one."""
    if caller is None:
        return {"trusted": True}
    return {} if caller.claims is None else {"claims": dict(caller.claims)}


def read_caller(written: Any) -> Caller | None:
    """Returns the caller that `written_caller` wrote; anything else is a caller without identity."""
    if not isinstance(written, Mapping):
        return ANONYMOUS
    if written.get("trusted") is True:
        return None
    claims = written.get("claims")
    return Caller(claims) if isinstance(claims, Mapping) else ANONYMOUS


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else None


def _boolean(value: Any) -> int | None:
    return int(value) if isinstance(value, bool) else None


def _time(value: Any) -> str | None:
    if isinstance(value, str):
        return stored_time(value)
    seconds = _number(value)
    if seconds is None or not 0 <= seconds < _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _any(value: Any) -> str | int | float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    return value if isinstance(value, str | float) else orjson.dumps(value).decode()


_READERS: Final[dict[str, Callable[[Any], str | int | float | None]]] = {
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "time": _time,
    "any": _any,
}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool):
        return bool(int(one) == other)
    if isinstance(one, str) == isinstance(other, str):
        return bool(one == other)
    return str(one) == str(other)
