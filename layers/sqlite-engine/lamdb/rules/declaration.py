"""Reading the rules that a schema declares.

    /// @@allow('read', published || auth().sub == authorId)
    /// @@allow('create,update,delete', auth() == author)
    /// @@deny('all', auth().suspended == true)
    model Post { … }

A rule stands above a model, or in one, and may go on over several lines. What no rule allows is denied, and
what one denies is denied whatever others allow. As soon as a schema has a rule, models without rules are
denied as a whole.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lamdb.errors import SchemaError
from lamdb.rules import declares_rules
from lamdb.rules.conditions import ConditionCompiler, columns_of
from lamdb.rules.definition import OPERATIONS, JoinRules, Parent, Rules, TableRules
from lamdb.rules.expressions import (
    Both,
    Either,
    Expression,
    ExpressionFault,
    Not,
    Value,
    operations_of,
    parse_arguments,
)
from lamdb.rules.symbols import ROW
from lamdb.search.annotations import AnnotationToken
from lamdb.search.paths import Model, column_of, table_of

_BLOCK: Final = re.compile(r"^\s*(?P<kind>model|view|enum|type|datasource|generator)\s+(?P<name>\w+)\s*\{")
_RULE: Final = re.compile(r"(?<![\w@])(?P<at>@{1,2})(?P<effect>allow|deny)\b(?P<open>\s*\()?")
_ALL: Final = "all"
_POST_UPDATE: Final = "post-update"
_CRUD: Final = ("create", "read", "update", "delete")


@dataclass(frozen=True, slots=True)
class _Comment:
    """Documentation on lines that follow each other, and the block that it belongs to.

    `places` has, for each line of `text`: its offset there, its number, its column, and the whole line.
    """

    text: str
    file: str
    places: Sequence[tuple[int, int, int, str]]
    kind: str
    block: str

    def token(self, at: int, length: int = 1) -> AnnotationToken:
        """The place in the file of an offset in `text`."""
        start, line, column, source = max(place for place in self.places if place[0] <= at)
        return AnnotationToken(self.text[at : at + length], self.file, line, column + at - start, source)


def rules_of(files: Iterable[tuple[str, str]], datamodel: Mapping[str, Any]) -> Rules | None:
    """Returns the rules of a schema with these files (name, content) and the DMMF's `datamodel`.

    None if it declares none. Raises SchemaError (P1012) with file, line and column of everything that cannot
    be followed.
    """
    models: dict[str, Model] = {model["name"]: model for model in datamodel["models"]}
    found: dict[str, list[tuple[str, list[str], Expression, _Comment]]] = {name: [] for name in models}
    faults: list[str] = []
    for comment in _comments(files):
        for rule in _RULE.finditer(comment.text):
            token = comment.token(rule.start(), rule.end("effect") - rule.start())
            try:
                if rule["at"] == "@":
                    if rule["open"]:
                        raise ExpressionFault(
                            "Rules for single fields are not supported; use @@ on models.", rule.start()
                        )
                    continue
                if not rule["open"]:
                    raise ExpressionFault(
                        f"{token.text} has arguments: {token.text}('read', true).", rule.start()
                    )
                if comment.kind not in ("model", "view") or comment.block not in models:
                    raise ExpressionFault(f"{token.text} is allowed only above or in a model.", rule.start())
                arguments, _ = parse_arguments(comment.text, rule.end("open") - 1)
                if len(arguments) != 2:
                    raise ExpressionFault(
                        "A rule has two arguments: operations and a condition.", rule.start()
                    )
                operations = operations_of(arguments[0], (*_CRUD, _POST_UPDATE, _ALL))
                found[comment.block].append((rule["effect"], operations, arguments[1], comment))
            except ExpressionFault as fault:
                faults.append(comment.token(fault.at).fault(fault.message))
    if not faults:
        faults += _unsound(datamodel, found)
    if faults:
        raise SchemaError(
            "".join(f"{fault}\n" for fault in faults) + f"Validation Error Count: {len(faults)}",
            hint="docs/rules.md describes the rules.",
        )
    if not any(found.values()):
        return None
    return _compiled(datamodel, found)


def _unsound(
    datamodel: Mapping[str, Any],
    found: Mapping[str, Sequence[tuple[str, Sequence[str], Expression, _Comment]]],
) -> Iterator[str]:
    """Yields the errors of conditions."""
    conditions = {name: _conditions(rules) for name, rules in found.items()}
    for name, rules in found.items():
        for _, _, expression, comment in rules:
            try:
                ConditionCompiler(datamodel, conditions).compile(name, expression)
            except ExpressionFault as fault:
                yield comment.token(fault.at).fault(fault.message)


def _conditions(
    rules: Sequence[tuple[str, Sequence[str], Expression, _Comment]],
) -> dict[str, Expression | None]:
    """One condition for each operation; None where nothing is allowed."""
    made: dict[str, Expression | None] = {}
    for operation in OPERATIONS:
        named = {operation} if operation == _POST_UPDATE else {operation, _ALL}
        allowed = [each for effect, names, each, _ in rules if effect == "allow" and named & set(names)]
        denied = [each for effect, names, each, _ in rules if effect == "deny" and named & set(names)]
        if not allowed and operation == _POST_UPDATE:
            allowed = [Value(True, 0)]
        if not allowed:
            made[operation] = None
            continue
        condition = allowed[0]
        for other in allowed[1:]:
            condition = Either(condition, other, other.at)
        for other in denied:
            condition = Both(condition, Not(other, other.at), other.at)
        made[operation] = condition
    return made


def _compiled(
    datamodel: Mapping[str, Any],
    found: Mapping[str, Sequence[tuple[str, Sequence[str], Expression, _Comment]]],
) -> Rules:
    conditions = {name: _conditions(rules) for name, rules in found.items()}
    compiler = ConditionCompiler(datamodel, conditions)
    tables: list[TableRules] = []
    models = {model["name"]: model for model in datamodel["models"]}
    for name, model in models.items():
        made = {
            operation: "0" if condition is None else compiler.compile(name, condition)
            for operation, condition in conditions[name].items()
        }
        parents = tuple(_parents(model, models))
        tables.append(TableRules(name, table_of(model), tuple(columns_of(model)), made, parents))
    by_model = {rules.model: rules for rules in tables}
    joins = [
        _join(join, models[first], models[second], by_model)
        for join, first, second in _implicit_joins(datamodel)
    ]
    return Rules(tuple(tables), tuple(joins))


def _parents(model: Model, models: Mapping[str, Model]) -> Iterator[Parent]:
    """Yields what the model's foreign keys refer to."""
    own = {field["name"]: column_of(field) for field in model["fields"]}
    for field in model["fields"]:
        if field["kind"] == "object" and field["relationFromFields"]:
            target = models[field["type"]]
            its = {each["name"]: column_of(each) for each in target["fields"]}
            pairs = zip(field["relationFromFields"], field["relationToFields"], strict=True)
            yield table_of(target), tuple((own[one], its[other]) for one, other in pairs)


def _implicit_joins(datamodel: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields the tables of implicit many-to-many relations with the models of their columns A and B."""
    sides: dict[str, list[tuple[str, bool]]] = {}
    for model in datamodel["models"]:
        for field in model["fields"]:
            if field["kind"] == "object":
                sides.setdefault(field["relationName"], []).append((model["name"], field["isList"]))
    for relation, found in sides.items():
        if len(found) == 2 and all(is_list for _, is_list in found):
            first, second = sorted(name for name, _ in found)
            yield f"_{relation}", first, second


def _join(table: str, first: Model, second: Model, rules: Mapping[str, TableRules]) -> JoinRules:
    """Rules of a join table: a row is read with both records, and changed by callers that may update both."""

    def both(*operations: str) -> str:
        parts = []
        for column, model in (("A", first), ("B", second)):
            identity = next(column_of(field) for field in model["fields"] if field["isId"])
            alias = f"j{column.lower()}"
            conditions = [rules[model["name"]].conditions[each].replace(ROW, alias) for each in operations]
            parts.append(
                f'EXISTS (SELECT 1 FROM main."{table_of(model)}" AS {alias}'
                f' WHERE {alias}."{identity}" = {ROW}."{column}" AND {" AND ".join(conditions)})'
            )
        return " AND ".join(parts)

    ids = [next(column_of(field) for field in model["fields"] if field["isId"]) for model in (first, second)]
    parents = ((table_of(first), (("A", ids[0]),)), (table_of(second), (("B", ids[1]),)))
    return JoinRules(table, both("read"), both("read", "update"), parents)


def _comments(files: Iterable[tuple[str, str]]) -> Iterator[_Comment]:
    """Yields the documentation comments of files that may have rules."""
    for name, content in files:
        if declares_rules(content):
            yield from _comments_of(name, content.split("\n"))


def _comments_of(file: str, lines: Sequence[str]) -> Iterator[_Comment]:
    kind = block = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        stripped = line.strip()
        if not stripped.startswith("///"):
            opened = _BLOCK.match(line)
            if opened:
                kind, block = opened["kind"], opened["name"]
            trailing = line.find("///")
            if trailing >= 0:
                text = line[trailing + 3 :]
                yield _Comment(text, file, [(0, number + 1, trailing + 4, line)], "field", block)
            if stripped.startswith("}") or (opened and stripped.endswith("}")):
                kind = block = ""
            number += 1
            continue
        parts: list[str] = []
        places: list[tuple[int, int, int, str]] = []
        offset = 0
        while number < len(lines) and lines[number].strip().startswith("///"):
            source = lines[number]
            start = source.index("///") + 3
            parts.append(source[start:])
            places.append((offset, number + 1, start + 1, source))
            offset += len(source) - start + 1
            number += 1
        its = (kind, block) if block else _below(lines, number)
        yield _Comment("\n".join(parts), file, places, *its)


def _below(lines: Sequence[str], number: int) -> tuple[str, str]:
    """The kind and name of the block that begins below a comment."""
    for line in lines[number:]:
        if line.strip() and not line.strip().startswith("//"):
            found = _BLOCK.match(line)
            return (found["kind"], found["name"]) if found else ("", "")
    return "", ""
