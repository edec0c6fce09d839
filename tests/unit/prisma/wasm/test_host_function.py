"""Functions of Python called from WebAssembly: each kind of value, exceptions, lifetimes."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import wasmtime

from lamdb.prisma.wasm.host_function import host_function

BIG = 2**40 + 5


def called(kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a module that passes its arguments on to `function`, and returns what that returns."""
    store = wasmtime.Store()
    params = " ".join([kind] * len(arguments))
    passed = " ".join(f"(local.get {position})" for position in range(len(arguments)))
    module = wasmtime.Module(
        store.engine,
        f"""(module
          (import "host" "call" (func $call (param {params}) (result {kind})))
          (func (export "run") (param {params}) (result {kind}) (call $call {passed})))""",
    )
    type_ = module.imports[0].type
    assert isinstance(type_, wasmtime.FuncType)
    instance = wasmtime.Instance(store, module, [host_function(store, type_, function)])
    run = instance.exports(store)["run"]
    assert isinstance(run, wasmtime.Func)
    return run(store, *arguments)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("i32", [0, -1, 2**31 - 1, -(2**31)]),
        ("i64", [0, -1, BIG, -BIG, 2**63 - 1]),
        ("f32", [0.0, -1.5]),
        ("f64", [0.0, -1.5, 1e300]),
        ("externref", [None, "text", 3, 2.5, True, (1, 2)]),
    ],
)
def test_values_of_each_kind_come_and_go(kind: str, values: list[Any]) -> None:
    for value in values:
        seen: list[Any] = []

        def keep(given: Any, seen: list[Any] = seen) -> Any:
            seen.append(given)
            return given

        assert called(kind, keep, value) == value
        assert seen == [value]
        assert type(seen[0]) is type(value)


def test_the_arguments_keep_their_order() -> None:
    assert called("i64", lambda first, second, third: first * 100 + second * 10 + third, 1, 2, 3) == 123


def test_an_object_is_the_same_on_both_sides() -> None:
    value = object()
    assert called("externref", lambda given: given, value) is value


def test_a_boolean_is_a_number_to_webassembly() -> None:
    assert called("i32", lambda given: given > 3, 4) == 1


@pytest.mark.parametrize("error", [ValueError("mine"), KeyError(3), KeyboardInterrupt()])
def test_an_exception_arrives_where_the_module_was_called(error: BaseException) -> None:
    def fail(_: int) -> int:
        raise error

    with pytest.raises(type(error)) as raised:
        called("i32", fail, 1)
    assert raised.value is error


@pytest.mark.parametrize(("kind", "result"), [("i32", "text"), ("i32", None), ("i64", 1.5), ("f64", "1")])
def test_a_result_of_another_kind_is_refused(kind: str, result: Any) -> None:
    with pytest.raises(TypeError):
        called(kind, lambda _: result, 1.0 if kind == "f64" else 1)


def test_a_type_without_a_result_ignores_what_is_returned() -> None:
    store = wasmtime.Store()
    seen: list[int] = []

    def keep(given: int) -> str:
        seen.append(given)
        return "ignored"

    function = host_function(store, wasmtime.FuncType([wasmtime.ValType.i32()], []), keep)
    assert function(store, 7) is None
    assert seen == [7]


@pytest.mark.parametrize(
    "type_",
    [
        wasmtime.FuncType([wasmtime.ValType.funcref()], []),
        wasmtime.FuncType([], [wasmtime.ValType.funcref()]),
        wasmtime.FuncType([], [wasmtime.ValType.i32(), wasmtime.ValType.i32()]),
    ],
)
def test_other_types_are_refused(type_: wasmtime.FuncType) -> None:
    with pytest.raises(ValueError, match="no such type"):
        host_function(wasmtime.Store(), type_, lambda: None)


def test_functions_and_values_live_as_long_as_their_store() -> None:
    class Value:
        pass

    def make() -> Value:
        value = Value()
        values.add(value)
        return value

    values: weakref.WeakSet[Value] = weakref.WeakSet()
    functions = weakref.ref(make)
    store = wasmtime.Store()
    function = host_function(store, wasmtime.FuncType([], [wasmtime.ValType.externref()]), make)
    for _ in range(3):
        assert isinstance(function(store), Value)
    del make, function
    store.close()
    gc.collect()
    assert functions() is None
    assert not values
