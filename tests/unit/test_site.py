"""The documentation site: its configuration, and that what it serves comes from itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build/site"
PAGES = sorted(SITE.rglob("*.html"))
LOADS = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*\bhref=["']?(?:https?:)?//[^>]*>""",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://example.com/a.js"></script>',
        "<img alt=x src=//example.com/a.png>",
        '<link rel="stylesheet" href="https://fonts.example.com/css">',
    ],
)
def test_external_resources_are_noticed(tag: str) -> None:
    assert LOADS.search(tag)


@pytest.mark.skipif(not PAGES, reason="the site is not built: run `make docs`")
def test_pages_load_nothing_from_elsewhere() -> None:
    assert len(PAGES) > 20
    assert [(page.name, m[0]) for page in PAGES for m in LOADS.finditer(page.read_text())] == []


@pytest.mark.skipif(not PAGES, reason="the site is not built: run `make docs`")
def test_style_sheets_load_nothing_from_elsewhere() -> None:
    sheets = [*SITE.rglob("*.css")]
    assert sheets
    assert [s.name for s in sheets if re.search(r"@import|url\([\"']?(?:https?:)?//", s.read_text())] == []


@pytest.mark.skipif(not PAGES, reason="the site is not built: run `make docs`")
def test_diagrams_are_drawn_by_the_sites_own_script() -> None:
    page = (SITE / "architecture.html").read_text()
    assert page.count('class="mermaid"') == 5
    assert 'src="javascripts/mermaid.js"' in page
    assert (SITE / "javascripts/mermaid.js").stat().st_size > 100_000
