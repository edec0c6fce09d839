"""Conditions of a batch's steps, checked before anything is executed."""

from typing import Any, Final

from lamdb.errors import MalformedRequest

_DEEPEST_CONDITION: Final = 32


def check_condition(condition: Any, before: int, depth: int = 0) -> None:
    """Raises `MalformedRequest` for a condition that cannot be evaluated behind `before` steps."""
    if depth > _DEEPEST_CONDITION:
        raise MalformedRequest("A condition is nested too deeply.", hint="")
    match condition:
        case {"type": "ok" | "error", "step": int(step)} if 0 <= step < before:
            return
        case {"type": "ok" | "error"}:
            raise MalformedRequest("A condition refers to a step that is not before it.", hint="")
        case {"type": "not", "cond": inner}:
            check_condition(inner, before, depth + 1)
        case {"type": "and" | "or", "conds": list(inner)}:
            for each in inner:
                check_condition(each, before, depth + 1)
        case {"type": "is_autocommit"}:
            return
        case _:
            raise MalformedRequest("A condition is unknown.", hint="")
