"""One setting: parsing, limits, and its text in the documents."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MIB: Final = 1024 * 1024
_UNITS: Final = {"": 1, "KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}
_SHORTEST_TOKEN: Final = 16
_HOST_AND_PORT: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(?:/.*)?")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BUS: Final = re.compile(r"(arn:[\w-]+:events:[\w-]+:\d{12}:event-bus/)?[\w./-]{1,256}", re.ASCII)
_ROLES: Final = ("read", "write", "admin")


@dataclass(frozen=True, slots=True)
class Spec:
    """The description of a setting: `parse` turns text into its value or raises ValueError.

    The value of a `secret` is shown nowhere. `shown` is the default as documents write it, if not plainly.
    """

    doc: str
    parse: Callable[[str], Any]
    limits: str
    secret: bool = False
    shown: str = ""


def setting[T](default: T, doc: str, parse: Callable[[str], T], limits: str) -> T:
    return dataclasses.field(default=default, metadata={"spec": Spec(doc, parse, limits)})


def whole(default: int, low: int, high: int, doc: str) -> int:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit():
            raise ValueError("it must be a whole number")
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"it must be from {low} to {high}")
        return value

    return setting(default, doc, parse, f"{low} to {high}")


def size(default: int, low: int, high: int, doc: str, *, shown: str = "") -> int:
    """`shown`: the default in words, if it depends on other settings."""

    def parse(text: str) -> int:
        digits = text.rstrip("KMGiB")
        unit = _UNITS.get(text[len(digits) :])
        if unit is None or not digits.isascii() or not digits.isdigit():
            raise ValueError("it must be a number of bytes, KiB, MiB or GiB, such as 256MiB")
        value = int(digits) * unit
        if not low <= value <= high:
            raise ValueError(f"it must be from {bytes(low)} to {bytes(high)}")
        return value

    spec = Spec(doc, parse, f"{bytes(low)} to {bytes(high)}", shown=shown or bytes(default))
    return dataclasses.field(default=default, metadata={"spec": spec})


def bytes(value: int) -> str:
    """A size in the largest unit of which it is a whole number, as `parse` reads it."""
    whole = [name for name, unit in _UNITS.items() if value >= unit and value % unit == 0]
    name = whole[-1] if whole else ""
    return f"{value // _UNITS[name]}{name}"


def seconds(default: float, low: float, high: float, doc: str) -> float:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError("it must be a number of seconds") from None
        if not low <= value <= high:
            raise ValueError(f"it must be from {low:.12g} to {high:.12g} seconds")
        return value

    return setting(default, doc, parse, f"{low:.12g} to {high:.12g} s")


def switch(default: bool, doc: str) -> bool:
    words = dict.fromkeys(("true", "1", "yes", "on"), True)
    words |= dict.fromkeys(("false", "0", "no", "off"), False)

    def parse(text: str) -> bool:
        if (value := words.get(text.lower())) is None:
            raise ValueError("it must be true or false")
        return value

    return setting(default, doc, parse, "true or false")


def choice(default: str, choices: Sequence[str], doc: str) -> str:
    allowed = ", ".join(choices)

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"it must be one of {allowed}")
        return text.lower()

    return setting(default, doc, parse, allowed)


def text(default: str, doc: str, limits: str = "text") -> str:
    def parse(text: str) -> str:
        if not text.strip():
            raise ValueError("it must not be empty")
        return text

    return setting(default, doc, parse, limits)


def token(doc: str) -> str:
    def parse(text: str) -> str:
        fits = text.isascii() and text.isprintable() and " " not in text
        if text and not (fits and len(text) >= _SHORTEST_TOKEN):
            raise ValueError(f"it must have at least {_SHORTEST_TOKEN} ASCII characters and no space")
        return text

    limits = f"at least {_SHORTEST_TOKEN} ASCII characters"
    spec = Spec(doc, parse, limits, secret=True)
    return dataclasses.field(default="", repr=False, metadata={"spec": spec})


def roles(doc: str) -> Mapping[str, str]:
    """Tokens of SQL over HTTP: roles by token."""

    def parse(text: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for part in filter(None, (each.strip() for each in text.split(","))):
            role, separator, given = part.partition(":")
            if role not in _ROLES or not separator:
                raise ValueError("it must be a list such as read:TOKEN, write:TOKEN")
            if not (given.isascii() and given.isprintable() and " " not in given):
                raise ValueError("tokens must be ASCII without spaces")
            if len(given) < _SHORTEST_TOKEN:
                raise ValueError(f"tokens must have at least {_SHORTEST_TOKEN} characters")
            found[given] = role
        return found

    limits = f"roles read, write, admin with tokens of at least {_SHORTEST_TOKEN} ASCII characters"
    spec = Spec(doc, parse, limits, secret=True, shown=" ")
    return dataclasses.field(default_factory=dict, repr=False, metadata={"spec": spec})


def several(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Returns a parser of a list of some of `choices`; `none` is the empty list."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
        if found == ("none",):
            return ()
        for each in found:
            if each not in choices:
                raise ValueError(f"it must be none, or a list of {', '.join(choices)}")
        return found

    return parse


def workers(text: str) -> int:
    """A number of processes; 0 for `auto`."""
    if text == "auto":
        return 0
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 64:
        raise ValueError("it must be auto, or a number from 1 to 64")
    return int(text)


def page_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) not in {2**power for power in range(9, 17)}:
        raise ValueError("it must be a power of two from 512 to 65536")
    return int(text)


def address(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        if _HOST_AND_PORT.fullmatch(text):
            raise ValueError(f"it must be an address: write http://{text} or https://{text}")
        raise ValueError("it must be an address such as https://db.example.com")
    return text


def bus(text: str) -> str:
    """The name or ARN of an event bus of EventBridge."""
    if text and not _BUS.fullmatch(text):
        raise ValueError("it must be the name of an event bus, or its ARN")
    return text


def event_source(text: str) -> str:
    """The source of events of EventBridge; `aws.` is for those of AWS."""
    if not 0 < len(text) <= 256 or not text.isprintable() or text.startswith("aws."):
        raise ValueError("it must be text of at most 256 characters that does not begin with aws.")
    return text


def store(text: str) -> str:
    """The URL of a store. A path, absolute or relative to the working directory, becomes one."""
    if text == "memory":
        raise ValueError("write it as memory:")
    if text.startswith(("http://", "https://")):
        raise ValueError("it is the address of a server: give it as --url, or LAMDB_URL")
    if not text or _SCHEME.match(text):
        return text
    return Path(text).expanduser().absolute().as_uri()


def origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not origin.startswith(("http://", "https://")):
            raise ValueError(f"{origin!r} is neither * nor an origin such as https://app.example.com")
    return origins
