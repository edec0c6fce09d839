"""Functions that are invoked directly: which one, what with, how often."""

import builtins
import json
from typing import Any

import pytest

from lamdb.cli.targets.functions import FunctionTarget
from lamdb.cli.targets.target import GRAPHQL, OPERATOR, Question
from lamdb.errors import (
    BodyTooLarge,
    FunctionError,
    FunctionUnavailable,
    RemoteError,
    SettingsError,
    Throttled,
)

QUERY = "{ findManyTag { id } }"
MUTATION = "mutation { deleteManyTag { count } }"
MIGRATE = "mutation { migrate(migrations: []) { txid } }"
VERIFY = "mutation { verify { ok } }"


class Functions:
    """Raises each of `failures` first, then answers."""

    def __init__(self, *failures: Exception, answer: Any = None) -> None:
        self.failures = list(failures)
        self.answer = {"data": {}, "extensions": {"lamdb": {"status": 200}}} if answer is None else answer
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        self.asked.append((function, json.loads(payload)))
        if self.failures:
            raise self.failures.pop(0)
        return json.dumps(self.answer).encode()

    def ask(self, path: str, document: str, *, busy_seconds: float = 60.0, **headers: str) -> Any:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        target = FunctionTarget("the stack", "r", "w", invoke=self, busy_seconds=busy_seconds)
        return target.ask(path, Question(document, {"a": 1}, headers=named))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamdb.cli.targets.functions.time.sleep", lambda _: None)


@pytest.mark.parametrize(
    ("path", "document", "function"),
    [
        (GRAPHQL, QUERY, "r"),
        (GRAPHQL, MUTATION, "w"),
        (GRAPHQL, "not graphql", "r"),
        (OPERATOR, "{ database { txid } }", "r"),
        (OPERATOR, MIGRATE, "w"),
        (OPERATOR, VERIFY, "r"),
        (OPERATOR, "{", "r"),
    ],
)
def test_what_writes_goes_to_the_writer(path: str, document: str, function: str) -> None:
    functions = Functions()
    assert functions.ask(path, document) == {"data": {}}
    ((asked, event),) = functions.asked
    assert asked == function
    inner = event["lamdb"]["admin"] if path == OPERATOR else event
    assert (inner["query"], inner["variables"]) == (document, {"a": 1})


def test_what_the_client_wants_of_a_read_is_passed_on() -> None:
    functions = Functions()
    functions.ask(GRAPHQL, QUERY, x_lamdb_as_of="7")
    assert functions.asked[0][1]["headers"] == {"x-lamdb-as-of": "7"}


def test_a_mutation_has_a_key_and_keeps_it() -> None:
    functions = Functions(FunctionUnavailable("lost"), Throttled("busy"))
    functions.ask(GRAPHQL, MUTATION)
    keys = [event["headers"]["idempotency-key"] for _, event in functions.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    mine = Functions()
    mine.ask(GRAPHQL, MUTATION, idempotency_key="mine")
    assert mine.asked[0][1]["headers"] == {"idempotency-key": "mine"}


def test_what_an_operator_changes_is_not_sent_again_once_it_may_have_begun() -> None:
    busy = Functions(Throttled("busy"), Throttled("busy"))
    busy.ask(OPERATOR, MIGRATE)
    assert len(busy.asked) == 3
    lost = Functions(FunctionUnavailable("lost"))
    with pytest.raises(FunctionUnavailable, match="w: lost"):
        lost.ask(OPERATOR, MIGRATE)
    assert len(lost.asked) == 1
    reading = Functions(FunctionUnavailable("lost"))
    assert reading.ask(OPERATOR, VERIFY) == {"data": {}}


def test_patience_ends() -> None:
    functions = Functions(*[Throttled("busy")] * 5)
    with pytest.raises(Throttled, match="r: busy"):
        functions.ask(GRAPHQL, QUERY, busy_seconds=0)
    assert len(functions.asked) == 1


def test_what_will_not_get_better_is_said_at_once() -> None:
    functions = Functions(FunctionError("it does not exist"))
    with pytest.raises(FunctionError, match="r: it does not exist"):
        functions.ask(GRAPHQL, QUERY)


def test_what_is_too_large_for_a_function_is_not_sent() -> None:
    functions = Functions()
    target = FunctionTarget("the stack", "r", "w", invoke=functions)
    with pytest.raises(BodyTooLarge, match="6291456") as caught:
        target.ask(OPERATOR, Question(MIGRATE, {"sql": "x" * 6_291_456}))
    assert "--store" in caught.value.hint
    assert functions.asked == []


@pytest.mark.parametrize("answer", [[], {"statusCode": 200}, "x"])
def test_another_function_is_no_lamdb(answer: Any) -> None:
    with pytest.raises(RemoteError, match="is not one of lamDB"):
        Functions(answer=answer).ask(GRAPHQL, QUERY)


def test_extensions_of_others_stay() -> None:
    answer = {"data": {}, "extensions": {"lamdb": {"txid": 1}, "cost": 3}}
    assert Functions(answer=answer).ask(GRAPHQL, QUERY) == {"data": {}, "extensions": {"cost": 3}}


def test_without_boto3_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] in {"boto3", "botocore"}:
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(SettingsError, match="boto3, which calls AWS, is not installed") as caught:
        FunctionTarget("the function f", "f", "f")
    assert "lamdb[aws]" in caught.value.hint
