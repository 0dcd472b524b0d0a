"""``report.html``: what the page says of a run, that it needs no other file, how it looks."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import DESKTOP, background, find_faults, needs_browser, open_browser, show

from train.evaluation.evaluator import load_run
from train.evaluation.html_report import write_report
from train.experiment import Experiment
from train.run.json_files import read_json, write_json
from train.run.workdir import REPORT


class Page(HTMLParser):
    """The addresses of a page, its words, and its tags in the order of their ends."""

    EMPTY = ("meta", "link", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open = self.open[:-1] if tag not in self.EMPTY else self.open

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data + " "


def test_a_run_ends_with_one_page_that_needs_no_other_file(finished_run: Path) -> None:
    page = Page((finished_run / REPORT).read_text(encoding="utf-8"))
    assert not page.open
    assert len(page.addresses) > 20
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "<script" not in (finished_run / REPORT).read_text(encoding="utf-8")


def test_the_page_says_what_was_run_and_what_came_of_it(finished_run: Path) -> None:
    summary = read_json(finished_run / "summary.json", (), "")
    page = Page((finished_run / REPORT).read_text(encoding="utf-8"))
    words = re.sub(r"\s+", " ", page.words)
    for name in ("result", "command", "git_revision", "jax_version", "hardware"):
        assert str(summary[name]) in words, name
    for text in ("Curves", "cross-entropy", "window during training", "step 0", "step 40"):
        assert text in words
    assert "Labels and predictions" in words
    for text in ("digits.npz, tiny", "21 test examples", "examples/s", " %"):
        assert text in words
    assert "optim.localization_rate 0.5" in words
    assert "def get_config()" in words


def test_names_are_text(finished_run: Path, experiment: Experiment, tmp_path: Path) -> None:
    """A class, or a config, may be called anything."""
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    summary = read_json(run / "summary.json", (), "")
    write_json(run / "summary.json", summary | {"config": "<script>$title</script>"})
    text = write_report(run, experiment).read_text(encoding="utf-8")
    assert "&lt;script&gt;$title" in text
    assert "<script" not in text


@pytest.mark.slow
@needs_browser
def test_a_browser_shows_it_light_dark_and_on_a_phone(finished_run: Path) -> None:
    """Opened as a file, by a double click."""
    address = (finished_run / REPORT).as_uri()
    with open_browser() as browser:
        assert find_faults(browser, address) == []
        colors = set()
        for dark in (False, True):
            show(browser, address, DESKTOP, dark=dark)
            colors.add(background(browser))
            sizes = browser.execute_script(
                "return [...document.querySelectorAll('svg.input, .panels svg')]"
                ".map(s => Math.min(s.clientWidth, s.clientHeight))"
            )
            assert min(sizes) > 50
        assert len(colors) == 2


@pytest.mark.slow
def test_an_older_run_gets_its_page_by_plot(finished_run: Path, tmp_path: Path) -> None:
    from train.cli import main

    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    text = (run / REPORT).read_bytes()
    (run / REPORT).unlink()
    assert load_run(run, data=True).step
    assert main(["plot", "--workdir", str(run)]) == 0
    assert (run / REPORT).read_bytes() == text
