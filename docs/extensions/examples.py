"""A page for each script in examples/: its docstring, its picture, its code.

The docstring is Markdown: the first line is the page's title.
"""

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from pages import DOCS, GENERATED, ROOT, turned, write_if_changed

if TYPE_CHECKING:
    from sphinx.application import Sphinx

EXAMPLES = ROOT / "examples"


def scripts() -> list[Path]:
    """Lists the examples; a file with an underscore in front is shared by them."""
    return sorted(p for p in EXAMPLES.glob("*.py") if not p.name.startswith("_"))


def page_of(script: Path) -> str:
    """Returns the page of an example, as Markdown."""
    source = script.read_text()
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring, f"{script} has no docstring to make a page from"
    title, _, text = docstring.partition("\n")
    end = ast.parse(source).body[0].end_lineno  # the code begins after it
    page = GENERATED / "examples" / f"{script.stem}.md"
    text = turned(text.strip(), script, page)
    picture = ""
    if (DOCS / "images" / f"example-{script.stem}.jpg").exists():
        picture = f"![{title.rstrip('.')}](../../images/example-{script.stem}.jpg)"
    code = f"```{{literalinclude}} ../../../examples/{script.name}\n"
    code += f":language: python\n:lines: {end + 1}-\n```"
    command = f"```console\n$ python examples/{script.name}\n```"
    parts = [f"# {title.rstrip('.')}", picture, text, "## Code", command, code]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_examples(app: "Sphinx") -> None:
    """Writes a page for each example, and removes those of scripts that are gone."""
    folder = GENERATED / "examples"
    names = {script.stem for script in scripts()}
    for page in folder.glob("*.md"):
        if page.stem not in names:
            page.unlink()
    for script in scripts():
        write_if_changed(folder / f"{script.stem}.md", page_of(script))


def setup(app: "Sphinx") -> dict[str, bool]:
    """Registers the pages."""
    app.connect("builder-inited", write_examples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
