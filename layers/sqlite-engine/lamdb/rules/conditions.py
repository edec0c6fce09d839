"""Compiling the expressions of rules to conditions in SQL.

A condition is about one row, whose alias stands for the character `ROW`. It has two values: a comparison with
NULL, or with a claim that the caller does not have, is false, and its negation true, as in JavaScript. Where
SQL's NULL has the same effect as false it is left, so that indexes serve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

from lamdb.rules.expressions import (
    Both,
    Comparison,
    Either,
    Expression,
    ExpressionFault,
    FunctionCall,
    Items,
    MemberAccess,
    Name,
    Not,
    Predicate,
    Value,
)
from lamdb.rules.symbols import AUTHENTICATED, CLAIM, CLAIM_HAS, ROW
from lamdb.rules.times import stored_time
from lamdb.search.definition import Hop
from lamdb.search.paths import Field, Model, Paths, column_of

_NOW: Final = "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"
"""The time as a DateTime is stored."""
_NUMBERS: Final = frozenset({"Int", "BigInt", "Float", "Decimal"})
_INCOMPARABLE: Final = frozenset({"Json", "Bytes"})
_MATCHES: Final = {"contains": "instr({0}, {1}) > 0", "startsWith": "substr({0}, 1, length({1})) = {1}"}
_MATCHES["endsWith"] = "(length({1}) = 0 OR substr({0}, -length({1})) = {1})"
_MOST_CHECKS: Final = 5

type Conditions = Mapping[str, Expression | None]


@dataclass(frozen=True, slots=True)
class _Term:
    """A value in SQL. `kind`: a type of Prisma, `enum`, `claim`, `null`, `auth`, `record` or `list`."""

    sql: str
    kind: str
    enum: str = ""
    hops: tuple[Hop, ...] = ()
    row: str = ""
    model: str = ""
    path: str = ""
    """The path of a claim."""
    literal: Value | None = None


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where names are looked up: the fields of `model`, of the row with the alias `row`."""

    model: Model
    row: str


class ConditionCompiler:
    """Compiles conditions. `conditions` has the rule of each model and operation, for `check()`."""

    def __init__(
        self,
        datamodel: Mapping[str, Any],
        conditions: Mapping[str, Conditions] | None = None,
    ) -> None:
        self._models: dict[str, Model] = {model["name"]: model for model in datamodel["models"]}
        self._enums: dict[str, dict[str, str]] = {
            enum["name"]: {
                value["name"]: str(value.get("dbName") or value["name"]) for value in enum["values"]
            }
            for enum in datamodel["enums"]
        }
        self._paths = Paths(datamodel)
        self._conditions = conditions or {}
        self._aliases = count(1)
        self._checking: list[tuple[str, str]] = []

    def compile(self, model: str, expression: Expression, *, exact: bool = False, row: str = ROW) -> str:
        """Returns the condition for a row of `model`. `exact`: never NULL. Raises Fault."""
        scope = _Scope(self._models[model], row)
        return self._condition(expression, scope, scope, exact)

    # Conditions

    def _condition(self, expression: Expression, scope: _Scope, root: _Scope, exact: bool) -> str:
        match expression:
            case Either(left, right):
                return (
                    f"({self._condition(left, scope, root, exact)}"
                    f" OR {self._condition(right, scope, root, exact)})"
                )
            case Both(left, right):
                return (
                    f"({self._condition(left, scope, root, exact)}"
                    f" AND {self._condition(right, scope, root, exact)})"
                )
            case Not(operand):
                return f"NOT {self._condition(operand, scope, root, True)}"
            case Comparison(operator, left, right, at):
                return _exactly(self._comparison(operator, left, right, scope, root, at), exact)
            case Predicate():
                return self._predicate(expression, scope, root)
            case FunctionCall():
                found = self._call(expression, scope, root)
                if found is not None:
                    return _exactly(found, exact)
            case Items(at=at):
                raise ExpressionFault("A list is not a condition.", at)
            case _:
                pass
        return self._truth(self._term(expression, scope, root), expression.at, exact)

    def _truth(self, term: _Term, at: int, exact: bool) -> str:
        if term.kind == "auth":
            return f"{AUTHENTICATED}()"
        if term.kind == "record":
            return self._exists(term)
        if term.literal is not None and isinstance(term.literal.value, bool):
            return term.sql
        if term.kind == "Boolean":
            return _exactly(f"{term.sql} = 1", exact)
        if term.kind == "claim":
            return _exactly(f"{_claim(term.path, 'boolean')} = 1", exact)
        raise ExpressionFault("This is not a condition: it is neither true nor false.", at)

    def _comparison(
        self, operator: str, left: Expression, right: Expression, scope: _Scope, root: _Scope, at: int
    ) -> str:
        if operator == "in":
            return self._membership(left, right, scope, root)
        one, other = self._pair(left, right, scope, root)
        if one.kind == "null" or (one.kind == "auth" and other.kind != "null"):
            one, other = other, one
            operator = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
        if one.kind == "auth" or other.kind in ("auth", "null"):
            if operator not in ("==", "!="):
                raise ExpressionFault(f"{operator} does not compare records or null.", at)
            same = self._identity(one, other, at)
            return same if operator == "==" else f"NOT coalesce({same}, 0)"
        for term in (one, other):
            if term.kind == "record" or term.kind == "list":
                raise ExpressionFault(
                    "A relation can be compared with null and auth() alone; compare its id.", at
                )
        one, other = self._alike(one, other, at)
        if operator == "!=":
            return f"NOT coalesce({one.sql} = {other.sql}, 0)"
        return f"{one.sql} {'=' if operator == '==' else operator} {other.sql}"

    def _identity(self, one: _Term, other: _Term, at: int) -> str:
        """The condition that a value is null, or that a record is the caller's."""
        if other.kind == "null":
            if one.kind == "null":
                return "1"
            if one.kind == "auth":
                return f"NOT {AUTHENTICATED}()"
            if one.kind == "record":
                return f"NOT {self._exists(one)}"
            if one.kind == "list":
                raise ExpressionFault("A list is never null; use a predicate: ?[…], ![…] or ^[…].", at)
            return f"{one.sql} IS NULL"
        if one.kind == "record":
            own, claim = self._alike(self._id_of(one, at), _claimed("id"), at)
            return f"{own.sql} = {claim.sql}"
        raise ExpressionFault(
            "auth() can be compared with null and with a related record; use auth().sub.", at
        )

    def _membership(self, left: Expression, right: Expression, scope: _Scope, root: _Scope) -> str:
        if isinstance(right, Items):
            found = []
            for item in right.items:
                one, other = self._pair(left, item, scope, root)
                if {one.kind, other.kind} & {"null", "auth", "record", "list"}:
                    raise ExpressionFault("`in` compares values: fields, claims, texts and numbers.", item.at)
                one, other = self._alike(one, other, item.at)
                found.append((one.sql, other.sql))
            if not found:
                return "0"
            return f"{found[0][0]} IN ({', '.join(other for _, other in found)})"
        collection = self._term(right, scope, root)
        if collection.kind != "claim":
            raise ExpressionFault("`in` requires a list, [one, other], or a claim: auth().groups.", right.at)
        one = self._term(left, scope, root)
        if one.kind in ("null", "auth", "record", "list"):
            raise ExpressionFault("`in` compares values: fields, claims, texts and numbers.", left.at)
        return f"{CLAIM_HAS}({_quoted(collection.path)}, {one.sql})"

    def _predicate(self, expression: Predicate, scope: _Scope, root: _Scope) -> str:
        relation = self._term(expression.of, scope, root)
        if relation.kind != "list":
            raise ExpressionFault("A predicate is about a list of related records.", expression.at)
        tables, joined, alias = self._walk(relation)
        inner = _Scope(self._models[relation.model], alias)
        condition = self._condition(expression.condition, inner, root, expression.quantifier == "every")
        if expression.quantifier == "every":
            condition = f"NOT {condition}"
        found = f"EXISTS (SELECT 1 FROM {tables} WHERE {joined} AND {condition})"
        return found if expression.quantifier == "some" else f"NOT {found}"

    # Calls

    def _call(self, expression: FunctionCall, scope: _Scope, root: _Scope) -> str | None:
        """A call that is a condition; None for one that is a value."""
        name, arguments, at = expression.name, expression.arguments, expression.at
        if name in _MATCHES:
            if len(arguments) not in (2, 3):
                raise ExpressionFault(f"{name} takes a field and a text, and true for any case.", at)
            one, other = self._pair(arguments[0], arguments[1], scope, root)
            for term, argument in ((one, arguments[0]), (other, arguments[1])):
                if term.kind not in ("String", "claim", "enum"):
                    raise ExpressionFault(f"{name} compares texts.", argument.at)
            left, right = (_claim(term.path, "text") if term.path else term.sql for term in (one, other))
            if len(arguments) == 3:
                folded = arguments[2]
                if not isinstance(folded, Value) or not isinstance(folded.value, bool):
                    raise ExpressionFault("The third argument is true or false.", folded.at)
                if folded.value:
                    left, right = f"lower({left})", f"lower({right})"
            return f"({_MATCHES[name].format(left, right)})"
        if name == "has":
            if len(arguments) != 2:
                raise ExpressionFault("has takes a claim and a value.", at)
            return self._membership(arguments[1], arguments[0], scope, root)
        if name == "check":
            return self._check(expression, scope, root)
        if name in ("auth", "now"):
            if arguments:
                raise ExpressionFault(f"{name}() takes no arguments.", at)
            return None
        known = "auth, now, contains, startsWith, endsWith, has, check"
        raise ExpressionFault(f"There is no function {name} in rules; there are {known}.", at)

    def _check(self, expression: FunctionCall, scope: _Scope, root: _Scope) -> str:
        """`check(author)` or `check(author, 'read')`: the rule of a related record."""
        arguments, at = expression.arguments, expression.at
        if len(arguments) not in (1, 2):
            raise ExpressionFault("check takes a relation, and an operation: check(author, 'read').", at)
        relation = self._term(arguments[0], scope, root)
        if relation.kind != "record":
            raise ExpressionFault("check takes a relation to one record.", arguments[0].at)
        operation: Any = "read"
        if len(arguments) == 2:
            wanted = arguments[1]
            operation = wanted.value if isinstance(wanted, Value) else None
            if operation not in ("create", "read", "update", "delete"):
                raise ExpressionFault("The operation is 'create', 'read', 'update' or 'delete'.", wanted.at)
        key = relation.model, operation
        if key in self._checking or len(self._checking) >= _MOST_CHECKS:
            raise ExpressionFault(
                f"check({relation.model}, '{operation}') leads back to itself, or too far.", at
            )
        if relation.model not in self._conditions:
            return "0"
        rule = self._conditions[relation.model].get(operation)
        if rule is None:
            return "0"
        tables, joined, alias = self._walk(relation)
        self._checking.append(key)
        try:
            condition = self.compile(relation.model, rule, row=alias)
        finally:
            self._checking.pop()
        return f"EXISTS (SELECT 1 FROM {tables} WHERE {joined} AND {condition})"

    # Values

    def _pair(self, left: Expression, right: Expression, scope: _Scope, root: _Scope) -> tuple[_Term, _Term]:
        """Both sides of a comparison; a name may be a value of the other side's enum."""
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Name) and not self._is_field(scope, one.name) and one.name != "this":
                against = self._term(other, scope, root) if not isinstance(other, Name) else None
                if against is None and self._is_field(scope, other.name):  # type: ignore[union-attr]
                    against = self._term(other, scope, root)
                enum = against.enum if against is not None else ""
                term = self._enum_value(one, enum)
                if against is None:
                    against = self._term(other, scope, root)
                return (term, against) if one is left else (against, term)
        return self._term(left, scope, root), self._term(right, scope, root)

    def _enum_value(self, name: Name, enum: str) -> _Term:
        if enum:
            value = self._enums[enum].get(name.name)
            if value is None:
                raise ExpressionFault(f"The enum {enum} has no value {name.name}.", name.at)
            return _Term(_quoted(value), "enum", enum)
        if any(name.name in values for values in self._enums.values()):
            # Beside a claim, which has the name of the value rather than what the database stores.
            return _Term(_quoted(name.name), "String", literal=Value(name.name, name.at))
        raise ExpressionFault(f"There is no field and no enum value {name.name}.", name.at)

    def _alike(self, one: _Term, other: _Term, at: int) -> tuple[_Term, _Term]:
        """Both sides of a comparison, in the form in which they can be equal. Raises Fault."""
        one, other = self._like(one, other), self._like(other, one)
        for term in (one, other):
            if term.kind in _INCOMPARABLE:
                raise ExpressionFault(f"A {term.kind} can be compared with null alone.", at)
        if "claim" not in (one.kind, other.kind) and (_group(one), one.enum) != (_group(other), other.enum):
            names = [term.enum or term.kind for term in (one, other)]
            raise ExpressionFault(f"{names[0]} and {names[1]} are never equal.", at)
        return one, other

    def _like(self, term: _Term, other: _Term) -> _Term:
        """A claim or a literal in the form of a value that it is compared with."""
        if term.kind == "claim" and other.kind != "claim":
            kind = {"enum": "text"}.get(_group(other), _group(other))
            return replace(term, sql=_claim(term.path, kind))
        literal = term.literal
        if literal is None or not isinstance(literal.value, str):
            return term
        if other.kind == "DateTime":
            stored = stored_time(literal.value)
            if stored is None:
                raise ExpressionFault(
                    "A time is written as '2026-01-31' or '2026-01-31T00:00:00Z'.", literal.at
                )
            return _Term(_quoted(stored), "DateTime")
        if other.kind == "enum":
            return self._enum_value(Name(literal.value, literal.at), other.enum)
        return term

    def _is_field(self, scope: _Scope, name: str) -> bool:
        return any(field["name"] == name for field in scope.model["fields"])

    def _term(self, expression: Expression, scope: _Scope, root: _Scope) -> _Term:
        match expression:
            case Value(value):
                return _literal(expression, value)
            case Name("this", at):
                raise ExpressionFault("`this` is followed by a field: this.name.", at)
            case Name(name, at):
                return self._field(scope, name, at)
            case MemberAccess(Name("this"), name, at):
                return self._field(root, name, at)
            case MemberAccess(of, name, at):
                return self._member(self._term(of, scope, root), name, at)
            case FunctionCall("auth", ()):
                return _Term("", "auth")
            case FunctionCall("now", ()):
                return _Term(_NOW, "DateTime")
            case FunctionCall():
                self._call(expression, scope, root)
                raise ExpressionFault(f"{expression.name}() is a condition, not a value.", expression.at)
            case _:
                raise ExpressionFault("Expected a value.", expression.at)

    def _member(self, of: _Term, name: str, at: int) -> _Term:
        if of.kind == "auth":
            return _claimed(name)
        if of.kind == "claim":
            return _claimed(f"{of.path}.{name}")
        if of.kind == "record":
            return self._field(_Scope(self._models[of.model], of.row), name, at, of.hops)
        if of.kind == "list":
            raise ExpressionFault(f"{name} is a field of several records; use a predicate: ?[{name} …].", at)
        raise ExpressionFault(f"This has no field {name}.", at)

    def _field(self, scope: _Scope, name: str, at: int, hops: tuple[Hop, ...] = ()) -> _Term:
        model = scope.model
        field: Field | None = next((each for each in model["fields"] if each["name"] == name), None)
        if field is None:
            if any(name in values for values in self._enums.values()):
                raise ExpressionFault(f"{name} is a value of an enum, not a condition.", at)
            raise ExpressionFault(f"{model['name']} has no field {name}.", at)
        if field["kind"] == "object":
            further = (*hops, *self._paths.hops(model, field))
            kind = "list" if field["isList"] else "record"
            return _Term("", kind, hops=further, row=scope.row, model=field["type"])
        if field["type"] in _INCOMPARABLE:
            kind = field["type"]
        else:
            kind = "enum" if field["kind"] == "enum" else field["type"]
        column = _name(column_of(field))
        if hops:
            tables, joined, alias = self._walk(_Term("", "record", hops=hops, row=scope.row))
            sql = f"(SELECT {alias}.{column} FROM {tables} WHERE {joined})"
        else:
            sql = f"{scope.row}.{column}"
        return _Term(sql, kind, field["type"] if kind == "enum" else "")

    def _walk(self, relation: _Term) -> tuple[str, str, str]:
        """The tables from a row to related ones, the condition that joins them, and the last one's alias."""
        tables: list[str] = []
        conditions: list[str] = []
        before = relation.row
        for hop in relation.hops:
            alias = f"r{next(self._aliases)}"
            tables.append(f"main.{_name(hop.table)} AS {alias}")
            conditions += [f"{alias}.{_name(its)} = {before}.{_name(own)}" for own, its in hop.on]
            before = alias
        return ", ".join(tables), " AND ".join(conditions), before

    def _exists(self, relation: _Term) -> str:
        tables, joined, _ = self._walk(relation)
        return f"EXISTS (SELECT 1 FROM {tables} WHERE {joined})"

    def _id_of(self, record: _Term, at: int) -> _Term:
        model = self._models[record.model]
        ids = [field for field in model["fields"] if field["isId"]]
        if len(ids) != 1:
            raise ExpressionFault(f"{record.model} has no single id to compare with auth().", at)
        hop = record.hops[-1]
        own = next((own for own, its in hop.on if its == column_of(ids[0])), None)
        if own is not None and len(record.hops) == 1 and len(hop.on) == 1:
            # The foreign key, which an index may serve.
            return _Term(f"{record.row}.{_name(own)}", ids[0]["type"])
        tables, joined, alias = self._walk(record)
        column = _name(column_of(ids[0]))
        return _Term(f"(SELECT {alias}.{column} FROM {tables} WHERE {joined})", ids[0]["type"])


def _claimed(path: str) -> _Term:
    return _Term(_claim(path, "any"), "claim", path=path)


def _claim(path: str, kind: str) -> str:
    return f"{CLAIM}({_quoted(path)}, '{kind}')"


def _group(term: _Term) -> str:
    if term.kind in _NUMBERS:
        return "number"
    return {"String": "text", "DateTime": "time", "Boolean": "boolean"}.get(term.kind, term.kind)


def _literal(expression: Value, value: Any) -> _Term:
    if value is None:
        return _Term("NULL", "null")
    if isinstance(value, bool):
        return _Term(str(int(value)), "Boolean", literal=expression)
    if isinstance(value, int | float):
        return _Term(repr(value), "Int" if isinstance(value, int) else "Float", literal=expression)
    return _Term(_quoted(value), "String", literal=expression)


def _exactly(sql: str, exact: bool) -> str:
    return f"coalesce({sql}, 0)" if exact else sql


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def columns_of(model: Model) -> Sequence[str]:
    """Returns the names of a model's columns."""
    return [column_of(field) for field in model["fields"] if field["kind"] in ("scalar", "enum")]
