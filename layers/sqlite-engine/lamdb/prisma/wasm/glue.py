"""Build time: assigns host functions to the imports of an engine.

The names of imports end in hashes that change with every build of wasm-bindgen, and one stem (`new`, `get`)
stands for many functions. So an import is recognised by its stem *and* by its signature *and* by what its
JavaScript glue does; an import that matches no rule, or more than one, stops the build.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import wasmtime

from lamdb.errors import EngineError


@dataclass(frozen=True, slots=True)
class Rule:
    """How to recognise the import that a host function serves.

    `stem` is the import's name without prefix and hash, `code` what its glue must contain. `signature` has
    the letters of the parameters, `>` and those of the results: `r` externref, `i` i32, `l` i64, `d` f64.
    """

    host: str
    stem: str
    signature: str
    code: str


def _rules(table: str) -> tuple[Rule, ...]:
    rows = (line.split("|", 3) for line in table.strip().splitlines())
    return tuple(Rule(*(cell.strip() for cell in row)) for row in rows)


RULES = _rules(r"""
    init_externref_table      | init_externref_table   | >     | table.set(offset + 3, false)
    set_panic_message         | set_message            | ii>   | PANIC_REGISTRY.set_message(getStringFromWasm0
    throw                     | throw                  | ii>   | throw new Error(getStringFromWasm0
    new_error                 | Error                  | ii>r  | ret = Error(getStringFromWasm0(
    new_error                 | new                    | ii>r  | ret = new Error(getStringFromWasm0(
    set_error_name            | set_name               | rii>  | arg0.name = getStringFromWasm0
    string                    | cast                   | ii>r  | Ref(String) -> Externref
    number                    | cast                   | d>r   | F64 -> Externref
    bigint_i64                | cast                   | l>r   | I64 -> Externref
    bigint_u64                | cast                   | l>r   | U64 -> Externref
    bytes_window              | cast                   | ii>r  | Ref(Slice(U8)) -> NamedExternref(
    closure                   | cast                   | ii>r  | makeMutClosure(arg0, arg1
    new_object                | new                    | >r    | ret = new Object()
    new_array                 | new                    | >r    | ret = new Array()
    new_map                   | new                    | >r    | ret = new Map()
    new_date                  | new_0                  | >r    | ret = new Date()
    new_uint8array            | new                    | r>r   | ret = new Uint8Array(arg0)
    new_uint8array_of_length  | new_with_length        | i>r   | ret = new Uint8Array(arg0 >>> 0)
    new_uint8array_from_slice | new_from_slice         | ii>r  | new Uint8Array(getArrayU8FromWasm0(
    new_regexp                | new                    | iiii>r | ret = new RegExp(getStringFromWasm0(
    new_function              | new_no_args            | ii>r  | ret = new Function(getStringFromWasm0(
    new_promise               | new                    | ii>r  | ret = new Promise(cb0)
    is_object                 | is_object              | r>i   | typeof(val) === 'object' && val !== null
    is_string                 | is_string              | r>i   | typeof(arg0) === 'string'
    is_undefined              | is_undefined           | r>i   | arg0 === undefined
    is_bigint                 | is_bigint              | r>i   | typeof(arg0) === 'bigint'
    is_function               | is_function            | r>i   | typeof(arg0) === 'function'
    is_array                  | isArray                | r>i   | Array.isArray(arg0)
    is_safe_integer           | isSafeInteger          | r>i   | Number.isSafeInteger(arg0)
    instanceof_map            | instanceof_Map         | r>i   | arg0 instanceof Map
    instanceof_promise        | instanceof_Promise     | r>i   | arg0 instanceof Promise
    instanceof_uint8array     | instanceof_Uint8Array  | r>i   | arg0 instanceof Uint8Array
    instanceof_arraybuffer    | instanceof_ArrayBuffer | r>i   | arg0 instanceof ArrayBuffer
    loose_eq                  | jsval_loose_eq         | rr>i  | arg0 == arg1
    strict_eq                 | jsval_eq               | rr>i  | arg0 === arg1
    boolean_get               | boolean_get            | r>i   | isLikeNone(ret) ? 0xFFFFFF : ret ? 1 : 0
    number_get                | number_get             | ir>   | setFloat64(arg0 + 8 * 1
    bigint_get                | bigint_get_as_i64      | ir>   | setBigInt64(arg0 + 8 * 1
    string_get                | string_get             | ir>   | typeof(obj) === 'string' ? obj : undefined
    to_string                 | String                 | ir>   | ret = String(arg1)
    debug_string              | debug_string           | ir>   | ret = debugString(arg1)
    to_number                 | Number                 | r>d   | ret = Number(arg0)
    boolean_value_of          | valueOf                | r>i   | ret = arg0.valueOf()
    date_get_time             | getTime                | r>d   | ret = arg0.getTime()
    date_now                  | now                    | >d    | ret = Date.now()
    performance_now           | now                    | r>d   | ret = arg0.now()
    get_by_key                | get_with_ref_key       | rr>r  | ret = arg0[arg1]
    get_by_index              | get                    | ri>r  | ret = arg0[arg1 >>> 0]
    get_guarded               | get                    | rr>r  | ret = arg0[arg1];
    get_guarded               | get                    | rr>r  | ret = Reflect.get(arg0, arg1)
    set_by_key                | set                    | rrr>  | arg0[arg1] = arg2
    set_by_index              | set                    | rir>  | arg0[arg1 >>> 0] = arg2
    set_guarded               | set                    | rrr>i | ret = Reflect.set(arg0, arg1, arg2)
    map_set                   | set                    | rrr>r | ret = arg0.set(arg1, arg2)
    has_key                   | in                     | rr>i  | ret = arg0 in arg1
    has_guarded               | has                    | rr>i  | ret = Reflect.has(arg0, arg1)
    object_entries            | entries                | r>r   | ret = Object.entries(arg0)
    array_push                | push                   | rr>i  | ret = arg0.push(arg1)
    length                    | length                 | r>i   | ret = arg0.length
    copy_bytes_out            | prototypesetcall       | iir>  | Uint8Array.prototype.set.call(
    subarray                  | subarray               | rii>r | ret = arg0.subarray(arg1 >>> 0, arg2 >>> 0)
    symbol_iterator           | iterator               | >r    | ret = Symbol.iterator
    iterator_next             | next                   | r>r   | ret = arg0.next();
    iterator_next_method      | next                   | r>r   | ret = arg0.next;
    iterator_done             | done                   | r>i   | ret = arg0.done
    iterator_value            | value                  | r>r   | ret = arg0.value
    call_0                    | call                   | rr>r  | ret = arg0.call(arg1)
    call_1                    | call                   | rrr>r | ret = arg0.call(arg1, arg2)
    closure_unref             | cb_unref               | r>    | arg0._wbg_cb_unref()
    promise_resolve           | resolve                | r>r   | ret = Promise.resolve(arg0)
    promise_then              | then                   | rr>r  | ret = arg0.then(arg1)
    promise_then_catch        | then                   | rrr>r | ret = arg0.then(arg1, arg2)
    queue_microtask           | queueMicrotask         | r>    | queueMicrotask(arg0)
    get_queue_microtask       | queueMicrotask         | r>r   | ret = arg0.queueMicrotask
    set_timeout               | setTimeout             | ri>d  | ret = setTimeout(arg0, arg1 >>> 0)
    regexp_exec               | exec                   | rii>i | ret = arg0.exec(getStringFromWasm0(
    global_this               | static_accessor_GLOBAL_THIS | >i    | ? null : globalThis;
    absent_global             | static_accessor_GLOBAL | >i    | ? null : global;
    absent_global             | static_accessor_WINDOW | >i    | ? null : window;
    absent_global             | static_accessor_SELF   | >i    | ? null : self;
    get_crypto                | crypto                 | r>r   | ret = arg0.crypto
    absent_property           | process                | r>r   | ret = arg0.process
    absent_property           | versions               | r>r   | ret = arg0.versions
    absent_property           | node                   | r>r   | ret = arg0.node
    absent_property           | msCrypto               | r>r   | ret = arg0.msCrypto
    require                   | require                | >r    | ret = module.require
    random_fill_sync          | randomFillSync         | rr>   | arg0.randomFillSync(arg1)
    get_random_values         | getRandomValues        | rr>   | arg0.getRandomValues(arg1)
    wrap_schema_engine        | schemaengine_new       | i>r   | ret = SchemaEngine.__wrap(arg0)
""")

GUARDED = frozenset(
    {
        "call_0",
        "call_1",
        "get_guarded",
        "get_random_values",
        "has_guarded",
        "iterator_next",
        "random_fill_sync",
        "require",
        "set_guarded",
    }
)
"""Those that hand JavaScript exceptions to the engine, as the glue does with `handleError`."""

_FUNCTION = re.compile(
    r"^(?:export function |exports\.)(?P<name>__wb\w+)(?P<code>.*?)^\}", re.DOTALL | re.MULTILINE
)
_PREFIX = re.compile(r"^(?:__wbg___wbindgen_|__wbindgen_|__wbg__wbg_|__wbg_)")
_HASH = re.compile(r"_[0-9a-f]{16}$")
_LETTERS = {"i32": "i", "i64": "l", "f64": "d", "anyref": "r", "externref": "r"}


def glue_functions(javascript: str) -> dict[str, str]:
    """The code of each import's glue function, with runs of white space as one blank."""
    return {match["name"]: " ".join(match["code"].split()) for match in _FUNCTION.finditer(javascript)}


def stem_of(name: str) -> str:
    return _HASH.sub("", _PREFIX.sub("", name))


def signature_of(type_: wasmtime.FuncType) -> str:
    def letters(types: Iterable[wasmtime.ValType]) -> str:
        return "".join(_LETTERS.get(str(type_), "?") for type_ in types)

    return f"{letters(type_.params)}>{letters(type_.results)}"


def host_for(name: str, code: str, signature: str) -> str:
    """The host function that serves one import. Raises EngineError unless exactly one does."""
    stem = stem_of(name)
    hosts = {
        rule.host for rule in RULES if rule.stem == stem and rule.signature == signature and rule.code in code
    }
    hosts = {host for host in hosts if (host in GUARDED) == ("handleError(" in code)}
    if len(hosts) != 1:
        found = f"{len(hosts)} host functions ({', '.join(sorted(hosts))})" if hosts else "No host function"
        raise EngineError(f"{found} for the import {name} ({signature}), whose glue is: {code}", hint=_HINT)
    return hosts.pop()


def bind_imports(module: wasmtime.Module, javascript: str) -> Mapping[str, str]:
    """Import name to host function name for a whole engine. Raises EngineError on the first unknown one."""
    functions = glue_functions(javascript)
    bound: dict[str, str] = {}
    for import_ in module.imports:
        name, type_ = str(import_.name), import_.type
        if not isinstance(type_, wasmtime.FuncType) or name not in functions:
            raise EngineError(f"the import {name} has no function in the JavaScript glue", hint=_HINT)
        bound[name] = host_for(name, functions[name], signature_of(type_))
    return bound


def alias_exports(module: wasmtime.Module) -> Mapping[str, str]:
    """Stable names for the exports that run and free Rust closures. Raises EngineError on ambiguity."""
    names = [str(export.name) for export in module.exports]
    invokers = [name for name in names if "closures_____invoke" in name]
    candidates = {
        "closure_invoke_1": [name for name in invokers if name.count("JsValue") == 1],
        "closure_invoke_2": [name for name in invokers if name.count("JsValue") == 2],
        "closure_destroy": [name for name in names if "closure__destroy" in name],
    }
    for alias, found in candidates.items():
        if len(found) > 1:
            raise EngineError(f"several exports could be {alias}: {', '.join(found)}", hint=_HINT)
    return {alias: found[0] for alias, found in candidates.items() if found}


_HINT = "This build of Prisma's engines needs a rule in wasm/glue.py and a function in bindgen.py."
