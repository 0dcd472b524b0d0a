"""A page for each notebook in docs/tutorials/: its text, its code, and what it printed and drew.

Notebooks are not run here: a test runs them, and their outputs are kept in them.
"""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pages import DOCS, GENERATED, turned, write_if_changed

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TUTORIALS = DOCS / "tutorials"
PICTURES = {"image/png": "png", "image/jpeg": "jpg"}

NOTE = """```{{note}}
This page is a notebook. {{download}}`Download it <../../tutorials/{name}>` and open it in Jupyter,
or in Colab by *File, Upload notebook*.
```"""


def page_of(notebook: Path, folder: Path) -> str:
    """Writes the pictures of a notebook into a folder, and returns its page as Markdown."""
    parts: list[str] = []
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(turned(source, notebook, folder / f"{notebook.stem}.md"))
            continue
        parts.append(f"```python\n{source}\n```")
        text, pictures = outputs_of(cell)
        if text:
            parts.append(f"```text\n{text}\n```")
        for kind, data in pictures:
            name = f"{notebook.stem}-{number}-{len(parts)}.{kind}"
            write_picture(folder / name, data)
            parts.append(f"![What the code above draws]({name})")
    parts.insert(1, NOTE.format(name=notebook.name))
    return "\n\n".join(parts) + "\n"


def outputs_of(cell: dict[str, Any]) -> tuple[str, list[tuple[str, bytes]]]:
    """Returns what a cell printed, and the pictures that it drew, each with its suffix."""
    text, pictures = [], []
    for output in cell["outputs"]:
        data = output.get("data", {})
        drawn = [kind for kind in PICTURES if kind in data]
        if drawn:
            pictures.append((PICTURES[drawn[0]], base64.b64decode("".join(data[drawn[0]]))))
        else:
            text.append("".join(output.get("text", data.get("text/plain", ""))))
    return "".join(text).rstrip(), pictures


def write_picture(path: Path, data: bytes) -> None:
    """Writes a picture, unless it is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)


def write_tutorials(app: "Sphinx") -> None:
    """Writes a page for each tutorial, and removes those of notebooks that are gone."""
    folder = GENERATED / "tutorials"
    notebooks = sorted(TUTORIALS.glob("*.ipynb"))
    for page in folder.glob("*.md"):
        if page.stem not in {notebook.stem for notebook in notebooks}:
            page.unlink()
    for notebook in notebooks:
        page = page_of(notebook, folder)
        write_if_changed(folder / f"{notebook.stem}.md", page)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Registers the pages."""
    app.connect("builder-inited", write_tutorials)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
