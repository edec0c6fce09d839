"""The query language for people: what texts mean, and that every text means something."""

import random

import apsw
import pytest

from lamdb.search import syntax
from lamdb.search.syntax import Tokenizer, parse


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE docs USING fts5(a, b, tokenize='porter unicode61 remove_diacritics 2')"
    )
    return connection


@pytest.fixture(scope="module")
def tokenizer(connection: apsw.Connection) -> Tokenizer:
    return Tokenizer(connection)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cat", '("cat")'),
        ("Café  RÉSUMÉ", '("cafe") AND ("resume")'),
        ("cat dog", '("cat") AND ("dog")'),
        ("cat & dog", '("cat" AND "dog")'),
        ("cat&dog", '("cat" AND "dog")'),
        ("cat AND dog", '("cat") AND ("dog")'),
        ("cat | dog", '("cat" OR "dog")'),
        ("cat OR dog", '("cat" OR "dog")'),
        ("cat or dog", '("cat") AND ("or") AND ("dog")'),
        ("red OR blue shoes", '("red" OR "blue") AND ("shoes")'),
        ("fox | cat & dog", '("fox" OR ("cat" AND "dog"))'),
        ('"big cat" dog', '("big cat") AND ("dog")'),
        ("“big cat” «small dog»", '("big cat") AND ("small dog")'),
        ('"big ca"*', '("big ca"*)'),
        ("ca*", '("ca"*)'),
        ("ca* dog", '("ca"*) AND ("dog")'),
        ("cat -dog", '("cat")'),
        ("key-value", '("key") AND ("value")'),
        ("python 3.14", '("python") AND ("3 14")'),
        ("e-mail", '("e mail")'),
        ("c++", '("c")'),
        ("don't", '("don t")'),
        ("cat cat CAT", '("cat")'),
        ("東京 hotel", '("東京") AND ("hotel")'),
        ('"unclosed phrase', '("unclosed") AND ("phrase")'),
        ("OR cat OR", '("cat")'),
        ("cat | | dog", '("cat" OR "dog")'),
        ("cat & | dog", '("cat" OR "dog")'),
        ("(cat | dog)", '("cat" OR "dog")'),
        ("title:cat", '("title") AND ("cat")'),
        ("NEAR(cat dog, 3)", '("near") AND ("cat") AND ("dog") AND ("3")'),
        ("^cat", '("cat")'),
        ("cat - dog", '("cat") AND ("dog")'),
        ("ROCK AND ROLL", '("rock") AND ("and") AND ("roll")'),
    ],
)
def test_texts_mean(tokenizer: Tokenizer, text: str, match: str) -> None:
    assert parse(text, tokenizer).match() == match


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "---", '""', "***", '"', "|", "&&", "-", "!?", "\ud800", "🎉", '-"']
)
def test_texts_without_words_mean_nothing(tokenizer: Tokenizer, text: str) -> None:
    query = parse(text, tokenizer)
    assert query.match() is None
    assert query.excluded == ()


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("cat -dog", ['"dog"']),
        ("cat !dog", ['"dog"']),
        ("cat & !dog", ['"dog"']),
        ('cat -"big dog"', ['"big dog"']),
        ("cat -do*", ['"do"*']),
        ("cat -key-value", ['"key value"']),
        ("-dog", ['"dog"']),
        ("cat--dog", []),
        ("cat-dog", []),
        ("cat -", []),
    ],
)
def test_exclusions(tokenizer: Tokenizer, text: str, excluded: list[str]) -> None:
    assert [term.match() for term in parse(text, tokenizer).excluded] == excluded


@pytest.mark.parametrize(
    ("text", "open_ended"),
    [("cat", True), ("cat ", False), ("cat.", False), ('"cat"', False), ("東", True), ("", False)],
)
def test_the_last_word_is_complete_when_something_follows(
    tokenizer: Tokenizer, text: str, open_ended: bool
) -> None:
    assert parse(text, tokenizer).open_ended is open_ended


def test_tokens_know_their_place(tokenizer: Tokenizer) -> None:
    text = "Çédille 🎉 key-value"
    tokens = [
        t for c in parse(text, tokenizer).clauses for terms in c.alternatives for e in terms for t in e.tokens
    ]
    assert [(token.text, text[token.start : token.end]) for token in tokens] == [
        ("cedille", "Çédille"),
        ("key", "key"),
        ("value", "value"),
    ]


def test_texts_are_bounded(tokenizer: Tokenizer) -> None:
    many = parse(" ".join(f"word{n}" for n in range(2000)), tokenizer)
    assert len(many.clauses) == syntax.MAX_CLAUSES
    assert (
        len(parse("a " + " ".join(f"-w{n}" for n in range(900)), tokenizer).excluded) == syntax.MAX_EXCLUDED
    )
    either = parse(" OR ".join(f"w{n}" for n in range(900)), tokenizer)
    assert len(either.clauses[0].alternatives) == syntax.MAX_ALTERNATIVES
    both = parse(" & ".join(f"w{n}" for n in range(900)), tokenizer)
    assert len(both.clauses[0].alternatives[0]) == syntax.MAX_CLAUSES
    phrase = parse('"' + "a " * 900 + '"', tokenizer)
    assert len(phrase.clauses[0].alternatives[0][0].tokens) == syntax.MAX_PHRASE
    long = parse("ä" * 10_000, tokenizer).clauses[0].alternatives[0][0]
    assert long.prefix
    assert len(long.tokens[0].text.encode()) <= 256


PIECES = [
    '"', "*", "-", "!", "|", "&", "OR", "AND", "NOT", "NEAR(", ")", "(", "^", ":", "{", "}", "+", ",", "'",
    ";", "\0",
    " ", "\n", "\t", "cat", "Dogs", "3.14", "c++", "é", "e\u0301", "東京", "한국어", "🎉",
    "👩‍👩‍👧", "\ud800", "\udfff", "\ufffe",
    "ﬁ", "İ", "ß", "ǅ", "\u200b", "\u202e",
    "ا", "नमस्ते", "a" * 300, "x-y_z", "%", "\\", "--", "/*", "docs", "rank", "“", "»",
    "\U0001e900", "\u0300", "\U000e0001", "\ua7dd", "1", "²", "Ⅷ", "\uf8ff",
]  # fmt: skip


def texts(seed: int, count: int) -> list[str]:
    """Strings of what a query language, SQL or Unicode may stumble over."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        pieces = [
            chance.choice(PIECES) if chance.random() < 0.85 else chr(chance.randrange(0x110000))
            for _ in range(chance.randrange(1, 14))
        ]
        made.append(chance.choice(["", " "]).join(pieces))
    return made


def test_no_text_is_an_error(connection: apsw.Connection, tokenizer: Tokenizer) -> None:
    for text in texts(7, 4000):
        query = parse(text, tokenizer)
        for match in [query.match(), *(term.match() for term in query.excluded)]:
            if match is not None:
                connection.execute("SELECT rowid FROM docs WHERE docs MATCH ?", (match,)).fetchall()


def test_texts_find_themselves(tokenizer: Tokenizer) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE docs USING fts5(a, tokenize='porter unicode61 remove_diacritics 2')"
    )
    words = [
        "Café",
        "e\u0301cole",
        "İstanbul",
        "straße",
        "ﬁsh",
        "東京",
        "नमस्ते",
        "ǅungla",
        "ΣΊΣΥΦΟΣ",
        "don't",
        "3.14",
    ]
    for word in words:
        connection.execute("INSERT INTO docs VALUES (?)", (word,))
    for number, word in enumerate(words, 1):
        match = parse(word, tokenizer).match()
        found = connection.execute("SELECT rowid FROM docs WHERE docs MATCH ?", (match,)).fetchall()
        assert (number,) in found, word
