"""Plain English: the habits that make docstrings, documents, help, descriptions and errors hard to read.

`CONTRIBUTING.md` has the style guide. The rules here catch the worst habits by their words; they cannot tell
whether a text is good.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lamdb.cli.reference import reference
from lamdb.settings import specs

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sqlite-engine/lamdb"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        ROOT / "tests/README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("examples/*/README.md"),
    ]
)
MODULES = sorted(
    path
    for folder in (PACKAGE, ROOT / "tests", ROOT / "functions", ROOT / "bench", ROOT / "docs/site")
    for path in folder.rglob("*.py")
    if "node_modules" not in path.parts
)

OPENING = re.compile(
    r"(What|Whatever|Who|Whoever|Whom|Which|Of|That|Told|Until|Since|Whether (nothing|anything but))\b"
)
"""First words of a docstring that make a riddle of it: begin with a verb or a noun phrase."""

PEOPLE = (
    r"people|users?|callers?|operators?|developers?|authors?|owners?|maintainers?|contributors?|customers?|colleagues?"
    r"|persons?|anyone|anybody|everyone|everybody|nobody|someone|somebody|one|those|others|all|you|readers?"
)
WHO = re.compile(
    r"\b(?<!`)(?:[Ww]ho(?:m)?ever|(?<!\b)Who (?!may|can|wrote)|who(?! (?:may|can|decides|wrote)\b)|whom)\b"
)
SOMEBODY = re.compile(rf"\b(?:{PEOPLE})\W+(?:\w+\W+)?$", re.IGNORECASE)

_VERBS = (
    "is|are|was|were|has|have|had|does|do|would|may|might|can|cannot|could|must|will|takes?|knows?|costs?|asks?"
    "|holds?|drops?|comes?|goes|gets?"
)
BECAUSE = re.compile(
    r"[,;] for (?:it|they|he|she|there|nobody|otherwise|as (?!long)|who|these are|those are|this is|that is"
    rf"|(?:the|a|an|its|their|each|every|no|some|most|many|one|all of a sudden) (?!(?:\w+ )+?(?:that|which) )"
    rf"(?:\w+ ){{1,3}}?(?:{_VERBS}))\b"
)

WORDS = re.compile(
    r"\b(of then|out of the blue|comes? again|came again|brings? it again|nothing of (?:it|the)|shall"
    r"|whilst|no longer there is|of late)\b",
    re.IGNORECASE,
)
"""Riddles and words that a reader of technical English stumbles over."""

HEADINGS = {"Once", "Later", "The past", "Ask", "Elsewhere", "Elsewhere than here", "Bring what you have"}


def docstrings(module: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, those of constants and fields included."""
    for node in ast.walk(ast.parse(module.read_text())):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for before, statement in zip([None, *body], body, strict=False):
            if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
                continue
            text = statement.value.value
            if isinstance(text, str) and (
                (before is None and documented) or isinstance(before, ast.Assign | ast.AnnAssign)
            ):
                yield statement.lineno, text


def strings(module: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each string that looks like a sentence, such as messages, hints and help."""
    tree = ast.parse(module.read_text())
    inside = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    documented = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in inside or id(node) in documented:
                continue
            text = node.value
        else:
            continue
        if text.count(" ") >= 3 and not re.search(r"\b(SELECT|PRAGMA|FROM|WHERE)\b", text):
            yield node.lineno, text


def prose(document: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph, table row or heading outside code."""
    text = re.sub(
        r"^```.*?^```$",
        lambda m: "\n" * m[0].count("\n"),
        document.read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    line = 1
    for paragraph in re.split(r"(\n(?:[ \t]*\n)+|\n(?=\|))", text):
        if paragraph.strip():
            yield line + len(paragraph) - len(paragraph.lstrip("\n")), paragraph.strip()
        line += paragraph.count("\n")


def habits(text: str, *, opening: bool = False) -> Iterator[str]:
    """The rules that a text breaks, each with the words that break it."""
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)|\*[^*]+\*", "`…`", " ".join(text.split()))
    if opening and (found := OPENING.match(plain)):
        yield f"it opens with {found[0]!r}: begin with a verb or a noun phrase"
    for found in WHO.finditer(plain):
        if not SOMEBODY.search(plain[: found.start()]):
            around = plain[max(0, found.start() - 30) : found.end() + 20]
            yield f"{found[0].strip()!r} for something that is no person: …{around}…"
    for found in BECAUSE.finditer(plain):
        yield f"'for' in the sense of 'because': …{found[0]}…"
    for found in WORDS.finditer(plain):
        yield f"{found[0]!r}: use a plain expression"


def listed(texts: Iterator[tuple[int, str]], path: Path, *, opening: bool = False) -> list[str]:
    where = path.relative_to(ROOT)
    return [f"{where}:{line}: {habit}" for line, text in texts for habit in habits(text, opening=opening)]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(ROOT)))
def test_docstrings(module: Path) -> None:
    assert listed(docstrings(module), module, opening=True) == []


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda m: str(m.relative_to(PACKAGE)))
def test_messages(module: Path) -> None:
    assert listed(strings(module), module) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_documents(document: Path) -> None:
    found = listed(prose(document), document)
    titles = set(re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE))
    assert found + sorted(titles & HEADINGS) == []


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags, whose values do not matter here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def descriptions(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "Description" and isinstance(item, str):
                yield item
            yield from descriptions(item)
    elif isinstance(value, list):
        for item in value:
            yield from descriptions(item)


@pytest.mark.parametrize(("template", "least"), [("template.yaml", 50), ("monitoring.yaml", 10)])
def test_descriptions_of_the_templates(template: str, least: int) -> None:
    found = list(descriptions(yaml.load((ROOT / template).read_text(), _Loader)))
    assert len(found) > least
    assert [(text, habit) for text in found for habit in habits(text, opening=True)] == []


def test_descriptions_of_the_operator_api() -> None:
    text = (PACKAGE / "operator/admin.graphql").read_text()
    found = re.findall(r'"""(.+?)"""|^ *"([^"\n]+)"$', text, re.MULTILINE | re.DOTALL)
    assert len(found) > 50
    described = [" ".join("".join(pair).split()) for pair in found]
    assert [(text, habit) for text in described for habit in habits(text, opening=True)] == []


def test_help_and_settings() -> None:
    texts = [*reference().splitlines(), *(spec.doc for spec in specs().values())]
    assert len(texts) > 100
    assert [(text, habit) for text in texts for habit in habits(text, opening=True)] == []


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("What a client sent.", "opens with 'What'"),
        ("Who is late waits.", "opens with 'Who'"),
        ("Whether nothing but a failure was answered.", "opens with"),
        ("Of one plan.", "opens with 'Of'"),
        ("The page, for whoever asks.", "whoever"),
        ("It goes to the server who has it.", "'who'"),
        ("It is kept, for it may be sent a second time.", "because"),
        ("A key, for the writer has none.", "because"),
        ("By the schema of then.", "of then"),
    ],
)
def test_each_habit_is_noticed(text: str, breaks: str) -> None:
    assert any(breaks in habit for habit in habits(text, opening=True))


@pytest.mark.parametrize(
    "text",
    [
        "Returns the value for a key, for example a number.",
        "Operators, who may deploy, and users who write.",
        "The limit for reads, for writes and for each client.",
        "True if the client waits.",
        "Says who may call.",
    ],
)
def test_plain_sentences_pass(text: str) -> None:
    assert list(habits(text, opening=True)) == []
