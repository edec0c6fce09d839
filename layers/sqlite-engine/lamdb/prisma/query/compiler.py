"""The query compiler: compiles a request in Prisma's JSON protocol to a query plan.

This is the host of `@prisma/query-compiler-wasm`. A plan is a tree of dicts, `{"type": …, "args": …}`, in the
form that Prisma's own interpreter reads. JavaScript's undefined and null are None; whole numbers are int.
"""

import re
import threading
from typing import Any

import orjson
import wasmtime

from lamdb.errors import EngineError, QueryError
from lamdb.prisma.datamodel.schema import PROVIDER, PrismaSchema
from lamdb.prisma.query.boolean_names import has_boolean_names, rename_in
from lamdb.prisma.query.client_defaults import ClientDefaults, bind
from lamdb.prisma.query.emulated_relations import emulates_relations, read_related_of_many
from lamdb.prisma.wasm.instance import WasmInstance
from lamdb.prisma.wasm.js_values import JSError
from lamdb.prisma.wasm.recorder import Recorder

MAX_BIND_VALUES = 32766
"""SQLite's own limit (SQLITE_MAX_VARIABLE_NUMBER), in place of the 999 that the compiler would assume."""

MODEL_ACTIONS = frozenset(
    [
        "findUnique",
        "findUniqueOrThrow",
        "findFirst",
        "findFirstOrThrow",
        "findMany",
        "createOne",
        "createMany",
        "createManyAndReturn",
        "updateOne",
        "updateMany",
        "updateManyAndReturn",
        "upsertOne",
        "deleteOne",
        "deleteMany",
        "aggregate",
        "groupBy",
    ]
)
_WRAPPED = re.compile(r"[A-Za-z]+\((\".*\")\)", re.DOTALL)
RAW_ACTIONS = frozenset({"executeRaw", "queryRaw"})
ACTIONS = MODEL_ACTIONS | RAW_ACTIONS

_UNSUPPORTED = re.compile(r"\bnot implemented(?:: (.+))?$")
"""Messages of panics about features that the compiler does not implement for SQLite."""
_MAX_REFUSED = 100
_MAX_REFUSED_BYTES = 4096
"""Refusals that are kept, so that the same request (of so many bytes) does not make it panic again."""

_MAX_MEMORY = 256 * 1024 * 1024
"""An instance with more memory than this is replaced, because WebAssembly memory never shrinks."""


class _Instance:
    """One compiler in WebAssembly, bound to a schema. Not thread-safe."""

    def __init__(self, datamodel: str) -> None:
        self._wasm = WasmInstance("query_compiler", overrides=self._install_recorder)
        parameters = {
            "datamodel": datamodel,
            "provider": PROVIDER,
            "connectionInfo": {"supportsRelationJoins": False, "maxBindValues": MAX_BIND_VALUES},
        }
        pointer, thrown, failed = self._wasm.call("querycompiler_new", parameters)
        if failed:
            raise EngineError(f"The query compiler refused the schema: {self._wasm.take_ref(thrown)}")
        self._pointer = pointer
        self._recorder.start(self._wasm)

    def _install_recorder(
        self, store: wasmtime.Store, host: dict[str, wasmtime.Func]
    ) -> dict[str, wasmtime.Func]:
        self._recorder = Recorder(store, host)
        return self._recorder.functions

    @property
    def worn_out(self) -> bool:
        return self._recorder.exhausted or self._wasm.memory_size > _MAX_MEMORY

    def run(self, function: str, request: bytes) -> tuple[Any, bool]:
        """The compiler's output, and whether it is an error."""
        first_id = self._recorder.begin()
        pointer, length = self._wasm.pass_bytes(request)
        result, thrown, failed = self._wasm.call(function, self._pointer, pointer, length)
        return self._recorder.take(self._wasm, thrown if failed else result, first_id), bool(failed)


class QueryCompiler:
    """Compiles requests for one schema. Thread-safe: one thread compiles at a time.

    The compiler is created at the first use, which takes 3 ms for a small schema and 20 ms for 100 models.
    """

    def __init__(self, schema: PrismaSchema) -> None:
        self.schema = schema
        self._lock = threading.Lock()
        self._instance: _Instance | None = None
        self._refused: dict[bytes, str] = {}
        self._has_boolean_names = has_boolean_names(schema.text)
        self._emulates_relations = emulates_relations(schema.text)
        self._defaults = ClientDefaults.of(schema.text)

    def warm_up(self) -> None:
        """Creates the compiler before the first request."""
        with self._lock:
            self._instance = self._instance or _Instance(self.schema.text)

    def compile(self, request: str | bytes) -> dict[str, Any]:
        """Returns the plan of a request, `{modelName?, action, query: {arguments, selection}}` as JSON text.

        Raises QueryError with Prisma's code (usually P2009), message and meta if the request does not match
        the schema, QueryError P2026 if the compiler does not implement the request, and EngineError if the
        compiler trapped for another reason. After a trap, the next request creates a new compiler.
        """
        parsed = _parse(request)
        _check_action(parsed)
        made = self._defaults.fill(parsed) if self._defaults is not None else None
        if not made:
            return self._run("querycompiler_compile", request)
        return bind(self._run("querycompiler_compile", orjson.dumps(parsed)), made)

    def _run(self, function: str, request: str | bytes) -> dict[str, Any]:
        data = request if isinstance(request, bytes) else request.encode()
        with self._lock:
            if data in self._refused:
                raise _unsupported(self._refused[data])
            instance, self._instance = self._instance or _Instance(self.schema.text), None
            try:
                answer, failed = instance.run(function, data)
            except EngineError as error:
                found = _UNSUPPORTED.search(error.message)
                if found is None:
                    raise
                feature = found[1] or "it is not implemented"
                self._refuse(data, feature)
                raise _unsupported(feature) from error
            # An instance that trapped is not used again, nor one that has served too long.
            if not instance.worn_out:
                self._instance = instance
        if failed:
            raise _query_error(answer)
        plan: dict[str, Any] = answer
        if self._has_boolean_names:
            rename_in(plan)
        return read_related_of_many(plan) if self._emulates_relations else plan

    def _refuse(self, request: bytes, feature: str) -> None:
        if len(self._refused) >= _MAX_REFUSED:
            self._refused.clear()
        if len(request) <= _MAX_REFUSED_BYTES:
            self._refused[request] = feature


def _unsupported(feature: str) -> QueryError:
    return QueryError(
        f"The current database provider doesn't support a feature that the query used: {feature}",
        code="P2026",
    )


def _parse(request: str | bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(request)
    except orjson.JSONDecodeError as error:
        raise QueryError(f"The request is not JSON: {error}", code="P2009") from None
    if not isinstance(parsed, dict):
        raise QueryError("The request is not a JSON object.", code="P2009")
    return parsed


def _check_action(request: Any) -> None:
    """The compiler panics on an action that it does not know."""
    action = request.get("action") if isinstance(request, dict) else None
    if not isinstance(action, str) or action not in ACTIONS:
        raise QueryError(f"Unknown action: {action!r}.", code="P2009", meta={"kind": "UnknownAction"})


def _query_error(thrown: Any) -> QueryError:
    if isinstance(thrown, JSError):
        return QueryError(_without_wrapping(thrown.message), code="P2009")
    return QueryError(
        _without_wrapping(thrown["message"]), code=thrown.get("code") or "P2009", meta=thrown.get("meta")
    )


def _without_wrapping(message: str) -> str:
    """The text of a message that the compiler wrote for its own developers, as `AssertionError("…")`."""
    found = _WRAPPED.fullmatch(message)
    if found is None:
        return message
    try:
        text: str = orjson.loads(found[1])
    except orjson.JSONDecodeError:
        return found[1].strip('"')
    return text
