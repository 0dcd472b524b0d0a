"""The built site, as a browser shows it: wide and as narrow as a phone, light and dark.

Needs the extra `docs`, Chromium and its driver; else skipped.
"""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import DESKTOP, background, find_faults, needs_browser, open_browser, show

pytest.importorskip("sphinx", reason="make docs installs the extra `docs`")

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def site() -> Path:
    """Builds all of it, strictly, and returns the folder."""
    html = ROOT / "docs/_build/html"
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-E", "-q", "-b", "html"]
    command += ["-d", str(ROOT / "docs/_build/doctrees"), str(ROOT / "docs"), str(html)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return html


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serves the site on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as driver:
        yield driver


def all_pages(site: Path) -> list[str]:
    pages = [path.relative_to(site).as_posix() for path in site.rglob("*.html")]
    return sorted(page for page in pages if not page.startswith(("_modules", "_static")))


def test_no_page_has_an_error_a_missing_picture_or_a_scroll_sideways(
    site: Path, address: Any, browser: Any
) -> None:
    pages = all_pages(site)
    assert len(pages) > 80
    browser.get_log("browser")
    found = {page: find_faults(browser, f"{address}/{page}") for page in pages}
    assert not {page: faults for page, faults in found.items() if faults}


def test_colours_follow_the_system(address: Any, browser: Any) -> None:
    show(browser, f"{address}/index.html", DESKTOP)
    light = background(browser)
    show(browser, f"{address}/index.html", DESKTOP, dark=True)
    assert light == "rgb(255, 255, 255)" != background(browser)


def test_formulas_are_drawn_and_a_search_finds_a_function(address: Any, browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    show(browser, f"{address}/how-it-works.html", DESKTOP)
    height = "return document.querySelector('.formula math').getBoundingClientRect().height"
    assert browser.execute_script(height) > 30
    show(browser, f"{address}/search.html?q=thin_plate_spline_grid", DESKTOP)
    wait = WebDriverWait(browser, 20)
    results = "return [...document.querySelectorAll('#search-results a')].map(a => a.href)"
    links = wait.until(lambda b: b.execute_script(results))
    assert any("stn_jax.thin_plate_spline_grid.html" in link for link in links)
