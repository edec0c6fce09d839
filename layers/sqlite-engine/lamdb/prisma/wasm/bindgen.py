"""The functions that wasm-bindgen modules import, served by Python.

Each public method of `HostFunctions` is one host function; `glue.py` decides at build time which import of
which engine it serves, by reading the JavaScript glue that came with the engine.
"""

import os
import re
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol

from lamdb.prisma.wasm import js_values as js
from lamdb.prisma.wasm.js_values import (
    UNDEFINED,
    BigInt,
    EventLoop,
    JSDate,
    JSError,
    JSMap,
    MemoryWindow,
    Promise,
    Thrown,
    Uint8Array,
)

NOT_A_BOOLEAN = 0xFFFFFF
SYMBOL_ITERATOR = object()


class _Crypto:
    """`globalThis.crypto`, as far as engines use it."""

    def getRandomValues(self, array: Uint8Array) -> None:  # noqa: N802
        array.fill_from(os.urandom(len(array)))


class Guest(Protocol):
    """The instance that calls host functions: its memory, its table of references, its exports."""

    panic_message: str | None

    def call(self, name: str, *arguments: Any) -> Any: ...
    def add_ref(self, value: Any) -> int: ...
    def fill_constants(self) -> None: ...
    def pass_bytes(self, data: bytes) -> tuple[int, int]: ...
    def read_bytes(self, pointer: int, length: int) -> bytes: ...
    def read_string(self, pointer: int, length: int) -> str: ...
    def write_bytes(self, pointer: int, data: bytes) -> None: ...
    def write_struct(self, pointer: int, layout: str, *values: Any) -> None: ...


class HostFunctions:
    """The host functions of one instance, with its event loop and its global object."""

    def __init__(self, instance: Guest) -> None:
        # wasmtime keeps host functions alive as long as the store lives. A strong reference back to
        # the instance, which has the store, would keep both for ever.
        self._wasm: Guest = weakref.proxy(instance)
        self.loop = EventLoop()
        self._globals: dict[str, Any] = {
            "crypto": _Crypto(),
            "queueMicrotask": self.queue_microtask,
        }

    # Helpers.

    def _return_string(self, out: int, value: Any) -> None:
        """Write `Option<String>` at `out`: (pointer, length), or zeros if the value is no string."""
        pointer, length = self._wasm.pass_bytes(value.encode()) if isinstance(value, str) else (0, 0)
        self._wasm.write_struct(out, "<ii", pointer, length)

    def _guarded(self, function: Callable[[], Any], default: Any = UNDEFINED) -> Any:
        """Hand a JavaScript exception to the engine, which looks for it after the call."""
        try:
            return function()
        except Thrown as error:
            thrown = error.value
        except JSError as error:
            thrown = error
        self._wasm.call("__wbindgen_exn_store", self._wasm.add_ref(thrown))
        return default

    # The module's start, panics and exceptions.

    def init_externref_table(self) -> None:
        self._wasm.fill_constants()

    def set_panic_message(self, pointer: int, length: int) -> None:
        self._wasm.panic_message = self._wasm.read_string(pointer, length)

    def throw(self, pointer: int, length: int) -> NoReturn:
        raise JSError(self._wasm.read_string(pointer, length))

    def new_error(self, pointer: int, length: int) -> JSError:
        return JSError(self._wasm.read_string(pointer, length))

    def set_error_name(self, error: JSError, pointer: int, length: int) -> None:
        error.name = self._wasm.read_string(pointer, length)

    # Making values.

    def string(self, pointer: int, length: int) -> str:
        return self._wasm.read_string(pointer, length)

    def number(self, value: float) -> float:
        return value

    def bigint_i64(self, value: int) -> BigInt:
        return BigInt(value)

    def bigint_u64(self, value: int) -> BigInt:
        return BigInt(value & 0xFFFFFFFFFFFFFFFF)

    def bytes_window(self, pointer: int, length: int) -> Uint8Array:
        return MemoryWindow(self._wasm, pointer & 0xFFFFFFFF, length)

    def new_object(self) -> dict[str, Any]:
        return {}

    def new_array(self) -> list[Any]:
        return []

    def new_map(self) -> JSMap:
        return JSMap()

    def new_date(self) -> JSDate:
        return JSDate(time.time() * 1000)

    def new_uint8array(self, source: Any) -> Uint8Array:
        return Uint8Array.of(bytes(source))

    def new_uint8array_of_length(self, length: int) -> Uint8Array:
        return Uint8Array.of(bytes(length & 0xFFFFFFFF))

    def new_uint8array_from_slice(self, pointer: int, length: int) -> Uint8Array:
        return Uint8Array.of(self._wasm.read_bytes(pointer, length))

    def new_regexp(self, pattern: int, pattern_length: int, flags: int, flags_length: int) -> re.Pattern[str]:
        text = self._wasm.read_string(pattern, pattern_length)
        return js.compile_regexp(text, self._wasm.read_string(flags, flags_length))

    def new_function(self, pointer: int, length: int) -> Callable[..., Any]:
        """Engines make only `return this`, to find the global object."""
        source = self._wasm.read_string(pointer, length)
        if source.strip(" ;") != "return this":
            raise JSError(f"the engine wants to evaluate JavaScript: {source}")
        return lambda *_: self._globals

    # Looking at values.

    def is_object(self, value: Any) -> int:
        return int(js.is_object(value))

    def is_string(self, value: Any) -> int:
        return int(isinstance(value, str))

    def is_undefined(self, value: Any) -> int:
        return int(value is UNDEFINED)

    def is_bigint(self, value: Any) -> int:
        return int(isinstance(value, BigInt))

    def is_function(self, value: Any) -> int:
        return int(callable(value))

    def is_array(self, value: Any) -> int:
        return int(isinstance(value, list))

    def is_safe_integer(self, value: Any) -> int:
        return int(js.is_safe_integer(value))

    def instanceof_map(self, value: Any) -> int:
        return int(isinstance(value, JSMap))

    def instanceof_promise(self, value: Any) -> int:
        return int(isinstance(value, Promise))

    def instanceof_uint8array(self, value: Any) -> int:
        return int(isinstance(value, Uint8Array))

    def instanceof_arraybuffer(self, value: Any) -> int:
        return int(isinstance(value, bytes))

    def loose_eq(self, left: Any, right: Any) -> int:
        return int(js.loose_equal(left, right))

    def strict_eq(self, left: Any, right: Any) -> int:
        return int(js.strict_equal(left, right))

    def boolean_get(self, value: Any) -> int:
        return int(value) if isinstance(value, bool) else NOT_A_BOOLEAN

    def number_get(self, out: int, value: Any) -> None:
        known = js.is_number(value)
        self._wasm.write_struct(out, "<ixxxxd", known, float(value) if known else 0.0)

    def bigint_get(self, out: int, value: Any) -> None:
        known = isinstance(value, BigInt)
        self._wasm.write_struct(out, "<ixxxxq", known, int(value) if known else 0)

    def string_get(self, out: int, value: Any) -> None:
        self._return_string(out, value)

    def to_string(self, out: int, value: Any) -> None:
        self._return_string(out, value if isinstance(value, str) else js.to_display(value))

    def debug_string(self, out: int, value: Any) -> None:
        self._return_string(out, js.to_display(value))

    def to_number(self, value: Any) -> float:
        return float(value)

    def boolean_value_of(self, value: Any) -> int:
        return int(bool(value))

    def date_get_time(self, value: JSDate) -> float:
        return float(value)

    def date_now(self) -> float:
        return time.time() * 1000

    def performance_now(self, _performance: Any) -> float:
        return time.perf_counter() * 1000

    # Objects, arrays, maps, bytes.

    def get_by_key(self, target: Any, key: Any) -> Any:
        return js.get_property(target, key)

    def get_by_index(self, target: Any, index: int) -> Any:
        return js.get_property(target, index & 0xFFFFFFFF)

    def get_guarded(self, target: Any, key: Any) -> Any:
        if key is SYMBOL_ITERATOR:
            return self._iterator_factory(target)
        return self._guarded(lambda: js.get_property(target, key))

    def set_by_key(self, target: Any, key: Any, value: Any) -> None:
        js.set_property(target, key, value)

    def set_by_index(self, target: Any, index: int, value: Any) -> None:
        js.set_property(target, index & 0xFFFFFFFF, value)

    def set_guarded(self, target: Any, key: Any, value: Any) -> int:
        def assign() -> bool:
            js.set_property(target, key, value)
            return True

        return int(self._guarded(assign, False))

    def map_set(self, target: JSMap, key: Any, value: Any) -> JSMap:
        target[key] = value
        return target

    def has_key(self, key: Any, target: Any) -> int:
        return int(js.get_property(target, key) is not UNDEFINED)

    def has_guarded(self, target: Any, key: Any) -> int:
        return int(self._guarded(lambda: js.get_property(target, key) is not UNDEFINED, False))

    def object_entries(self, target: dict[str, Any]) -> list[list[Any]]:
        return [[key, value] for key, value in target.items()]

    def array_push(self, target: list[Any], value: Any) -> int:
        target.append(value)
        return len(target)

    def length(self, target: Any) -> int:
        return len(target)

    def copy_bytes_out(self, pointer: int, length: int, source: Any) -> None:
        self._wasm.write_bytes(pointer, bytes(source)[: length & 0xFFFFFFFF])

    def subarray(self, array: Uint8Array, start: int, end: int) -> Uint8Array:
        return array.subarray(start & 0xFFFFFFFF, end & 0xFFFFFFFF)

    # Iterators.

    def symbol_iterator(self) -> object:
        return SYMBOL_ITERATOR

    def _iterator_factory(self, target: Any) -> Any:
        if isinstance(target, JSMap):
            return lambda *_: iter(self.object_entries(target))
        if isinstance(target, list):
            return lambda *_: iter(target)
        return UNDEFINED

    def iterator_next_method(self, iterator: Iterator[Any]) -> Callable[..., Any]:
        return lambda *_: self.iterator_next(iterator)

    def iterator_next(self, iterator: Iterator[Any]) -> dict[str, Any]:
        try:
            return {"done": False, "value": next(iterator)}
        except StopIteration:
            return {"done": True, "value": UNDEFINED}

    def iterator_done(self, step: dict[str, Any]) -> int:
        return int(bool(step["done"]))

    def iterator_value(self, step: dict[str, Any]) -> Any:
        return step["value"]

    # Functions, promises, the job queue.

    def call_0(self, function: Callable[..., Any], _this: Any) -> Any:
        return self._guarded(lambda: function())

    def call_1(self, function: Callable[..., Any], _this: Any, argument: Any) -> Any:
        return self._guarded(lambda: function(argument))

    def closure(self, data: int, vtable: int) -> "RustClosure":
        return RustClosure(self._wasm, data, vtable)

    def closure_unref(self, closure: "RustClosure") -> None:
        closure.release()

    def new_promise(self, data: int, vtable: int) -> Promise:
        """`new Promise(executor)`, the executor being a Rust closure that is called at once and only once."""
        promise = Promise(self.loop)
        self._wasm.call("closure_invoke_2", data, vtable, promise.resolve, promise.reject)
        return promise

    def promise_resolve(self, value: Any) -> Promise:
        return Promise.resolved(self.loop, value)

    def promise_then(self, promise: Promise, on_value: Any) -> Promise:
        return promise.then(on_value)

    def promise_then_catch(self, promise: Promise, on_value: Any, on_reason: Any) -> Promise:
        return promise.then(on_value, on_reason)

    def queue_microtask(self, function: Callable[..., Any]) -> None:
        self.loop.enqueue(lambda: function(UNDEFINED))

    def get_queue_microtask(self, target: Any) -> Any:
        return js.get_property(target, "queueMicrotask")

    def set_timeout(self, function: Callable[..., Any], milliseconds: int) -> float:
        self.loop.call_later((milliseconds & 0xFFFFFFFF) / 1000, lambda: function(UNDEFINED))
        return 1.0

    def regexp_exec(self, pattern: re.Pattern[str], pointer: int, length: int) -> int:
        match = pattern.search(self._wasm.read_string(pointer, length))
        if match is None:
            return 0
        groups = [UNDEFINED if group is None else group for group in match.groups()]
        return self._wasm.add_ref([match.group(0), *groups])

    # The environment: a browser's, because that asks least of the host.

    def global_this(self) -> int:
        return self._wasm.add_ref(self._globals)

    def absent_global(self) -> int:
        return 0

    def absent_property(self, _target: Any) -> Any:
        return UNDEFINED

    def get_crypto(self, target: Any) -> Any:
        return js.get_property(target, "crypto")

    def require(self) -> Any:
        return UNDEFINED

    def get_random_values(self, crypto: Any, array: Uint8Array) -> None:
        self._guarded(lambda: crypto.getRandomValues(array))

    def random_fill_sync(self, _crypto: Any, array: Uint8Array) -> None:
        array.fill_from(os.urandom(len(array)))

    # The engines' own classes.

    def wrap_schema_engine(self, pointer: int) -> int:
        return pointer


class RustClosure:
    """A Rust closure as a JavaScript function, freed when the engine releases it and no call is running."""

    def __init__(self, wasm: Guest, data: int, vtable: int) -> None:
        self._wasm = wasm
        self._data = data
        self._vtable = vtable
        self._references = 1

    def __call__(self, argument: Any = UNDEFINED, *_: Any) -> Any:
        self._references += 1
        # While it runs the closure has no environment: wasm-bindgen's guard against one that calls itself.
        data, self._data = self._data, 0
        try:
            self._wasm.call("closure_invoke_1", data, self._vtable, argument)
        finally:
            self._data = data
            self.release()
        return UNDEFINED

    def release(self) -> None:
        self._references -= 1
        if self._references == 0:
            data, self._data = self._data, 0
            self._wasm.call("closure_destroy", data, self._vtable)
