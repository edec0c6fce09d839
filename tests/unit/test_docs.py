"""The documents agree with the code: links, anchors, modules, commands and code blocks."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import graphql
import pytest
import typer.main
import yaml
from tests import which

from lamdb.cli.main import app
from lamdb.graphql.request import GraphQLRequest
from lamdb.operator.guard import admit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sqlite-engine/lamdb"
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        ROOT / "tests/README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "examples").glob("*/README.md"),
    ]
)


def exists(parts: list[str]) -> bool:
    path = PACKAGE.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_modules_that_documents_name_exist(document: Path) -> None:
    named = re.findall(r"`lamdb\.(?!toml`)([a-z_.]+[a-z_])`", document.read_text())
    assert [name for name in named if not exists(name.split("."))] == []


def test_modules_in_the_architecture_table_exist() -> None:
    table = (ROOT / "docs/architecture.md").read_text()
    rows = dict(re.findall(r"^\| `lamdb\.([\w.]+)` \|.*\| (.*) \|$", table, re.MULTILINE))
    for part, described in rows.items():
        folder = PACKAGE.joinpath(*part.split("."))
        modules = {p.stem for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
        named = set(re.findall(r"`(\w+)`", described))
        assert named <= modules, f"{part}: words in backticks here are modules: {named - modules}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_anchors_of_links_exist(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*\.md)?#([^)]+)\)", document.read_text())
    missing = [
        f"{path}#{anchor}"
        for path, anchor in links
        if anchor not in headings((document.parent / path).resolve() if path else document)
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_references_of_links_are_defined(document: Path) -> None:
    text = document.read_text()
    defined = set(re.findall(r"^\[([\w.-]+)\]: https?://", text, re.MULTILINE))
    used = set(re.findall(r"\]\[([\w.-]+)\]", re.sub(r"`[^`]*`", "", text)))
    assert used == defined


def blocks(document: Path, language: str) -> Iterator[str]:
    """The code blocks of a language that are meant as they stand: without an ellipsis."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return (block for block in found if "…" not in block)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_code_blocks_can_be_parsed(document: Path) -> None:
    for block in blocks(document, "json"):
        json.loads(block)
    for block in blocks(document, "python"):
        ast.parse(block)
    for block in blocks(document, "graphql"):
        graphql.parse(block)
    for block in blocks(document, "yaml"):
        list(yaml.safe_load_all(block))
    for block in blocks(document, "sh"):
        checked = subprocess.run(
            ["bash", "-n"],
            input=re.sub(r"<[a-z ]+>", "PLACEHOLDER", block),
            text=True,
            capture_output=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_diagrams_have_no_semicolons_which_end_a_statement_there(document: Path) -> None:
    assert [block for block in blocks(document, "mermaid") if ";" in block] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_nested_lists_are_indented_by_four_spaces_as_the_site_needs_it(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^ {1,3}(?:[-*]|\d+\.) .*", text, re.MULTILINE) == []


def command(words: list[str]) -> Any:
    """The command of `lamdb` that these words name, its arguments after it."""
    found: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(found, "commands"):
            break
        found = found.commands[word]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_commands_and_targets_in_code_blocks_exist(document: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks(document, "sh"):
        lines = block.replace("\\\n", " ").splitlines()
        for line in lines:
            line = re.sub(r"'[^']*'|\"[^\"]*\"|\$\([^)]*\)", "TEXT", line.partition(" #")[0])
            for words in re.findall(r"^make ((?:[a-z-]+ ?)+)", line):
                assert set(words.split()) <= targets, line
            for called in re.findall(r"(?:^|[ /;(])lamdb ([a-z].*?)(?=$|[;|)])", line):
                words = called.split()
                if line.startswith(("docker run", "mkdir", "git ")) or words[0] in {"lamdb"}:
                    continue
                known = {option for p in command(words).params for option in (*p.opts, *p.secondary_opts)}
                given = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert given - known - {"--help", "--version"} == set(), line


OPERATORS = (ROOT / "docs/operator.md").read_text()
SDL = (PACKAGE / "operator/admin.graphql").read_text()


def test_the_operator_apis_sdl_is_all_there() -> None:
    shown = OPERATORS.split("## The SDL", 1)[1].split("```graphql\n", 1)[1].split("```", 1)[0]
    assert shown == SDL, "paste lamdb/operator/admin.graphql into docs/operator.md"


def test_what_is_sent_to_operators_in_the_documents_is_valid() -> None:
    texts = "\n".join(document.read_text() for document in DOCUMENTS)
    sent = re.findall(r'/admin/graphql[^`]*?"query": "([^"]*)"', texts) + re.findall(
        r"admin '([^']*)'", texts
    )
    assert len(sent) >= 4
    for query in [*sent, *re.findall(r'query: "(mutation[^"]*)"', texts)]:
        admit(GraphQLRequest(query, {"m": []}))


def test_the_module_map_of_the_tests_finds_direct_and_indirect_users() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tests.which", "storage/maintenance/compaction.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    direct, _, through = shown.partition("and through helpers by:")
    assert "tests/unit/storage/maintenance/test_compaction.py" in direct
    assert through


def test_the_module_map_follows_imports_of_imports() -> None:
    near = which.users_of("lamdb.hrana.statements.stored_values")
    far = which.distant_users_of("lamdb.hrana.statements.stored_values", 6)
    assert sorted(far) == [2, 3, 4, 5, 6]
    everywhere = [name for names in [*near, *far.values()] for name in names]
    assert len(everywhere) == len(set(everywhere)), "each test stands where it is nearest"
    assert "tests/unit/hrana/test_transactions.py" in everywhere, "it reaches the module through the endpoint"
    assert which.distant_users_of("lamdb.hrana.statements.stored_values", 1) == {}


def test_every_folder_that_the_tests_readme_names_exists() -> None:
    text = (ROOT / "tests/README.md").read_text()
    named = re.findall(
        r"`((?:unit|integration|lambda|e2e|oracles|docker|soak|hostile|mutation)/[\w./]*)`", text
    )
    assert len(named) > 20
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_every_package_is_in_the_architecture_table() -> None:
    table = (ROOT / "docs/architecture.md").read_text()
    packages = {p.parent.relative_to(PACKAGE.parent) for p in PACKAGE.glob("*/__init__.py")}
    assert [p for p in sorted(packages) if f"| `{'.'.join(p.parts)}` |" not in table] == []


def test_every_page_is_in_the_sites_navigation_and_in_the_index() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    index = (ROOT / "docs/index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f" {page.name}\n" in navigation, f"add {page.name} to mkdocs.yml"
        assert page.name == "index.md" or f"({page.name})" in index, f"add {page.name} to docs/index.md"


def test_costs_in_the_faq_are_those_of_the_model() -> None:
    named = re.findall(r"([\d,]+\.\d\d) USD|about ([\d.]+k) searches", (ROOT / "docs/faq.md").read_text())
    computed = (ROOT / "docs/cost.md").read_text()
    assert len(named) >= 3
    missing = [amount for pair in named for amount in pair if amount and amount not in computed]
    assert missing == [], "docs/cost.md has changed: correct docs/faq.md"
