"""The documents agree with the code."""

import re
from pathlib import Path

import pytest

from lamdb.graphql.request import GraphQLRequest
from lamdb.operator.guard import admit

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sqlite-engine/lamdb"
DOCUMENTS = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")]
)


def exists(parts: list[str]) -> bool:
    path = PACKAGE.joinpath(*parts)
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_modules_that_documents_name_exist(document: Path) -> None:
    named = re.findall(r"`lamdb\.([a-z_.]+[a-z_])`", document.read_text())
    assert [name for name in named if not exists(name.split("."))] == []


def test_modules_in_the_architecture_table_exist() -> None:
    table = (ROOT / "docs/architecture.md").read_text()
    rows = dict(re.findall(r"^\| `lamdb\.([\w.]+)` \|.*\| (.*) \|$", table, re.MULTILINE))
    for part, described in rows.items():
        folder = PACKAGE.joinpath(*part.split("."))
        modules = {p.stem for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
        named = set(re.findall(r"`(\w+)`", described))
        assert named <= modules, f"{part}: named but not there: {named - modules}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


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
