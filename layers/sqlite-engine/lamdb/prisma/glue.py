"""Build time: which host function serves which import of an engine.

The names of imports end in hashes that change with every build of wasm-bindgen, and one stem (`new`, `get`, `set`) stands
for many functions. So an import is recognised by its stem *and* by what its JavaScript glue does *and* by its signature;
an import that matches no rule, or more than one, stops the build.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import wasmtime

from lamdb.errors import EngineError


@dataclass(frozen=True, slots=True)
class Rule:
    """`stem`: the import's name without prefix and hash. `code`: what its glue must contain. `host`: who serves it.

    `signature`: `r` externref, `i` i32, `l` i64, `d` f64; parameters, `>`, results.
    """

    stem: str
    code: str
    signature: str
    host: str


def _rules(table: str) -> tuple[Rule, ...]:
    rows = (line.split("|") for line in table.strip().splitlines())
    return tuple(Rule(*(cell.strip() for cell in row)) for row in rows)


RULES = _rules(r"""
    init_externref_table | table.set(offset + 3, false)                            | >     | init_externref_table
    set_message          | PANIC_REGISTRY.set_message(getStringFromWasm0           | ii>   | set_panic_message
    throw                | throw new Error(getStringFromWasm0                      | ii>   | throw
    Error                | ret = Error(getStringFromWasm0(arg0, arg1))             | ii>r  | new_error
    new                  | ret = new Error(getStringFromWasm0(arg0, arg1))         | ii>r  | new_error
    set_name             | arg0.name = getStringFromWasm0                          | rii>  | set_error_name
    cast                 | Ref(String) -> Externref                                | ii>r  | string
    cast                 | F64 -> Externref                                        | d>r   | number
    cast                 | I64 -> Externref                                        | l>r   | bigint_i64
    cast                 | U64 -> Externref                                        | l>r   | bigint_u64
    cast                 | Ref(Slice(U8)) -> NamedExternref("Uint8Array")          | ii>r  | bytes_window
    cast                 | makeMutClosure(arg0, arg1                               | ii>r  | closure
    new                  | ret = new Object()                                      | >r    | new_object
    new                  | ret = new Array()                                       | >r    | new_array
    new                  | ret = new Map()                                         | >r    | new_map
    new_0                | ret = new Date()                                        | >r    | new_date
    new                  | ret = new Uint8Array(arg0)                              | r>r   | new_uint8array
    new_with_length      | ret = new Uint8Array(arg0 >>> 0)                        | i>r   | new_uint8array_of_length
    new_from_slice       | ret = new Uint8Array(getArrayU8FromWasm0(arg0, arg1))   | ii>r  | new_uint8array_from_slice
    new                  | ret = new RegExp(getStringFromWasm0(arg0, arg1)         | iiii>r| new_regexp
    new_no_args          | ret = new Function(getStringFromWasm0(arg0, arg1))      | ii>r  | new_function
    new                  | ret = new Promise(cb0)                                  | ii>r  | new_promise
    is_object            | typeof(val) === 'object' && val !== null                | r>i   | is_object
    is_string            | typeof(arg0) === 'string'                               | r>i   | is_string
    is_undefined         | arg0 === undefined                                      | r>i   | is_undefined
    is_bigint            | typeof(arg0) === 'bigint'                               | r>i   | is_bigint
    is_function          | typeof(arg0) === 'function'                             | r>i   | is_function
    isArray              | Array.isArray(arg0)                                     | r>i   | is_array
    isSafeInteger        | Number.isSafeInteger(arg0)                              | r>i   | is_safe_integer
    instanceof_Map       | arg0 instanceof Map                                     | r>i   | instanceof_map
    instanceof_Promise   | arg0 instanceof Promise                                 | r>i   | instanceof_promise
    instanceof_Uint8Array| arg0 instanceof Uint8Array                              | r>i   | instanceof_uint8array
    instanceof_ArrayBuffer| arg0 instanceof ArrayBuffer                            | r>i   | instanceof_arraybuffer
    jsval_loose_eq       | arg0 == arg1                                            | rr>i  | loose_eq
    jsval_eq             | arg0 === arg1                                           | rr>i  | strict_eq
    boolean_get          | isLikeNone(ret) ? 0xFFFFFF : ret ? 1 : 0                | r>i   | boolean_get
    number_get           | setFloat64(arg0 + 8 * 1                                 | ir>   | number_get
    bigint_get_as_i64    | setBigInt64(arg0 + 8 * 1                                | ir>   | bigint_get
    string_get           | typeof(obj) === 'string' ? obj : undefined              | ir>   | string_get
    String               | ret = String(arg1)                                      | ir>   | to_string
    debug_string         | ret = debugString(arg1)                                 | ir>   | debug_string
    Number               | ret = Number(arg0)                                      | r>d   | to_number
    valueOf              | ret = arg0.valueOf()                                    | r>i   | boolean_value_of
    getTime              | ret = arg0.getTime()                                    | r>d   | date_get_time
    now                  | ret = Date.now()                                        | >d    | date_now
    now                  | ret = arg0.now()                                        | r>d   | performance_now
    get_with_ref_key     | ret = arg0[arg1]                                        | rr>r  | get_by_key
    get                  | ret = arg0[arg1 >>> 0]                                  | ri>r  | get_by_index
    get                  | handleError(function (arg0, arg1) { const ret = arg0[arg1]; | rr>r | get_guarded
    get                  | ret = Reflect.get(arg0, arg1)                           | rr>r  | get_guarded
    set                  | arg0[arg1] = arg2                                       | rrr>  | set_by_key
    set                  | arg0[arg1 >>> 0] = arg2                                 | rir>  | set_by_index
    set                  | ret = Reflect.set(arg0, arg1, arg2)                     | rrr>i | set_guarded
    set                  | ret = arg0.set(arg1, arg2)                              | rrr>r | map_set
    in                   | ret = arg0 in arg1                                      | rr>i  | has_key
    has                  | ret = Reflect.has(arg0, arg1)                           | rr>i  | has_guarded
    entries              | ret = Object.entries(arg0)                              | r>r   | object_entries
    push                 | ret = arg0.push(arg1)                                   | rr>i  | array_push
    length               | ret = arg0.length                                       | r>i   | length
    prototypesetcall     | Uint8Array.prototype.set.call(getArrayU8FromWasm0(arg0, arg1), arg2) | iir> | copy_bytes_out
    subarray             | ret = arg0.subarray(arg1 >>> 0, arg2 >>> 0)             | rii>r | subarray
    iterator             | ret = Symbol.iterator                                   | >r    | symbol_iterator
    next                 | ret = arg0.next();                                      | r>r   | iterator_next
    next                 | ret = arg0.next;                                        | r>r   | iterator_next_method
    done                 | ret = arg0.done                                         | r>i   | iterator_done
    value                | ret = arg0.value                                        | r>r   | iterator_value
    call                 | ret = arg0.call(arg1)                                   | rr>r  | call_0
    call                 | ret = arg0.call(arg1, arg2)                             | rrr>r | call_1
    cb_unref             | arg0._wbg_cb_unref()                                    | r>    | closure_unref
    resolve              | ret = Promise.resolve(arg0)                             | r>r   | promise_resolve
    then                 | ret = arg0.then(arg1)                                   | rr>r  | promise_then
    then                 | ret = arg0.then(arg1, arg2)                             | rrr>r | promise_then_catch
    queueMicrotask       | queueMicrotask(arg0)                                    | r>    | queue_microtask
    queueMicrotask       | ret = arg0.queueMicrotask                               | r>r   | get_queue_microtask
    setTimeout           | ret = setTimeout(arg0, arg1 >>> 0)                      | ri>d  | set_timeout
    exec                 | ret = arg0.exec(getStringFromWasm0(arg1, arg2))         | rii>i | regexp_exec
    static_accessor_GLOBAL_THIS | typeof globalThis === 'undefined' ? null : globalThis | >i | global_this
    static_accessor_GLOBAL | typeof global === 'undefined' ? null : global         | >i    | absent_global
    static_accessor_WINDOW | typeof window === 'undefined' ? null : window         | >i    | absent_global
    static_accessor_SELF | typeof self === 'undefined' ? null : self               | >i    | absent_global
    crypto               | ret = arg0.crypto                                       | r>r   | get_crypto
    process              | ret = arg0.process                                      | r>r   | absent_property
    versions             | ret = arg0.versions                                     | r>r   | absent_property
    node                 | ret = arg0.node                                         | r>r   | absent_property
    msCrypto             | ret = arg0.msCrypto                                     | r>r   | absent_property
    require              | ret = module.require                                    | >r    | require
    randomFillSync       | arg0.randomFillSync(arg1)                               | rr>   | random_fill_sync
    getRandomValues      | arg0.getRandomValues(arg1)                              | rr>   | get_random_values
    schemaengine_new     | ret = SchemaEngine.__wrap(arg0)                         | i>r   | wrap_schema_engine
""")

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
    """The host function that serves one import. Raises EngineError unless exactly one rule matches."""
    stem = stem_of(name)
    hosts = {
        rule.host for rule in RULES if rule.stem == stem and rule.signature == signature and rule.code in code
    }
    if len(hosts) != 1:
        found = "no host function" if not hosts else f"several host functions ({', '.join(sorted(hosts))})"
        raise EngineError(f"{found} for the import {name} ({signature}), whose glue is: {code}", hint=_HINT)
    return hosts.pop()


def bind_imports(module: wasmtime.Module, javascript: str) -> Mapping[str, str]:
    """Import name to host function name, for a whole engine. Raises EngineError on the first that is not known."""
    functions = glue_functions(javascript)
    bound: dict[str, str] = {}
    for import_ in module.imports:
        name, type_ = str(import_.name), import_.type
        if not isinstance(type_, wasmtime.FuncType) or name not in functions:
            raise EngineError(f"the import {name} has no function in the JavaScript glue", hint=_HINT)
        bound[name] = host_for(name, functions[name], signature_of(type_))
    return bound


def alias_exports(module: wasmtime.Module) -> Mapping[str, str]:
    """Stable names for the exports that run and free Rust closures. Raises EngineError if there are several of a kind."""
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


_HINT = "This build of Prisma's engines needs a new rule in lamdb/prisma/glue.py and a host function in bindgen.py."
