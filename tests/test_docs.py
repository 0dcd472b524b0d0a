"""The documentation holds: its Python runs as it stands, its links and pictures exist."""

import importlib.util
import re
import warnings
from pathlib import Path
from typing import Any

import jax
import pytest

ROOT = Path(__file__).parents[1]
RUN = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("benchmarks", "configs", "docs", "stn_jax", "tests", "train")
MADE = {"generated", "_build"}  # by `make docs`
PAGES = [*ROOT.glob("*.md"), *(page for name in FOLDERS for page in (ROOT / name).rglob("*.md"))]
PAGES = [page for page in PAGES if not MADE & set(page.parts)]
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def missing(block: str) -> list[str]:
    """Lists what a block names in its first line, ``# needs torch, kornia``, and is not there."""
    needs = re.match(r"# needs (.+)\n", block)
    names = needs[1].split(", ") if needs else []
    return [name for name in names if importlib.util.find_spec(name) is None]


def run(page: Path) -> dict[str, Any]:
    """Runs a page's blocks in one namespace, each at its own line numbers, and returns it."""
    text = page.read_text()
    names: dict[str, Any] = {}
    for fence in FENCE.finditer(text):
        language, block = fence.groups()
        if language != "python" or missing(block):
            continue
        start = text[: fence.start(2)].count("\n")
        code = compile("\n" * start + block, title(page), "exec")
        with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
            with warnings.catch_warnings():
                if block.startswith("# needs"):
                    warnings.simplefilter("ignore")  # other people's
                exec(code, names)
    return names


def anchors(page: Path) -> list[str]:
    """Lists the names that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize(
    "page",
    # The pages in docs name PyTorch and others: `make test-peers` runs them, beside those.
    [pytest.param(page, marks=[pytest.mark.slow] * (page.name != "README.md")) for page in RUN],
    ids=title,
)
def test_the_examples_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(page)
    printed = capsys.readouterr().out
    assert "nan" not in printed
    if page.name == "README.md":
        assert names["turned"].shape == (8, 28, 28, 1)
        assert names["features"].shape == (8, 20, 20, 1)
        assert "[[" in printed


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_and_pictures_exist(page: Path) -> None:
    for match in LINK.finditer(FENCE.sub("", page.read_text())):
        link = match[1] or match[2]
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{title(page)} points to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{title(page)} points to {link}"


def test_what_is_missing_is_seen() -> None:
    assert missing("# needs jax, no_such_library\n") == ["no_such_library"]
    assert not missing("import no_such_library\n")


def test_the_readmes_times_are_those_of_the_page_that_has_them() -> None:
    readme, page = ((ROOT / name).read_text() for name in ("README.md", "docs/performance.md"))
    times = re.findall(r"([\d.]+) times as long", readme)
    assert len(times) == 3
    assert [time for time in times if not re.search(rf"(?<![\d.]){time}(?![\d.])", page)] == []
