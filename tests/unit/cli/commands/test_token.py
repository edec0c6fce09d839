"""`lamdb token search`."""

import time

import pytest
from tests.support.command_line import Run, run

from lamdb.graphql.search_tokens import SearchToken

__all__ = ["run"]

KEY = "a-key-that-nobody-else-knows"


@pytest.fixture(autouse=True)
def with_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMDB_SEARCH_KEY", KEY)


def test_a_token_has_what_was_asked_for(run: Run) -> None:
    made = run("token", "search")
    assert SearchToken.verify(made.out.strip(), KEY) == SearchToken()
    options = ("--model", "Post", "--model", "Tag", "--where", 'Post={"a": {"gt": 1}}', "--relations")
    made = run("token", "search", *options, "--expires", "90m", "--json")
    token = SearchToken.verify(made.json["token"], KEY)
    assert (token.models, token.where, token.relations) == (("Post", "Tag"), {"Post": {"a": {"gt": 1}}}, True)
    assert token.expires == made.json["expires"]
    assert 5000 < made.json["expires"] - time.time() <= 5400


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--where", "Post"], "not JSON"),
        (["--where", "Post=[]"], "a model, = and a JSON object"),
        (["--where", "={}"], "a model, = and a JSON object"),
        (["--where", 'Post={"a":'], "not JSON"),
        (["--model", "Tag", "--where", "Post={}"], "names Post"),
        (["--expires", "0h"], "90m, 24h, 30d"),
        (["--expires", "soon"], "90m, 24h, 30d"),
        (["--where", f'Post={{"a": "{"x" * 9000}"}}'], "too long"),
    ],
)
def test_mistakes(run: Run, options: list[str], complaint: str) -> None:
    done = run("token", "search", *options)
    assert done.code == 2
    assert complaint in done.err
    assert KEY not in done.err


def test_it_needs_the_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMDB_SEARCH_KEY")
    assert "LAMDB_SEARCH_KEY is not set" in run("token", "search").err
    monkeypatch.setenv("LAMDB_SEARCH_KEY", "short")
    done = run("token", "search")
    assert done.code == 2
    assert "short" not in done.err
