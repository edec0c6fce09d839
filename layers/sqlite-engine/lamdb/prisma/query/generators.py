"""Generators of the identifiers in Prisma's schema: `uuid()`, `cuid()`, `ulid()`, `nanoid()`.

Sources of the formats: RFC 9562 (UUID 4 and 7), https://github.com/paralleldrive/cuid (version 1),
https://github.com/paralleldrive/cuid2, https://github.com/ulid/spec, https://github.com/ai/nanoid (length
21, 64 URL-safe characters).
"""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NANOID = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CUID_BLOCK = 36**4


def _random(bits: int) -> int:
    """From the operating system's secure source (`secrets` and `uuid` take 6 ms to import)."""
    return int.from_bytes(os.urandom((bits + 7) // 8)) >> (-bits % 8)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def base36(number: int) -> str:
    """A non-negative integer in lower-case base 36."""
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return _BASE36[number] + digits


def now() -> str:
    """The clock as plans want it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _uuid_text(number: int) -> str:
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid4() -> str:
    """RFC 9562 §5.4: 122 random bits."""
    return _uuid_text(_random(48) << 80 | 4 << 76 | _random(12) << 64 | 2 << 62 | _random(62))


class _Uuid7:
    """RFC 9562 §5.7 with the monotonic random method of §6.2: within one millisecond the random part
    grows.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._time = 0
        self._random = 0

    def __call__(self) -> str:
        with self._lock:
            moment = _milliseconds()
            if moment > self._time:
                self._time, self._random = moment, _random(73)
            else:
                self._random += 1 + _random(32)
                if self._random >> 74:
                    self._time, self._random = self._time + 1, _random(73)
            moment, random = self._time, self._random
        high, low = random >> 62, random & ((1 << 62) - 1)
        return _uuid_text(moment << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


def _fingerprint() -> str:
    """cuid's four characters for the machine and process."""
    host = os.uname().nodename
    machine = sum(map(ord, host)) + len(host) + 36
    return base36(os.getpid())[-2:].rjust(2, "0") + base36(machine)[-2:].rjust(2, "0")


_cuid_counter = count(_random(20))
_cuid2_counter = count(_random(28))


def cuid() -> str:
    """`c`, time, counter, fingerprint, eight random characters: 25 in all."""

    def block(number: int) -> str:
        return base36(number % _CUID_BLOCK).rjust(4, "0")

    random = block(_random(64)) + block(_random(64))
    return "c" + base36(_milliseconds()) + block(next(_cuid_counter)) + _fingerprint() + random


def cuid2(length: int = 24) -> str:
    """A letter, then the base-36 text of a SHA3-512 over time, entropy, counter and fingerprint."""
    import hashlib  # 2 ms, and few schemas want it

    salt = os.urandom(length).hex()
    seed = f"{_milliseconds()}{salt}{next(_cuid2_counter)}{_fingerprint()}"
    digest = base36(int.from_bytes(hashlib.sha3_512(seed.encode()).digest()))
    return _BASE36[10 + _random(64) % 26] + digest[1:length]


def ulid() -> str:
    """48 bits of milliseconds and 80 random bits in Crockford's base 32: 26 characters."""
    number = (_milliseconds() << 80) | _random(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def nanoid(length: int = 21) -> str:
    return "".join(_NANOID[byte & 63] for byte in os.urandom(length))


def product(left: Any, right: Any) -> list[list[Any]]:
    """The pairs of two lists (a scalar is a list of one): the rows of a link table."""
    lefts = left if isinstance(left, list) else [left]
    rights = right if isinstance(right, list) else [right]
    return [[a, b] for a in lefts for b in rights]


uuid7 = _Uuid7()


def _uuid(version: int) -> str:
    versions: dict[int, Callable[[], str]] = {4: uuid4, 7: uuid7}
    return versions[version]()


def _cuid(version: int) -> str:
    versions: dict[int, Callable[[], str]] = {1: cuid, 2: cuid2}
    return versions[version]()


# `now` is not here: a plan reads the clock once per run.
GENERATORS: dict[str, Callable[..., Any]] = {
    "uuid": _uuid,
    "cuid": _cuid,
    "ulid": ulid,
    "nanoid": nanoid,
    "product": product,
}
