"""The tutorials: notebooks that run, and whose outputs are those of their code."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/tutorials").glob("*.ipynb"))


def load(path: Path) -> ModuleType:
    """Imports a file of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def kinds(cell: dict[str, Any]) -> list[str]:
    """What a cell prints and draws, by kind: numbers may differ between processors."""
    names = [output.get("name") or sorted(output["data"])[0] for output in cell["outputs"]]
    return list(dict.fromkeys(names))  # what is printed may come in one piece or in several


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_tutorial_is_small_was_run_and_installs_what_it_needs(path: Path) -> None:
    cells = code_cells(path)
    assert path.stat().st_size < 300_000
    assert "%pip install" in "".join(cells[0]["source"])
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    found = [kind for cell in cells for kind in kinds(cell)]
    assert "stdout" in found
    assert any(kind.startswith("image/") for kind in found)
    assert "stderr" not in found


def test_a_notebook_becomes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extensions = ROOT / "docs/extensions"
    monkeypatch.setitem(sys.modules, "pages", load(extensions / "pages.py"))
    tutorials = load(extensions / "tutorials.py")
    page = tutorials.page_of(NOTEBOOKS[0], tmp_path)
    assert page.startswith("# Register two images\n")
    assert "```{note}" in page
    assert "there and back: off by" in page
    pictures = list(tmp_path.glob("*.jpg"))
    assert len(pictures) == page.count("![") >= 5


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_tutorial_runs_and_prints_and_draws_what_is_kept(path: Path) -> None:
    pytest.importorskip("nbclient", reason="make docs installs the extra `docs`")
    pytest.importorskip("ipykernel")
    notebook = load(ROOT / "docs/tutorials/run.py").run(path)
    new = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, old in zip(new, code_cells(path), strict=True):
        assert kinds(cell) == kinds(old), cell.source
