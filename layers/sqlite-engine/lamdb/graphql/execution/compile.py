"""Compiles an operation to Prisma requests and the shape of their results.

Prisma's JSON protocol selects a field once, under its own name; GraphQL may select a relation several times,
under several response names. Selections of a relation with the same arguments share one slot of the request.
With other arguments they need a request of their own: a `FollowUp` reads them for the records that the first
request found, by identity, inside the same transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql.language import (
    FragmentDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
)

from lamdb.errors import LamdbError, QueryError
from lamdb.graphql.document.positions import ANYTHING, Positions, ValuePosition
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.document.values import Bound, Composite, Variable, protocol
from lamdb.graphql.errors import locations_of
from lamdb.graphql.execution.operation import (
    Binding,
    ChangesRoot,
    ConstantRoot,
    DataRoot,
    FailedRoot,
    FollowUp,
    IntrospectionRoot,
    Output,
    Request,
    Root,
    SearchRoot,
)
from lamdb.graphql.execution.search_compile import SearchCompiler
from lamdb.graphql.schema.changes_types import CHANGES
from lamdb.graphql.schema.names import ROOT_TYPES, Operation
from lamdb.graphql.schema.search_types import SEARCH, SEARCH_ALL
from lamdb.graphql.schema.types import ApiTypes, FieldInfo, InputInfo, RootField
from lamdb.prisma.query.engine import TemplateVariable as OpenValue
from lamdb.prisma.query.plan import Constant, Nested, Part, ScalarOutput, Shape
from lamdb.search.definition import SearchDefinition

INTROSPECTION = frozenset({"__schema", "__type"})


class OperationCompiler:
    """Compiles the operations of one schema; what it learns about the schema is kept."""

    def __init__(self, types: ApiTypes) -> None:
        self.types = types
        self.positions = Positions(types)
        self._identities: dict[str, tuple[str, ...]] = {}

    @cached_property
    def searches(self) -> tuple[SearchDefinition, ...]:
        """The searches that the schema declares."""
        return self.types.searches()

    def operation(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        flags: Mapping[str, Any],
        lifted: Mapping[int, str],
    ) -> list[Root]:
        """The root fields of a validated operation, in response order.

        `flags` are the values of the variables in `@skip` and `@include`; `lifted` are the variables that
        stand for literals, by the literals' offsets (see `lifting`).
        """
        kind: Operation = "mutation" if operation.operation is OperationType.MUTATION else "query"
        collector = Collector(fragments, flags, lifted)
        builder = _RequestBuilder(self, collector)
        roots: list[Root] = []
        for selected in collector.collect([operation.selection_set]):
            if selected.name == "__typename":
                roots.append(ConstantRoot(selected.key, ROOT_TYPES[kind]))
            elif selected.name in INTROSPECTION:
                places = locations_of(selected.nodes[:1])
                roots.append(IntrospectionRoot(selected.key, places, selected, collector))
            else:
                roots.append(builder.root(kind, selected))
        return roots

    def arguments(
        self, given: Mapping[str, Any], infos: Mapping[str, InputInfo], *, null_is_absent: bool = True
    ) -> dict[str, Any]:
        """A field's arguments as the protocol writes them, variables left open.

        GraphQL's clients send null for what they leave out, and the SDL allows it for optional arguments: it
        then counts as absent, unless Prisma itself takes a null there.
        """
        made: dict[str, Any] = {}
        for name, value in given.items():
            info = infos.get(name)
            if info is None:
                made[name] = protocol(value, ANYTHING)
                continue
            position = self.positions.of(info.members)
            absent = null_is_absent and not info.required and not position.nullable
            if isinstance(value, Variable):
                made[name] = Bound(value.name, position, absent)
            elif value is not None or not absent:
                made[name] = protocol(value, position)
        return made

    def where(self, model: str) -> ValuePosition:
        """The position of `where` in `findMany` of `model`."""
        root = self.types.root("query", f"findMany{model}")
        return self.positions.of(root.field.args["where"].members) if root else ANYTHING

    def identity(self, model: str) -> tuple[str, ...]:
        """The fields that identify a record of `model`; empty for a view that has none."""
        found = self._identities.get(model)
        if found is None:
            found = self._identities[model] = self._identity(model)
        return found

    def _identity(self, model: str) -> tuple[str, ...]:
        root = self.types.root("query", f"findUnique{model}")
        if root is None:
            return ()
        outputs = self.types.output(root.field.type_name).fields
        unique = self.types.input(root.field.args["where"].shown.name)
        for criterion in unique.any_of:
            shown = unique.fields[criterion].shown
            names = tuple(self.types.input(shown.name).fields) if shown.kind == "input" else (criterion,)
            if all(name in outputs and not outputs[name].nullable for name in names):
                return names
        return ()


@dataclass(slots=True)
class _Slot:
    """One selection of a field in a request, shared by all that select it with the same arguments."""

    output: FieldInfo
    arguments: dict[str, Any]
    source: str
    views: list[list[SelectionSetNode]] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object is: the nearest model record at or above it, the way there, and the way on from it."""

    model: str | None
    path: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()

    def below(self, name: str, model: str | None) -> "_Place":
        """The place of the object in field `name`, which is a record of `model` or no record."""
        if model is not None:
            return _Place(model, (*self.path, *self.inner, name))
        return _Place(self.model, self.path, (*self.inner, name))


@dataclass(frozen=True, slots=True)
class _Level:
    """The selection of one object, and the shapes of the response objects ("views") that are made of it."""

    selection: dict[str, Any]
    shapes: list[Shape]
    follow_ups: list[FollowUp]


class _RequestBuilder:
    def __init__(self, compiler: OperationCompiler, collector: Collector) -> None:
        self._compiler = compiler
        self._types = compiler.types
        self._collector = collector

    def root(self, kind: Operation, selected: Selected) -> DataRoot | SearchRoot | ChangesRoot | FailedRoot:
        root = self._types.root(kind, selected.name)
        if root is None:
            raise KeyError(selected.name)
        output = root.field
        locations = locations_of(selected.nodes[:1])
        level = None
        try:
            if root.action in (SEARCH, SEARCH_ALL):
                return self._search(root, selected)
            if root.action == CHANGES:
                return self._changes(root, selected)
            # What a raw query takes is written as it is: the protocol has no tag for its parameters.
            infos = output.args if root.model is not None else {}
            # A mutation without `where` changes every record: there a null must not pass for that.
            arguments = self._compiler.arguments(selected.arguments, infos, null_is_absent=kind == "query")
            if output.kind == "object":
                place = _Place(self._record_model(output, root.model))
                level = self._level([selected.selection_sets()], output.type_name, place)
        except LamdbError as error:
            return FailedRoot(selected.key, output.nullable, locations, error)
        query = {"arguments": arguments, "selection": level.selection if level else {}}
        bindings: list[Binding] = []
        request: Request = {"action": root.action, "query": _open(query, bindings)}
        if root.model is not None:
            request["modelName"] = root.model
        return DataRoot(
            key=selected.key,
            nullable=output.nullable,
            locations=locations,
            request=request,
            bindings=tuple(bindings),
            shape=level.shapes[0] if level else None,
            follow_ups=tuple(level.follow_ups) if level else (),
            action=root.action,
        )

    def _changes(self, root: RootField, selected: Selected) -> ChangesRoot:
        arguments = self._compiler.arguments(selected.arguments, root.field.args)
        outputs = self._plain(selected.selection_sets(), root.field.type_name)
        return ChangesRoot(selected.key, locations_of(selected.nodes[:1]), arguments, outputs)

    def _plain(self, sets: list[SelectionSetNode], type_name: str) -> tuple[Output, ...]:
        """The selected fields of objects that no request of Prisma's answers."""
        fields = self._types.output(type_name).fields
        found = []
        for each in self._collector.collect(sets):
            output = fields.get(each.name)
            below = output.type_name if output is not None and output.kind == "object" else None
            deeper = self._plain(each.selection_sets(), below) if below else ()
            found.append(Output(each.key, each.name, deeper, type_name=type_name))
        return tuple(found)

    def _search(self, root: RootField, selected: Selected) -> SearchRoot:
        def level(
            views: list[list[SelectionSetNode]], type_name: str, model: str
        ) -> tuple[dict[str, Any], list[Shape], list[FollowUp]]:
            made = self._level(views, type_name, _Place(model))
            return made.selection, made.shapes, made.follow_ups

        search = SearchCompiler(
            self._types,
            self._collector,
            arguments=self._compiler.arguments,
            level=level,
            opened=_open,
            identity=self._compiler.identity,
        )
        return search.root(root, selected, self._compiler.searches)

    def _record_model(self, output: FieldInfo, model: str | None) -> str | None:
        """The model whose records a root field answers, or `None` for counts and aggregates."""
        made = self._types.output(output.type_name)
        if made.model is not None or model is None:
            return made.model
        identity = self._compiler.identity(model)
        records = output.type_name.endswith("AndReturnOutputType")
        return model if records and identity and all(name in made.fields for name in identity) else None

    def _level(self, views: list[list[SelectionSetNode]], type_name: str, place: _Place) -> _Level:
        slots: dict[str, dict[str, _Slot]] = {}
        outlines = [self._outline(view, type_name, slots) for view in views]
        selection: dict[str, Any] = {}
        follow_ups: list[FollowUp] = []
        for same_name in slots.values():
            for number, slot in enumerate(same_name.values()):
                if number:
                    slot.source = f"{slot.output.name}#{number}"
                    follow_ups.append(self._follow_up(slot, place))
                else:
                    entry, deeper = self._entry(slot, place)
                    selection[slot.output.name] = entry
                    follow_ups += deeper
        if any(each.path == place.path for each in follow_ups) and not place.inner and place.model:
            selection.update(dict.fromkeys(self._compiler.identity(place.model), True))
        if not selection:
            selection.update(self._filler(type_name, place))
        return _Level(selection, [_shape(outline) for outline in outlines], follow_ups)

    def _outline(
        self, view: list[SelectionSetNode], type_name: str, slots: dict[str, dict[str, _Slot]]
    ) -> list[tuple[str, str | tuple[_Slot, int]]]:
        """The response names of a view: each with a constant, or with its slot and its number there."""
        fields = self._types.output(type_name).fields
        outline: list[tuple[str, str | tuple[_Slot, int]]] = []
        for selected in self._collector.collect(view):
            if selected.name == "__typename":
                outline.append((selected.key, type_name))
                continue
            output = fields[selected.name]
            same_name = slots.setdefault(output.name, {})
            slot = same_name.get(repr(selected.arguments))
            if slot is None:
                arguments = self._compiler.arguments(selected.arguments, output.args)
                slot = same_name[repr(selected.arguments)] = _Slot(output, arguments, output.name)
            slot.views.append(selected.selection_sets())
            outline.append((selected.key, (slot, len(slot.views) - 1)))
        return outline

    def _entry(self, slot: _Slot, place: _Place) -> tuple[Any, list[FollowUp]]:
        """The values for a slot in a selection, and the follow-ups from below it."""
        output = slot.output
        if output.kind != "object":
            return ({"arguments": slot.arguments, "selection": {}} if slot.arguments else True), []
        below = place.below(output.name, self._types.output(output.type_name).model)
        level = self._level(slot.views, output.type_name, below)
        slot.shapes = level.shapes
        return {"arguments": slot.arguments, "selection": level.selection}, level.follow_ups

    def _follow_up(self, slot: _Slot, place: _Place) -> FollowUp:
        model = place.model
        identity = self._compiler.identity(model) if model else ()
        if model is None or not identity:
            raise QueryError(
                f"`{slot.output.name}` cannot be selected twice with different arguments here: "
                "the records have no unique field to find them by.",
                code="P2009",
            )
        entry, children = self._entry(slot, _Place(model, (), place.inner))
        selection: dict[str, Any] = {slot.output.name: entry}
        for name in reversed(place.inner):
            selection = {name: {"arguments": {}, "selection": selection}}
        return FollowUp(
            path=place.path,
            model=model,
            identity=identity,
            inner=place.inner,
            source=slot.output.name,
            slot=slot.source,
            selection=dict.fromkeys(identity, True) | selection,
            children=tuple(children),
        )

    def _filler(self, type_name: str, place: _Place) -> dict[str, Any]:
        """Something to select where a document selects only `__typename`: the protocol wants a field."""
        if place.model and not place.inner and (identity := self._compiler.identity(place.model)):
            return dict.fromkeys(identity, True)
        fields = self._types.output(type_name).fields
        # What `groupBy` may select depends on its arguments; a count it always may.
        output = fields.get("_count") or next(iter(fields.values()))
        if output.kind != "object":
            return {output.name: True}
        below = self._filler(output.type_name, place.below(output.name, None))
        return {output.name: {"arguments": {}, "selection": below}}


def _shape(outline: list[tuple[str, str | tuple[_Slot, int]]]) -> Shape:
    parts: list[Part] = []
    for key, made in outline:
        if isinstance(made, str):
            parts.append(Constant(key, made))
            continue
        slot, number = made
        if slot.shapes:
            parts.append(Nested(key, slot.source, slot.shapes[number]))
        else:
            parts.append(ScalarOutput(key, slot.source))
    return Shape(tuple(parts))


def _open(value: Any, bindings: list[Binding]) -> Any:
    """`value` with the engine's variables where a value is awaited; each is added to `bindings`."""
    if isinstance(value, dict):
        return {name: _open(each, bindings) for name, each in value.items()}
    if isinstance(value, list):
        return [_open(each, bindings) for each in value]
    if isinstance(value, Bound | Composite):
        key = str(len(bindings))
        bindings.append(Binding(key, value))
        return OpenValue(key)
    return value
