"""What the site does beside MkDocs: pages from outside docs/, links as on a forge, formulas."""

import re
from html import escape
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "data/raw/README.md")
LINK = re.compile(r"\[([^]]+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Draw what stands in a block of the language `math`, as forges do."""
    fence = {"name": "math", "class": "math", "format": formula}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere in the repository."""
    for name in OUTSIDE:
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the page's links to pages of the site."""
    own = page.file.src_uri
    pages = {file.src_uri for file in files}
    return as_on_site(markdown, own, pages, config.repo_url)


def as_on_site(markdown: str, own: str, pages: set[str], address: str | None = None) -> str:
    """Return a page whose links lead to pages of the site.

    A link to a file of the repository that is no page leads to the repository, if it has an
    address; else its text stays, without a link.

    Args:
        markdown: The page; its links are relative to its place in the repository.
        own: Its place on the site.
        pages: The places of all pages and other files of the site.
        address: Of the repository, with a folder per branch.
    """
    place = PurePosixPath(own if own in OUTSIDE else f"docs/{own}")

    def changed(found: re.Match[str]) -> str:
        text, target, part = found[1], found[2], found[3] or ""
        path = normpath(place.parent / target)
        there = path.removeprefix("docs/") if path.startswith("docs/") else path
        if there in pages and (path.startswith("docs/") or path in OUTSIDE):
            return f"[{text}]({relpath(there, PurePosixPath(own).parent)}{part})"
        return f"[{text}]({address}/blob/main/{path}{part})" if address else text

    parts = CODE.split(markdown)
    return "".join(p if i % 2 else LINK.sub(changed, p) for i, p in enumerate(parts))


def formula(source: str, *_: Any, **__: Any) -> str:
    """Return a formula in LaTeX as MathML, which browsers draw without a script."""
    drawn = convert(source.strip(), display="block")
    return f'<div class="formula" role="math" aria-label="{escape(source.strip())}">{drawn}</div>'
