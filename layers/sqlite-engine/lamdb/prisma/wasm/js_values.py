"""JavaScript values for the engines, where Python's own types do not suffice.

null is None, a number is int or float, a string is str, a plain object is dict, an array is list, a function
is any callable. What is here has no Python twin: undefined, BigInt, Map, Uint8Array, Error, Promise and the
job queue.
"""

import base64
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, final


@final
class Undefined:
    """JavaScript's `undefined`; there is one, `UNDEFINED`, and it is falsy."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()


class BigInt(int):
    """A JavaScript BigInt, which unlike a number is never equal to `1`."""


class JSMap(dict[Any, Any]):
    """A JavaScript `Map`, as distinct from a plain object."""


class JSDate(float):
    """A JavaScript `Date`: milliseconds since 1970."""


class JSError(Exception):
    """A JavaScript `Error`, also usable as the value that a promise is rejected with."""

    def __init__(self, message: str, name: str = "Error") -> None:
        super().__init__(message)
        self.message = message
        self.name = name


class Thrown(Exception):
    """A JavaScript value that was thrown and is no Error."""

    def __init__(self, value: Any) -> None:
        super().__init__(repr(value))
        self.value = value


class Memory(Protocol):
    """An engine's linear memory: raw bytes at an address."""

    def read_bytes(self, pointer: int, length: int) -> bytes: ...
    def write_bytes(self, pointer: int, data: bytes) -> None: ...


class Uint8Array:
    """Bytes in a buffer of their own (`buffer`), or a window on an engine's memory."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer

    @classmethod
    def of(cls, data: bytes) -> "Uint8Array":
        return cls(memoryview(bytearray(data)))

    def __len__(self) -> int:
        return len(self.buffer)

    def __bytes__(self) -> bytes:
        return bytes(self.buffer)

    def fill_from(self, data: bytes) -> None:
        self.buffer[: len(data)] = data

    def subarray(self, start: int, end: int) -> "Uint8Array":
        return Uint8Array(self.buffer[start:end])

    def __repr__(self) -> str:
        return f"Uint8Array({base64.b64encode(bytes(self)).decode()})"


class MemoryWindow(Uint8Array):
    """A Uint8Array over an engine's memory: writes are seen by the engine."""

    def __init__(self, memory: Memory, pointer: int, length: int) -> None:
        super().__init__(memoryview(b""))
        self._memory = memory
        self._pointer = pointer
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return self._memory.read_bytes(self._pointer, self._length)

    def fill_from(self, data: bytes) -> None:
        self._memory.write_bytes(self._pointer, data)

    def subarray(self, start: int, end: int) -> "Uint8Array":
        return MemoryWindow(self._memory, self._pointer + start, end - start)


class EventLoop:
    """The job queue of one engine: microtasks in order, timers only while someone waits."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, Callable[[], object]]] = []

    def enqueue(self, job: Callable[[], object]) -> None:
        self._jobs.append(job)

    def call_later(self, seconds: float, job: Callable[[], object]) -> None:
        self._timers.append((time.monotonic() + seconds, job))

    def clear(self) -> None:
        self._jobs.clear()
        self._timers.clear()

    def run_until_settled(self, promise: "Promise") -> None:
        """Run jobs, then timers, until the promise is settled or nothing is left that could settle it."""
        while True:
            while self._jobs:
                self._jobs.popleft()()
            if promise.settled or not self._timers:
                return
            self._timers.sort(key=lambda timer: timer[0])
            due, job = self._timers.pop(0)
            time.sleep(max(0.0, due - time.monotonic()))
            self._jobs.append(job)


class Promise:
    """A JavaScript promise: settled once, its reactions run as jobs of the loop, never at once."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._resolved = False
        self._reactions: list[Callable[[], object]] = []
        self.settled = False
        self.rejected = False
        self.value: Any = UNDEFINED

    @classmethod
    def resolved(cls, loop: EventLoop, value: Any) -> "Promise":
        """`Promise.resolve(value)`: a promise is passed through."""
        if isinstance(value, Promise):
            return value
        promise = cls(loop)
        promise.resolve(value)
        return promise

    def resolve(self, value: Any = UNDEFINED, *_: Any) -> None:
        if self._resolved:
            return
        self._resolved = True
        if isinstance(value, Promise):
            value.then(lambda result: self._settle(result, rejected=False), self._reject_now)
        else:
            self._settle(value, rejected=False)

    def reject(self, reason: Any = UNDEFINED, *_: Any) -> None:
        if self._resolved:
            return
        self._resolved = True
        self._reject_now(reason)

    def _reject_now(self, reason: Any) -> None:
        self._settle(reason, rejected=True)

    def _settle(self, value: Any, *, rejected: bool) -> None:
        self.settled, self.rejected, self.value = True, rejected, value
        for reaction in self._reactions:
            self._loop.enqueue(reaction)
        self._reactions.clear()

    def then(self, on_value: Any = UNDEFINED, on_reason: Any = UNDEFINED) -> "Promise":
        derived = Promise(self._loop)

        def react() -> None:
            handler = on_reason if self.rejected else on_value
            if not callable(handler):
                (derived.reject if self.rejected else derived.resolve)(self.value)
                return
            try:
                derived.resolve(handler(self.value))
            except Thrown as error:
                derived.reject(error.value)
            except JSError as error:
                derived.reject(error)

        if self.settled:
            self._loop.enqueue(react)
        else:
            self._reactions.append(react)
        return derived


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool | BigInt | JSDate)


def is_object(value: Any) -> bool:
    """`typeof value === "object" && value !== null`."""
    if value is None or isinstance(value, Undefined | str | bool | BigInt):
        return False
    return isinstance(value, JSDate) or not (is_number(value) or callable(value))


def is_safe_integer(value: Any) -> bool:
    return is_number(value) and float(value).is_integer() and abs(value) < 2**53


def loose_equal(left: Any, right: Any) -> bool:
    """`==` for the values that engines compare: null and undefined are equal, the rest as Python has it."""
    nullish = (None, UNDEFINED)
    if left is None or left is UNDEFINED or right is None or right is UNDEFINED:
        return left in nullish and right in nullish
    return bool(left == right)


def strict_equal(left: Any, right: Any) -> bool:
    if isinstance(left, str | bool | int | float) and isinstance(right, str | bool | int | float):
        return isinstance(left, bool) == isinstance(right, bool) and left == right
    return left is right


def get_property(target: Any, key: Any) -> Any:
    """`target[key]`."""
    if isinstance(target, dict):
        return target.get(key, UNDEFINED)
    if isinstance(target, list | str | Uint8Array):
        return _get_element(target, key)
    if target is None or target is UNDEFINED:
        raise JSError(f"Cannot read properties of {target!r} (reading {key!r})", "TypeError")
    return getattr(target, str(key), UNDEFINED)


def _get_element(target: Any, key: Any) -> Any:
    if key == "length":
        return len(target)
    if is_number(key) and float(key).is_integer():
        index = int(key)
        values = bytes(target) if isinstance(target, Uint8Array) else target
        return values[index] if 0 <= index < len(values) else UNDEFINED
    return UNDEFINED


def set_property(target: Any, key: Any, value: Any) -> None:
    """`target[key] = value`."""
    if isinstance(target, dict):
        target[key] = value
    elif isinstance(target, list):
        index = int(key)
        target.extend([UNDEFINED] * (index + 1 - len(target)))
        target[index] = value
    else:
        setattr(target, str(key), value)


def to_display(value: Any) -> str:
    """The text of a value in wasm-bindgen's own error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, JSError):
        return f"{value.name}: {value.message}"
    return repr(value)


def compile_regexp(pattern: str, flags: str) -> re.Pattern[str]:
    """A JavaScript RegExp of the simple kind that engines use."""
    return re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
