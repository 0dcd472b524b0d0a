"""What the site is made from: links that are turned, names that have a page."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def extension(name: str) -> ModuleType:
    """Imports a file of docs/extensions, which is no package."""
    path = ROOT / "docs/extensions" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    return extension("pages")


def test_every_public_name_has_a_page() -> None:
    public = extension("public")
    assert len(public.public_names()) > 60
    assert not public.names_without_a_page(ROOT / "docs/api")


def test_a_public_name_without_a_page_is_found(tmp_path: Path) -> None:
    public = extension("public")
    text = (ROOT / "docs/api/sampling.rst").read_text()
    (tmp_path / "sampling.rst").write_text(text.replace("   grid_sample\n", ""))
    missing = public.names_without_a_page(tmp_path)
    assert "stn_jax.grid_sample" in missing
    assert "stn_jax.bilinear_sample" not in missing


@pytest.mark.parametrize(
    ("link", "turned"),
    [
        ("docs/how-it-works.md#padding", "../how-it-works.md#padding"),
        ("CHANGELOG.md", "changelog.md"),
        ("benchmarks/README.md", "benchmarks.md"),
        ("slurm/fit.sbatch", "../../slurm/fit.sbatch"),
        ("https://jax.dev/x.md", "https://jax.dev/x.md"),
        ("#here", "#here"),
    ],
)
def test_links_of_the_readme_lead_to_pages_of_the_site(
    pages: ModuleType, link: str, turned: Any
) -> None:
    readme, page = ROOT / "README.md", ROOT / "docs/generated/getting-started.md"
    text = f"see [this]({link}) or\n\n```text\n[x](docs/a.md)\n```\n"
    assert pages.turned(text, readme, page) == text.replace(link, turned)


def test_an_example_becomes_a_page(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pages", pages)
    examples = extension("examples")
    script = tmp_path / "flow.py"
    script.write_text('"""Flow.\n\nWhat it *does*.\n"""\n\nprint(1)\n')
    page = examples.page_of(script)
    assert page.startswith("# Flow\n\nWhat it *does*.\n")
    assert ":lines: 5-" in page
