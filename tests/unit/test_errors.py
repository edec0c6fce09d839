"""The error hierarchy: what each class promises to callers and operators."""

import inspect
import re

import pytest

from lamdb import errors
from lamdb.errors import Fenced, LamdbError, QueryError

TOLD_WITH_SUCCESS = {errors.PersistedQueryNotFound, errors.PersistedQueryNotSupported}
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, LamdbError)]


def test_the_tree_in_the_docstring_is_the_hierarchy() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(drawn) == sorted(c.__name__ for c in CLASSES if c is not LamdbError)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_each_has_a_code_and_a_status(cls: type[LamdbError]) -> None:
    error = cls("what happened")
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", error.code)
    assert 400 <= error.status < 600 or cls in TOLD_WITH_SUCCESS
    assert str(error) == error.message == "what happened"


def test_extensions_say_only_what_there_is_to_say() -> None:
    assert QueryError("no", code="P2002", meta={"target": ["email"]}).extensions() == {
        "code": "P2002",
        "meta": {"target": ["email"]},
    }
    assert Fenced("lost").extensions() == {"code": "FENCED", "retryable": True, "hint": Fenced.hint}
