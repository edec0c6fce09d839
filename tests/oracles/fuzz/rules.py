"""Differences that are known, each with its reason; docs/conformance.md says the same to users.

A rule looks at the answers and the last operation, and must fit nothing else.
"""

import math
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tests.oracles.fuzz.values import Leaf

if TYPE_CHECKING:
    from tests.oracles.fuzz.campaign import Difference
    from tests.oracles.fuzz.operations import Operation

type Rule = Callable[["Difference"], bool]


def _message(difference: "Difference") -> str:
    message = difference.node.get("error", {}).get("message", "")
    return message if isinstance(message, str) else ""


def _bytes_extremes(difference: "Difference") -> bool:
    """Node's adapter cannot tell the type of a BLOB without a column; lamDB answers it."""
    return (
        "data" in difference.ours
        and difference.steps[-1].operation.action in {"aggregate", "groupBy"}
        and _message(difference).startswith('unexpected value of type object: {"type":"Buffer"')
    )


def _panic(difference: "Difference") -> bool:
    """Prisma's compiler panics on what it cannot do for SQLite; lamDB says that it is not supported."""
    message = _message(difference)
    code = difference.ours.get("error", {}).get("code")
    return "The query compiler panicked" in message and "not implemented" in message and code == "P2026"


_DECIMAL_AGGREGATE: Final = re.compile(
    r"data(\[\d+\])?\._(sum|avg|min|max)\.\w+: Decimal '(-?\d+)' on Node, '(-?\d+)\.\d+' here"
)


def _decimal_aggregates(difference: "Difference") -> bool:
    """Node's adapter takes a column's type from the first row: after an integer it cuts off fractions."""
    matches = [_DECIMAL_AGGREGATE.fullmatch(each) for each in difference.found]
    return all(match and match[3] == match[4] for match in matches)


_CUT_OFF: Final = re.compile(r".*\]\[\d+\]: (-?\d[\d.e+-]*) on Node, (-?\d+) here")


def _cut_off(found: str) -> bool:
    """True if a cell has the whole part here of what it has on Node."""
    match = _CUT_OFF.fullmatch(found)
    if match is None:
        return False
    theirs, mine = float(match[1]), int(match[2])
    return math.trunc(theirs) == mine or (abs(mine) > 2**53 and math.isclose(theirs, mine, rel_tol=1e-15))


_LARGEST: Final = re.compile(r".*: (-?inf|None) on Node, -?1\.7976931348623157e\+308 here")
_NUMBERS: Final = re.compile(r".*: (?:Decimal )?'?(-?[\d.e+-]+)'? on Node, '?(-?[\d.e+-]+)'? here")


def _largest_double(difference: "Difference") -> bool:
    """The largest double becomes an infinity on Node, which stores it and answers null. As a value of a
    filter or of a unique field it is another one than what is there.
    """
    last = difference.steps[-1].operation
    if difference.node and _has_largest_double((last.arguments, last.selection)):
        theirs, mine = (side.get("error", {}).get("code") for side in (difference.node, difference.ours))
        return {theirs, mine} <= {None, "P2002", "P2025"} and ("data" in difference.node or theirs == "P2025")
    return any(_LARGEST.fullmatch(each) for each in difference.found) and all(
        _LARGEST.fullmatch(each) or _nearly_equal(each) for each in difference.found
    )


def _has_largest_double(tree: Any) -> bool:
    match tree:
        case dict():
            return any(map(_has_largest_double, tree.values()))
        case list() | tuple():
            return any(map(_has_largest_double, tree))
        case _:
            return isinstance(tree, Leaf) and tree.kind == "Float" and abs(tree.value) == sys.float_info.max


def _numbers(found: str) -> tuple[float, float] | None:
    """The two numbers that differ, if a difference is one of numbers (and not of dates)."""
    match = _NUMBERS.fullmatch(found)
    if match is None:
        return None
    try:
        return float(match[1]), float(match[2])
    except ValueError:
        return None


def _nearly_equal(found: str) -> bool:
    """True if two numbers differ in the last digits of a double only."""
    numbers = _numbers(found)
    return numbers is not None and math.isclose(*numbers, rel_tol=1e-14)


def _decimal_arithmetic(difference: "Difference") -> bool:
    """lamDB computes updates of a Decimal in decimal; on Node they are sums and products of doubles."""
    return _computes_decimals(difference) and all(map(_nearly_equal, difference.found))


def _computes_decimals(difference: "Difference") -> bool:
    return any(
        uses_operator(step.operation.arguments, each, DECIMALS)
        for step in difference.steps
        for each in ARITHMETIC
    )


def _rows_of_other_fields(difference: "Difference") -> bool:
    """Rows of `createMany` that give other fields are written in the order of the list; in Prisma's plan the
    order is not fixed. Which error is first and which ids are generated depend on it.
    """
    codes = {side.get("error", {}).get("code") for side in (difference.node, difference.ours)}
    mixed = any(_is_mixed(step.operation.arguments) for step in difference.steps)
    return mixed and (
        codes <= {"P2002", "P2003", "P2011"} or not difference.node or "data" in difference.ours
    )


def _is_mixed(tree: Any) -> bool:
    """True if a list of records anywhere in a mutation has records of other fields."""
    if isinstance(tree, dict):
        return any(map(_is_mixed, tree.values()))
    if not isinstance(tree, list):
        return False
    records = [each for each in tree if isinstance(each, dict)]
    return any(each.keys() != records[0].keys() for each in records) or any(map(_is_mixed, tree))


def _boolean_cursor(difference: "Difference") -> bool:
    """Node compares the 1 of a column with true in memory: it finds no record at a cursor."""
    cursor = difference.steps[-1].operation.arguments.get("cursor", {})
    found = any(isinstance(each, Leaf) and each.kind == "Boolean" for each in cursor.values())
    return found and difference.node.get("data", True) in (None, [])


def _too_costly(difference: "Difference") -> bool:
    """lamDB bounds how many records an answer may nest."""
    return bool(difference.ours.get("error", {}).get("code") == "QUERY_TOO_COSTLY")


def _digits_of_doubles(difference: "Difference") -> bool:
    """Large doubles of 17 digits lose their last on Node when they are written."""
    pairs = [_numbers(each) for each in difference.found]
    return all(pair and abs(pair[1]) > 2**63 for pair in pairs) and all(map(_nearly_equal, difference.found))


def _empty_having(difference: "Difference") -> bool:
    """Prisma's compiler panics on a `having` without a condition, or knows no `_count` without one (P2019);
    lamDB leaves it out.
    """
    having = difference.steps[-1].operation.arguments.get("having")
    return (
        having is not None
        and _says_nothing(having)
        and (
            "aggregations/group_by.rs" in _message(difference)
            or "is not a valid scalar" in _message(difference)
        )
    )


def _says_nothing(tree: Any) -> bool:
    match tree:
        case dict():
            return all(map(_says_nothing, tree.values()))
        case list():
            return all(map(_says_nothing, tree))
        case _:
            return False


def uses_operator(tree: Any, operator: str, kinds: frozenset[str]) -> bool:
    """True if an update has an arithmetic operator on a value of one of these kinds."""
    match tree:
        case dict():
            return any(
                (name == operator and isinstance(each, Leaf) and each.kind in kinds)
                or uses_operator(each, operator, kinds)
                for name, each in tree.items()
            )
        case list():
            return any(uses_operator(each, operator, kinds) for each in tree)
        case _:
            return False


INTEGERS: Final = frozenset({"Int", "BigInt"})
NUMBERS: Final = INTEGERS | {"Float", "Decimal"}
DECIMALS: Final = frozenset({"Decimal"})
ARITHMETIC: Final = ("increment", "decrement", "multiply", "divide")


def _integer_division(difference: "Difference") -> bool:
    """Node binds integers as doubles: a division leaves a fraction in an INTEGER column, or is refused in a
    rowid (SQLITE_MISMATCH) or as a foreign key, and keys that lamDB makes equal are not.
    """
    steps = difference.steps
    if not uses_operator(steps[-1].operation.arguments, "divide", INTEGERS):
        return False
    if not difference.node:
        decimals = _computes_decimals(difference)
        return all(
            _cut_off(each) or _LARGEST.fullmatch(each) or (decimals and _nearly_equal(each))
            for each in difference.found
        )
    theirs, mine = (side.get("error", {}).get("code") for side in (difference.node, difference.ours))
    return (
        "SQLITE_MISMATCH" in _message(difference)
        or mine in {"P2002", "P2003"}
        or ("data" in difference.ours and theirs == "P2003")
    )


def _out_of_range(difference: "Difference") -> bool:
    """lamDB refuses arithmetic whose result leaves its type, and division by zero; Node stores something."""
    error, arguments = difference.ours.get("error", {}), difference.steps[-1].operation.arguments
    return (
        error.get("code") == "P2033"
        and error["message"].endswith("it is out of range, or was divided by zero. Nothing was changed.")
        and any(uses_operator(arguments, each, NUMBERS) for each in ARITHMETIC)
    )


_BEYOND: Final = re.compile(
    r"Inconsistent column data: \S+ does not fit into (Int|BigInt), which has (32|64) bits.*"
    r"|A sum does not fit into a 64 bit signed integer\."
    r"|Expected a (float|decimal), got number: -?inf.*"
)


def _beyond_its_type(difference: "Difference") -> bool:
    """A sum, or what others stored, that GraphQL's type has no room for is an error of lamDB's field."""
    error = difference.ours.get("error", {})
    beyond = error.get("code") in {"P2023", "P2033"} and bool(_BEYOND.fullmatch(error["message"]))
    theirs = _message(difference)
    return beyond and ("data" in difference.node or "integer overflow" in theirs or "Unique" in theirs)


def _not_one_element(difference: "Difference") -> bool:
    """Prisma's plan for several records of a one-to-one relation under `relationMode = "prisma"` fails; lamDB
    corrects it.
    """
    expected = re.compile(r"Expected zero or one element, got \d+")
    code = difference.ours.get("error", {}).get("code")
    return bool(expected.fullmatch(_message(difference))) and code != "ENGINE"


def may_cascade_by_halves(schema: str, operation: "Operation") -> bool:
    """True if Prisma's plan may consist of several writes without a transaction: an `updateOne` that changes
    a key, with actions that Prisma emulates.
    """
    return 'relationMode = "prisma"' in schema and operation.action == "updateOne"


def _cascade_by_halves(difference: "Difference") -> bool:
    """With `relationMode = "prisma"` Prisma's plan of an `updateOne` writes related keys first, and has no
    transaction: they stay changed when the record's own update fails. Here nothing is changed.
    """
    last = difference.steps[-1].operation
    return (
        not difference.node
        and difference.failed
        and may_cascade_by_halves(difference.schema, last)
        and all("only " not in each for each in difference.found)
    )


def _variable(difference: "Difference") -> bool:
    """Both refuse the input. In a variable it is an error of GraphQL's coercion or validation here."""
    theirs, mine = (side.get("error", {}).get("code") for side in (difference.node, difference.ours))
    return theirs in {"P2009", "P2012", "P2013"} and mine in {"BAD_VARIABLES", "GRAPHQL_VALIDATION_FAILED"}


RULES: Final[dict[str, Rule]] = {
    "extremes of Bytes": _bytes_extremes,
    "panic of Prisma's compiler": _panic,
    "aggregates of Decimal on Node": _decimal_aggregates,
    "the largest double on Node": _largest_double,
    "empty `having` on Node": _empty_having,
    "integer division on Node": _integer_division,
    "arithmetic of Decimal": _decimal_arithmetic,
    "createMany of rows with other fields": _rows_of_other_fields,
    "a Boolean cursor on Node": _boolean_cursor,
    "an operation that is too costly": _too_costly,
    "digits of large doubles on Node": _digits_of_doubles,
    "arithmetic that leaves its type": _out_of_range,
    "an answer beyond its type": _beyond_its_type,
    "one element expected by Prisma's plan": _not_one_element,
    "a cascade before an update that fails on Node": _cascade_by_halves,
    "a variable of the wrong type": _variable,
}


def known(difference: "Difference") -> str | None:
    """The name of the rule that explains a difference, if one does."""
    return next((name for name, rule in RULES.items() if rule(difference)), None)
