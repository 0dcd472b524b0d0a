"""Pages that live elsewhere in the repository, and links that leave docs/.

README, the changelog and others are pages of the site too. They are written to
``docs/generated/``, and every relative link is turned: to a page of the site if its target is one,
else to the file itself, which the site then offers for download.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "generated"

PAGES = {  # page of the site -> file, where there is one
    "getting-started": "README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "benchmarks": "benchmarks/README.md",
    "results": "RESULTS.md",
}
TITLES = {"README.md": "Getting started"}

FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def site_page(path: Path) -> Path:
    """Returns where the site has a file: as it is, or the page made from it."""
    for name, source in PAGES.items():
        if path == ROOT / source:
            return GENERATED / f"{name}.md"
    return path


def turned(text: str, source: Path, page: Path) -> str:
    """Returns the text of ``source`` with the links that it needs as ``page`` of the site."""

    def turn(match: re.Match[str]) -> str:
        path, hash_, anchor = match[1].partition("#")
        if not path or re.match(r"\w+:", path):
            return match[0]
        target = site_page((source.parent / path).resolve())
        return f"]({os.path.relpath(target, page.parent)}{hash_}{anchor})"

    parts = FENCE.split(text)  # code is every second part
    parts[::2] = [LINK.sub(turn, part) for part in parts[::2]]
    return "".join(parts)


def write_if_changed(path: Path, text: str) -> None:
    """Writes a page; one that stays the same is not built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def write_pages(app: "Sphinx") -> None:
    """Writes the pages that are made from files elsewhere."""
    for name, source in PAGES.items():
        path, page = ROOT / source, GENERATED / f"{name}.md"
        if not path.exists():
            page.unlink(missing_ok=True)
            continue
        text = turned(path.read_text(), path, page)
        if source in TITLES:
            text = re.sub(r"\A# .*", f"# {TITLES[source]}", text)
        write_if_changed(page, text)


def turn_links(app: "Sphinx", name: str, content: list[str]) -> None:
    """Turns the links of a page in docs/; a list of pages is without those that have no file."""
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md" and GENERATED not in page.parents:
        content[0] = turned(content[0], page, page)
        for made, source in PAGES.items():
            if not (ROOT / source).exists():
                content[0] = content[0].replace(f"\ngenerated/{made}\n", "\n")


def setup(app: "Sphinx") -> dict[str, bool]:
    """Registers both."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", turn_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
