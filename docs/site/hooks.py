"""Hooks of MkDocs: adds the documents that lie outside docs/ to the site, and adapts the links to them."""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[2]

OUTSIDE: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "examples/debian-archive/README.md": "debian-archive.md",
    "tests/README.md": "tests.md",
}
"""Pages of the site by their path in the repository."""

_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    for path, name in OUTSIDE.items():
        text = adapted((ROOT / path).read_text(), posixpath.dirname(path))
        files.append(File.generated(config, name, content=text))
    mermaid = ROOT / "docs/site/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"
    files.append(File.generated(config, "javascripts/mermaid.js", content=mermaid.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return markdown if page.file.generated_by else adapted(markdown, "docs")


def adapted(markdown: str, folder: str) -> str:
    """A document of `folder` with links as the site needs them. Links to source files become text."""

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], posixpath.normpath(posixpath.join(folder, match[2])), match[3] or ""
        if target in OUTSIDE:
            return f"[{text}]({OUTSIDE[target]}{anchor})"
        if target.startswith("docs/") and target.endswith(".md"):
            return f"[{text}]({target.removeprefix('docs/')}{anchor})"
        return text

    return _LINK.sub(link, markdown)
