"""Functions of Python that a WebAssembly module imports, called without `wasmtime.Func`'s conversions.

Those compare types in Python for each value of each call, which takes 13 µs more. The schema engine calls its
host 20,000 times to compare a small schema with its migrations. Values are converted by the kinds of the
function's type. An exception becomes a trap, and wasmtime raises it again where the module was called. This
uses private parts of wasmtime, whose version is pinned exactly.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final

import wasmtime
from wasmtime import _ffi, _func, _value

_ffi_parts: Final[Any] = _ffi
# By the names that wasmtime's `ValType` has as text: an externref is an "anyref" there.
_KINDS: Final = {
    "i32": int(_ffi_parts.WASMTIME_I32.value),
    "i64": int(_ffi_parts.WASMTIME_I64.value),
    "f32": int(_ffi_parts.WASMTIME_F32.value),
    "f64": int(_ffi_parts.WASMTIME_F64.value),
    "anyref": int(_ffi_parts.WASMTIME_EXTERNREF.value),
}
_EXTERNREF: Final = _KINDS["anyref"]
_FIELDS: Final = {kind: name for name, kind in _KINDS.items() if kind != _EXTERNREF}
_FUNCTIONS: Final[Any] = _func.FUNCTIONS
"""Keeps functions as long as their stores live, by the numbers that WebAssembly has for them."""

_context: Final = _ffi_parts.wasmtime_caller_context
_externref_data: Final = _ffi_parts.wasmtime_externref_data
_externref_new: Final = _ffi_parts.wasmtime_externref_new


def host_function(
    store: wasmtime.Store, type_: wasmtime.FuncType, function: Callable[..., Any]
) -> wasmtime.Func:
    """Makes `function` callable from WebAssembly. Its result is ignored where the type has none."""
    results = [str(each) for each in type_.results]
    if not _KINDS.keys() >= {*results, *(str(each) for each in type_.params)} or len(results) > 1:
        raise ValueError(f"host functions have no such type: {type_.params} -> {type_.results}")
    kind = _KINDS[results[0]] if results else None
    raw: Any = _ffi_parts.wasmtime_func_t()
    number = _FUNCTIONS.allocate((function, kind))
    _ffi_parts.wasmtime_func_new(
        store._context(), type_.ptr(), _called, number, _func.finalize, ctypes.byref(raw)
    )
    return wasmtime.Func._from_raw(raw)


@_ffi_parts.wasmtime_func_callback_t  # type: ignore[untyped-decorator]
def _called(number: int, caller: Any, params: Any, count: int, results: Any, _: int) -> Any:
    """Returns the address of a trap, which wasmtime then owns, or 0."""
    try:
        function, kind = _FUNCTIONS.get(number)
        context = _context(caller)
        arguments = []
        for position in range(count):
            raw = params[position]
            if (found := raw.kind) == _EXTERNREF:
                data = _externref_data(context, raw.of.externref)
                arguments.append(_value._unintern(data) if data else None)
            else:
                arguments.append(getattr(raw.of, _FIELDS[found]))
        result = function(*arguments)
        if kind is not None:
            _return(context, kind, result, results[0])
        return 0
    except BaseException as error:  # noqa: BLE001 - raised again by wasmtime where the module was called
        _func.LAST_EXCEPTION = error  # type: ignore[assignment]
        return ctypes.cast(wasmtime.Trap("python exception")._consume(), ctypes.c_void_p).value


def _return(context: Any, kind: int, value: Any, raw: Any) -> None:
    raw.kind = kind
    if kind != _EXTERNREF:
        setattr(raw.of, _FIELDS[kind], value)
    elif value is None:
        raw.of.externref.store_id = 0
    elif not _externref_new(
        context, _value._intern(value), _value._externref_finalizer, ctypes.byref(raw.of.externref)
    ):
        raise wasmtime.WasmtimeError("failed to create an externref value")
