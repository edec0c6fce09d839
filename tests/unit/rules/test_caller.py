"""Claims as values of SQLite."""

from typing import Any

import pytest

from lamdb.rules.caller import ANONYMOUS, Caller, read_caller, written_caller

CLAIMS = {
    "sub": "7",
    "level": 3,
    "score": 1.5,
    "banned": True,
    "groups": ["a", 5],
    "app": {"role": "x", "on": False},
    "a.b": "dotted",
    "exp": 1769817600,
    "huge": 2**70,
}


@pytest.mark.parametrize(
    ("path", "kind", "value"),
    [
        ("sub", "text", "7"),
        ("id", "number", 7),
        ("level", "text", "3"),
        ("level", "number", 3),
        ("score", "number", 1.5),
        ("banned", "boolean", 1),
        ("banned", "number", None),
        ("banned", "text", None),
        ("level", "boolean", None),
        ("app.role", "text", "x"),
        ("app.on", "boolean", 0),
        ("app.none", "text", None),
        ("sub.none", "text", None),
        ("a.b", "text", "dotted"),
        ("groups", "text", None),
        ("groups", "any", '["a",5]'),
        ("exp", "time", "2026-01-31T00:00:00.000+00:00"),
        ("huge", "number", None),
        ("huge", "text", str(2**70)),
    ],
)
def test_claims(path: str, kind: str, value: Any) -> None:
    assert Caller(CLAIMS).claim(path, kind) == value
    assert ANONYMOUS.claim(path, kind) is None


@pytest.mark.parametrize(
    "text", ["07", "7.0", "+7", " 7", "7 ", "7_0", "-0", "\u0667", "\uff17", "7e0", "0x7", ""]
)
def test_another_spelling_of_a_number_is_another_user(text: str) -> None:
    assert Caller({"sub": text}).claim("sub", "number") is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("-12", -12), ("0.5", 0.5), ("-0.25", -0.25)])
def test_numbers_written_as_texts(text: str, number: float) -> None:
    assert Caller({"sub": text}).claim("sub", "number") == number


def test_lists() -> None:
    caller = Caller(CLAIMS)
    assert [caller.claim_has("groups", value) for value in ("a", "b", 5, "5", None)] == [1, 0, 1, 1, 0]
    assert caller.claim_has("sub", "7") == 0


def test_a_caller_survives_being_sent_on() -> None:
    for caller in (None, ANONYMOUS, Caller(CLAIMS)):
        assert read_caller(written_caller(caller)) == caller
    for wrong in (None, "trusted", {"trusted": 1}, {"claims": "all"}, []):
        assert read_caller(wrong) == ANONYMOUS


def test_a_user_keeps_its_digest_when_its_token_is_renewed() -> None:
    assert Caller({"sub": "1", "exp": 1}).digest == Caller({"sub": "1", "exp": 2}).digest
    assert Caller({"sub": "1"}).digest != Caller({"sub": "2"}).digest
