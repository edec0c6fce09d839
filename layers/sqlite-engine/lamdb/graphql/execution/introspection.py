"""Answers introspection: `__schema` and `__type`.

Tools fetch the whole schema with one of a few well-known queries, and the answer is large (4 MB at 30
models), so it is computed when the schema is deployed and kept compressed:

    blob = precompute(types)                          # when the schema is deployed; store it
    introspector = Introspector(types, blob)
    introspector.whole(operation, fragments)          # gzipped body, or None: not such a query
    introspector.resolve(selected, collector, flags)  # the value of any `__schema` or `__type` field

A query is recognised by what it selects, not by its text: names of fragments, spaces and how deep it
follows `ofType` do not matter. Whatever else a query asks is answered by graphql-core's own resolvers,
called straight from the selection: its executor would take ten times as long. The number of values is
limited, because types refer to each other in circles.
"""

import gzip
import hashlib
import re
import sys
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from threading import Lock
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import orjson
from graphql.language import (
    FragmentDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    parse,
)
from graphql.type import (
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLWrappingType,
    SchemaMetaFieldDef,
    TypeMetaFieldDef,
    get_named_type,
    get_nullable_type,
    introspection_types,
    is_list_type,
)

from lamdb.errors import DocumentTooLarge
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.document.values import Variable
from lamdb.graphql.schema.lazy import InputObjectType, LazySchema
from lamdb.graphql.schema.types import ApiTypes

type Resolver = Callable[..., Any]
type Fragments = Mapping[str, FragmentDefinitionNode]

MAX_VALUES: Final = 2_000_000
"""A standard query takes 0.75 million at 100 models; 2 million take some 4 s."""

# Values of `[X!]!` are three wrappers deep; below them `ofType` is null, whatever is asked of it.
_WRAPPERS: Final = 3
_CACHED: Final = 8
_INPUT_FIELDS: Final = cast(GraphQLObjectType, introspection_types["__Type"]).fields["inputFields"].resolve
_ROOTS: Final[Mapping[str, GraphQLField]] = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


def _standard_queries() -> tuple[str, ...]:
    """The introspection queries of graphql.js: the present one, those before version 16.9, and the one with
    all of October 2021."""
    from graphql.utilities import get_introspection_query  # few processes deploy

    today = get_introspection_query()
    before = re.sub(r"name\s+kind\b", "kind name", today.replace("Type { name kind }", "Type { name }"))
    everything = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    return today, before, everything


class _Step(NamedTuple):
    """One response name of a selection: how its value is found, and the steps below it."""

    key: str
    resolve: Resolver
    arguments: dict[str, Any]
    is_list: bool
    below: "list[_Step] | None"


class Introspector:
    """Answers introspection. Safe to use from several threads."""

    def __init__(
        self,
        types: ApiTypes,
        precomputed: bytes | None = None,
        *,
        max_values: int = MAX_VALUES,
        schema: LazySchema | None = None,
    ) -> None:
        """`schema` is one of these types, to be built once for all answers; it keeps what is built."""
        self._types = types
        self._schema = schema
        self._max_values = max_values
        self._lock = Lock()
        # Fingerprints in hexadecimal, answers in base64.
        self._precomputed: Mapping[str, str] = orjson.loads(precomputed) if precomputed else {}
        self._answered: OrderedDict[bytes, bytes] = OrderedDict()

    def whole(self, operation: OperationDefinitionNode, fragments: Fragments) -> bytes | None:
        """The response's body, gzipped, to a query that fetches the schema and nothing else.

        `None` if the operation is not such a query, or has variables. Raises `DocumentTooLarge`.
        """
        if operation.operation is not OperationType.QUERY or operation.variable_definitions:
            return None
        collector = Collector(fragments, {})
        selected = collector.collect([operation.selection_set])
        if [field.name for field in selected] != ["__schema"]:
            return None
        key = _fingerprint(selected, collector)
        precomputed = self._precomputed.get(key.hex())
        found = b64decode(precomputed) if precomputed is not None else self._answered.get(key)
        if found is None:
            data = {field.key: self.resolve(field, collector, {}) for field in selected}
            found = _body(data)
            with self._lock:
                self._answered[key] = found
                if len(self._answered) > _CACHED:
                    self._answered.popitem(last=False)
        return found

    def resolve(self, selected: Selected, collector: Collector, variables: Mapping[str, Any]) -> Any:
        """The value of a root field `__schema` or `__type`. Raises `DocumentTooLarge`."""
        # A schema of its own, for all the types that are built for the answer go with it.
        schema = self._schema or LazySchema(self._types.copy())
        steps = _steps([selected], None, collector, variables)
        return _Walk(schema, self._max_values).run(steps, None)[selected.key]


def precompute(types: ApiTypes) -> bytes:
    """The answers to the standard introspection queries, for `Introspector`, however large they are.

    Models that refer to each other have many input types that are nearly alike: the answers grow with their
    number. Some 0.1 s and 180 KB at 30 models.
    """
    introspector = Introspector(types, max_values=sys.maxsize, schema=LazySchema(types))
    answers: dict[bytes, bytes] = {}
    for query in _standard_queries():
        document = parse(query, no_location=True)
        fragments = {
            made.name.value: made for made in document.definitions if isinstance(made, FragmentDefinitionNode)
        }
        operation = cast(OperationDefinitionNode, document.definitions[0])
        collector = Collector(fragments, {})
        key = _fingerprint(collector.collect([operation.selection_set]), collector)
        answers[key] = cast(bytes, introspector.whole(operation, fragments))
    return orjson.dumps({key.hex(): b64encode(answer).decode() for key, answer in answers.items()})


class _Walk:
    """Follows steps through graphql-core's types and counts the values that it produces.

    Most of an answer are references to types and fields of input types, the same ones over and over: each is
    worked out once.
    """

    def __init__(self, schema: LazySchema, max_values: int) -> None:
        # All that the resolvers look at in a GraphQLResolveInfo.
        self._info = SimpleNamespace(schema=schema)
        self._left = max_values
        self._known: dict[tuple[int, int], tuple[dict[str, Any], int]] = {}
        self._known_fields: dict[tuple[int, str, str], tuple[dict[str, Any], int]] = {}

    def run(self, steps: list[_Step], source: Any) -> dict[str, Any]:
        """The values of `steps` for `source`. Raises `DocumentTooLarge`."""
        # The steps and the schema's types live as long as the walk, so their identities are theirs alone.
        key = (id(steps), id(source))
        known = self._known.get(key)
        if known is not None:
            self._spend(known[1])
            return known[0]
        before = self._left
        self._spend(len(steps))
        answer: dict[str, Any] = {}
        for name, resolve, arguments, is_list, below in steps:
            if resolve is _INPUT_FIELDS and below is not None and isinstance(source, InputObjectType):
                answer[name] = self._input_fields(below, source)
                continue
            value = resolve(source, self._info, **arguments)
            if value is None:
                answer[name] = None
            elif below is None:
                answer[name] = [_plain(item) for item in value] if is_list else _plain(value)
            elif is_list:
                answer[name] = [self.run(below, item) for item in value]
            else:
                answer[name] = self.run(below, value)
        if isinstance(source, GraphQLNamedType | GraphQLWrappingType):
            self._known[key] = answer, before - self._left
        return answer

    def _input_fields(self, steps: list[_Step], source: InputObjectType) -> list[dict[str, Any]]:
        """The values for the fields of an input type. None of them is deprecated."""
        notations = source.notations()
        if not notations:
            return [self.run(steps, field) for field in source.fields.items()]
        answer = []
        step = id(steps)
        for name, notation in notations.items():
            key = step, name, notation
            known = self._known_fields.get(key)
            if known is None:
                before = self._left
                made = self.run(steps, (name, source.fields[name]))
                self._known_fields[key] = made, before - self._left
            else:
                made, spent = known
                self._spend(spent)
            answer.append(made)
        return answer

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise DocumentTooLarge("The introspection query asks for too much of the schema at once.")


def _plain(value: Any) -> Any:
    """A leaf's value; those of graphql-core's enums are answered by name."""
    return value.name if isinstance(value, Enum) else value


def _steps(
    selected: Iterable[Selected],
    parent: GraphQLObjectType | None,
    collector: Collector,
    variables: Mapping[str, Any],
) -> list[_Step]:
    """The steps for what is selected of a type of introspection, or (without `parent`) of a root type."""
    steps = []
    for made in selected:
        if parent and made.name == "__typename":
            steps.append(_Step(made.key, _constant(parent.name), {}, is_list=False, below=None))
            continue
        field = parent.fields[made.name] if parent else _ROOTS[made.name]
        named = get_named_type(field.type)
        below = None
        if isinstance(named, GraphQLObjectType):
            below = _steps(collector.collect(made.selection_sets()), named, collector, variables)
        is_list = is_list_type(get_nullable_type(cast(Any, field.type)))
        steps.append(_Step(made.key, cast(Resolver, field.resolve), _bound(made, variables), is_list, below))
    return steps


def _constant(value: str) -> Resolver:
    return lambda _source, _info: value


def _bound(selected: Selected, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A field's arguments; one whose variable has no value is absent."""
    bound = {}
    for name, value in selected.arguments.items():
        if not isinstance(value, Variable):
            bound[name] = value
        elif value.name in variables:
            bound[name] = variables[value.name]
    return bound


def _fingerprint(selected: Iterable[Selected], collector: Collector) -> bytes:
    """The same for two selections that have the same answer, whatever their text."""
    return hashlib.sha256(repr(_shape(selected, collector, 0)).encode()).digest()


def _shape(selected: Iterable[Selected], collector: Collector, wrappers: int) -> list[Any]:
    shape: list[Any] = []
    for made in selected:
        inner = wrappers + 1 if made.name == "ofType" else 0
        below = (
            [] if inner > _WRAPPERS else _shape(collector.collect(made.selection_sets()), collector, inner)
        )
        shape.append((made.key, made.name, sorted(made.arguments.items()), below))
    return shape


def _body(data: Mapping[str, Any]) -> bytes:
    # The highest level takes two and a half times as long for a tenth of the size.
    return gzip.compress(orjson.dumps({"data": data}), 6, mtime=0)
