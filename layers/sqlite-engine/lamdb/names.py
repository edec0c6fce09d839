"""Lists of names in settings, separated by commas: of headers, machines, groups and models."""

import ipaddress
import re
from typing import Final

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HOST_NAME: Final = re.compile(r"(\*\.)?[0-9a-z_-]+(\.[0-9a-z_-]+)*")

_MODEL_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def headers(text: str) -> tuple[str, ...]:
    """Names of headers, in lower case. Raises `ValueError`."""
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for name in found:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a header")
    return found


def hosts(text: str) -> tuple[str, ...]:
    """Names of machines, in lower case, or `*`. Raises `ValueError`."""
    found = tuple(part.strip(" []").lower() for part in text.split(",") if part.strip())
    for name in found:
        if name != "*" and not _HOST_NAME.fullmatch(name.rstrip(".")) and not _is_address(name):
            raise ValueError(f"{name!r} is not a name such as db.example.com, without scheme and port")
    return tuple(name.rstrip(".") for name in found)


def groups(text: str) -> tuple[str, ...]:
    """Names of groups, which have no spaces. Raises `ValueError`."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in found:
        if len(name.split()) > 1:
            raise ValueError(f"{name!r} is not the name of a group: it has a space")
    return found


def models(text: str) -> tuple[str, ...]:
    """Names of models. Raises `ValueError`."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in found:
        if not _MODEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a model")
    return found


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
