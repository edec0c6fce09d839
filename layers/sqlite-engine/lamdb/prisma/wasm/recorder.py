"""Python's side of the recorder: decode the log of what an engine built, in the format of recorder.wat."""

import struct
from typing import Any, cast

import wasmtime

from lamdb.errors import EngineError
from lamdb.prisma.wasm.instance import WasmInstance, load_module

_OBJECT, _ARRAY, _SET_KEY, _SET_INDEX, _NUMBER, _SIGNED, _STRING, _UNSIGNED = range(1, 9)
_PYTHON_VALUE = -1
_MAX_ID = 1 << 28
"""Handles are 31 bits, two of which are a tag: a recorder that has counted this far must be replaced."""


class Recorder:
    """Serves an engine's object-building imports and decodes what was built."""

    def __init__(self, store: wasmtime.Store, host: dict[str, wasmtime.Func]) -> None:
        self._store = store
        module, _ = load_module("recorder")
        self._instance = wasmtime.Instance(
            store, module, [host[str(import_.name)] for import_ in module.imports]
        )
        exports = self._exports = self._instance.exports(store)
        self.functions = {
            str(import_.name): cast(wasmtime.Func, exports[str(import_.name)]) for import_ in module.imports
        }
        self._log = cast(wasmtime.Memory, exports["log"])
        self._end = cast(wasmtime.Global, exports["end"])
        self._next_id = cast(wasmtime.Global, exports["next_id"])
        self._zero = wasmtime.Val.i32(0)
        # Values by id that outlive one recording: the constants, and the strings that the engine keeps.
        self._kept: dict[int, Any] = {0: None, 1: None, 2: True, 3: False}
        self._strings_kept = 0

    def start(self, wasm: WasmInstance) -> None:
        """From now on the engine's values are handles. Its table may hold nothing but the constants yet."""
        module, _ = load_module("recorder_bridge")
        available: dict[str, Any] = {"memory": wasm.memory, "refs": wasm.table}
        imports = [
            available[str(import_.name)] if import_.module == "compiler" else self._exports[str(import_.name)]
            for import_ in module.imports
        ]
        bridge = wasmtime.Instance(self._store, module, imports).exports(self._store)
        cast(wasmtime.Func, bridge["connect"])(self._store)
        cast(wasmtime.Func, bridge["replace_constants"])(self._store, wasm.constants_at)
        self._handle_at = cast(wasmtime.Func, bridge["handle_at"])
        self._list_strings = cast(wasmtime.Func, bridge["list_strings"])
        cast(wasmtime.Global, self._exports["recording"]).set_value(self._store, wasmtime.Val.i32(1))

    @property
    def exhausted(self) -> bool:
        return bool(self._next_id.value(self._store) > _MAX_ID)

    def begin(self) -> int:
        """Empty the log; the id that the next value will have."""
        self._end.set_value(self._store, self._zero)
        return int(self._next_id.value(self._store))

    def take(self, wasm: WasmInstance, slot: int, first_id: int) -> Any:
        """The value that the engine returned in a slot of its table, and which it built since `begin`."""
        handle = self._handle_at(self._store, slot)
        if handle == _PYTHON_VALUE:
            return wasm.take_ref(slot)
        wasm.free_ref(slot)
        end = self._end.value(self._store)
        strings = self._list_strings(self._store)
        values = decode(self._log.read(self._store, 0, end), first_id, self._kept)
        if strings != self._strings_kept:
            self._keep(self._log.read(self._store, end, end + 4 * strings), first_id, values)
            self._strings_kept = strings
        number = handle >> 2
        return values[number - first_id] if number >= first_id else self._kept[number]

    def _keep(self, handles: bytearray, first_id: int, values: list[Any]) -> None:
        for handle in memoryview(handles).cast("i"):
            number = handle >> 2
            if number >= first_id:
                self._kept[number] = values[number - first_id]


def decode(log: bytearray, first_id: int, kept: dict[int, Any]) -> list[Any]:
    """The values that a log builds, the first of which has id `first_id`; `kept` holds older ones by id.

    This loop is most of what a compilation costs in Python: it is written for speed.
    """
    view = memoryview(log)
    words = view.cast("i").tolist()
    values: list[Any] = []
    add = values.append
    at, end = 0, len(words)
    while at < end:
        operation = words[at]
        if operation == _SET_KEY:
            target, key, value = words[at + 1] >> 2, words[at + 2] >> 2, words[at + 3] >> 2
            values[target - first_id][values[key - first_id] if key >= first_id else kept[key]] = (
                values[value - first_id] if value >= first_id else kept[value]
            )
            at += 4
        elif operation == _STRING:
            length = words[at + 1]
            start = (at + 2) * 4
            add(str(view[start : start + length], "utf-8"))
            at += 2 + ((length + 3) >> 2)
        elif operation == _OBJECT:
            add({})
            at += 1
        elif operation == _SET_INDEX:
            value = words[at + 3] >> 2
            # Engines fill arrays in order.
            values[(words[at + 1] >> 2) - first_id].append(
                values[value - first_id] if value >= first_id else kept[value]
            )
            at += 4
        elif operation == _ARRAY:
            add([])
            at += 1
        elif operation == _NUMBER:
            number = struct.unpack_from("<d", view, (at + 1) * 4)[0]
            add(int(number) if number.is_integer() else number)
            at += 3
        elif operation in (_SIGNED, _UNSIGNED):
            add(struct.unpack_from("<q" if operation == _SIGNED else "<Q", view, (at + 1) * 4)[0])
            at += 3
        else:
            raise EngineError(f"the recorder's log is damaged: operation {operation} at word {at}")
    return values
