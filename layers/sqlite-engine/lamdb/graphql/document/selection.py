"""The fields an operation selects: fragments expanded, directives applied, equal response names merged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql.language import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)

from lamdb.graphql.document.values import Variable, literal

_NONE_LIFTED: Final[Mapping[int, str]] = {}


@dataclass(slots=True)
class Selected:
    """One response name: the field, its arguments as `literal` gives them, and what is selected below it."""

    key: str
    name: str
    arguments: dict[str, Any]
    nodes: list[FieldNode] = field(default_factory=list)

    def selection_sets(self) -> list[SelectionSetNode]:
        return [node.selection_set for node in self.nodes if node.selection_set]


class Collector:
    """GraphQL's CollectFields() (October 2021, section 6.3.2) over a validated document.

    Every type of the API is an object type, so a fragment that passed validation always applies.
    `flags` are the values of the variables in `@skip` and `@include`, `lifted` the variables that stand for
    literals (see `literal`).
    """

    def __init__(
        self,
        fragments: Mapping[str, FragmentDefinitionNode],
        flags: Mapping[str, Any],
        lifted: Mapping[int, str] = _NONE_LIFTED,
    ) -> None:
        self._fragments = fragments
        self._flags = flags
        self._lifted = lifted

    def collect(self, sets: Iterable[SelectionSetNode]) -> list[Selected]:
        """The merged fields of `sets`, in the order in which their response names first appear."""
        found: dict[str, Selected] = {}
        seen: set[str] = set()
        for selection_set in sets:
            self._collect(selection_set, found, seen)
        return list(found.values())

    def _collect(self, selection_set: SelectionSetNode, found: dict[str, Selected], seen: set[str]) -> None:
        for node in selection_set.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                if (selected := found.get(key)) is None:
                    arguments = {
                        made.name.value: literal(made.value, self._lifted) for made in node.arguments
                    }
                    selected = found[key] = Selected(key, node.name.value, arguments)
                selected.nodes.append(node)
            elif isinstance(node, InlineFragmentNode):
                self._collect(node.selection_set, found, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                self._collect(self._fragments[node.name.value].selection_set, found, seen)

    def _included(self, node: SelectionNode) -> bool:
        for directive in node.directives:
            name = directive.name.value
            if name in ("skip", "include") and self._condition(directive) is (name == "skip"):
                return False
        return True

    def _condition(self, directive: DirectiveNode) -> bool:
        value = literal(directive.arguments[0].value)
        return bool(self._flags[value.name] if isinstance(value, Variable) else value)


def condition_names(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """The variables in `@skip` and `@include`: they decide what an operation selects. In sorted order."""
    names: set[str] = set()
    seen: set[str] = set()
    pending: list[SelectionNode] = list(selection_set.selections)
    while pending:
        node = pending.pop()
        for directive in node.directives:
            if directive.name.value in ("skip", "include"):
                value = directive.arguments[0].value
                if isinstance(value, VariableNode):
                    names.add(value.name.value)
        if isinstance(node, FieldNode | InlineFragmentNode):
            if node.selection_set:
                pending.extend(node.selection_set.selections)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            pending.extend(fragments[node.name.value].selection_set.selections)
    return tuple(sorted(names))
