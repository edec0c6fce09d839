"""Runs a wasm-bindgen module in wasmtime: shared modules, instances, strings, traps.

The calling convention is that of wasm-bindgen's JavaScript glue for the `bundler` and `nodejs` targets:
strings pass as (pointer, length) in linear memory, JavaScript values as externrefs, of which the module keeps
some in a table.
"""

import atexit
import struct
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import wasmtime

from lamdb.errors import EngineError
from lamdb.prisma.wasm.artifacts import ENGINES_DIR, Artifact, engine_config, trusted_artifact
from lamdb.prisma.wasm.bindgen import HostFunctions
from lamdb.prisma.wasm.host_function import host_function
from lamdb.prisma.wasm.js_values import UNDEFINED, JSError

TRAP_HINT = "The engine was restarted. Please report this with the schema and the request."

_load_lock = threading.Lock()


@cache
def shared_engine() -> wasmtime.Engine:
    return wasmtime.Engine(engine_config())


@cache
def _deserialized(name: str, directory: Path) -> tuple[wasmtime.Module, Artifact]:
    path, artifact = trusted_artifact(name, directory)
    try:
        module = wasmtime.Module.deserialize_file(shared_engine(), str(path))
    except wasmtime.WasmtimeError as error:
        raise EngineError(f"wasmtime refuses {path.name}: {error}") from error
    return module, artifact


def load_module(name: str, directory: Path = ENGINES_DIR) -> tuple[wasmtime.Module, Artifact]:
    """A compiled engine and what the manifest says of it. Loaded once per process. Raises EngineError."""
    with _load_lock:
        return _deserialized(name, directory)


_live: weakref.WeakSet["WasmInstance"] = weakref.WeakSet()


@atexit.register
def _close_live_instances() -> None:
    """Freeing a store calls back into Python, which crashes once the interpreter is being torn down."""
    for instance in list(_live):
        instance.close()


class WasmInstance:
    """One instance of a wasm-bindgen module with its own store: cheap, single-threaded, lost after a trap.

    `overrides` serves imports by other means than the Python host functions, by host function name.
    """

    def __init__(
        self,
        name: str,
        *,
        overrides: Callable[[wasmtime.Store, dict[str, wasmtime.Func]], dict[str, wasmtime.Func]]
        | None = None,
        directory: Path = ENGINES_DIR,
    ) -> None:
        module, artifact = load_module(name, directory)
        self._aliases = artifact.aliases
        self.name = name
        self.store = wasmtime.Store(shared_engine())
        _live.add(self)
        self.panic_message: str | None = None
        self.constants_at = 0
        self.host = HostFunctions(self)
        python = {
            host_name: host_function(
                self.store, cast(wasmtime.FuncType, import_.type), getattr(self.host, host_name)
            )
            for import_, host_name in self._served(module, artifact)
        }
        served = python | (overrides(self.store, python) if overrides else {})
        self._instance = wasmtime.Instance(
            self.store, module, [served[host_name] for _, host_name in self._served(module, artifact)]
        )
        exports = self._instance.exports(self.store)
        self.exports = exports
        self.memory = cast(wasmtime.Memory, exports["memory"])
        self.table = cast(wasmtime.Table, exports["__wbindgen_externrefs"])
        self._malloc = self.function("__wbindgen_malloc")
        self.call("__wbindgen_start")

    def _served(self, module: wasmtime.Module, artifact: Artifact) -> list[tuple[wasmtime.ImportType, str]]:
        served = []
        for import_ in module.imports:
            host_name = artifact.imports.get(str(import_.name))
            if host_name is None or not hasattr(self.host, host_name):
                raise EngineError(
                    f"Prisma's compiled engines are stale: nothing serves {self.name}'s import {import_.name}"
                )
            served.append((import_, host_name))
        return served

    def close(self) -> None:
        """Free the instance's memory now; garbage collection does it otherwise."""
        self.store.close()

    # Calling.

    def function(self, name: str) -> wasmtime.Func:
        return cast(wasmtime.Func, self.exports[self._aliases.get(name, name)])

    def call(self, name: str, *arguments: Any) -> Any:
        """Call an export with raw arguments. Raises EngineError if it traps: the instance is then lost."""
        return self.invoke(self.function(name), *arguments)

    def invoke(self, function: wasmtime.Func, *arguments: Any) -> Any:
        try:
            return function(self.store, *arguments)
        except (wasmtime.Trap, wasmtime.WasmtimeError, JSError) as error:
            # An exception that leaves WebAssembly skips the engine's own clean-up: it counts as a trap.
            reason = self.panic_message or str(error).splitlines()[0]
            raise EngineError(
                f"Prisma's {self.name.replace('_', ' ')} failed: {reason}", hint=TRAP_HINT
            ) from error

    # Memory and strings.

    @property
    def memory_size(self) -> int:
        """Bytes of linear memory."""
        return int(self.memory.data_len(self.store))

    def read_bytes(self, pointer: int, length: int) -> bytes:
        start = pointer & 0xFFFFFFFF
        return bytes(self.memory.read(self.store, start, start + length)) if length else b""

    def write_bytes(self, pointer: int, data: bytes) -> None:
        self.memory.write(self.store, data, pointer & 0xFFFFFFFF)

    def read_string(self, pointer: int, length: int) -> str:
        return self.read_bytes(pointer, length).decode()

    def pass_bytes(self, data: bytes) -> tuple[int, int]:
        """Copy into memory that the engine then owns: (pointer, length)."""
        pointer = self.invoke(self._malloc, len(data), 1)
        self.write_bytes(pointer, data)
        return pointer, len(data)

    def write_struct(self, pointer: int, layout: str, *values: Any) -> None:
        self.write_bytes(pointer, struct.pack(layout, *values))

    def take_string(self, pointer: int, length: int) -> str:
        """A string that the engine returned, which is freed."""
        text = self.read_string(pointer, length)
        self.call("__wbindgen_free", pointer, length, 1)
        return text

    # The table of externrefs.

    def fill_constants(self) -> None:
        """The initial slots that wasm-bindgen expects: undefined in slot 0, and four constants behind the
        slots it reserved."""
        table = self.table
        self.constants_at = table.grow(self.store, 4, UNDEFINED)
        table.set(self.store, 0, UNDEFINED)
        for offset, value in enumerate((UNDEFINED, None, True, False)):
            table.set(self.store, self.constants_at + offset, value)

    def take_ref(self, index: int) -> Any:
        """The value in a slot, which is freed."""
        value = self.table.get(self.store, index)
        self.free_ref(index)
        return value

    def free_ref(self, index: int) -> None:
        self.call("__externref_table_dealloc", index)

    def add_ref(self, value: Any) -> int:
        """Put a value in a new slot: its index."""
        index = self.call("__externref_table_alloc")
        self.table.set(self.store, index, value)
        return int(index)

    def call_strings(self, name: str, *arguments: str) -> Sequence[int]:
        """Call an export that takes strings only; the raw results."""
        raw = [part for text in arguments for part in self.pass_bytes(text.encode())]
        results = self.call(name, *raw)
        return cast(Sequence[int], results if results is not None else ())
