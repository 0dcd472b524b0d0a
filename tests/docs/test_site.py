"""The built site, as a browser shows it: wide and as narrow as a phone, light and dark.

Needs the extra `docs`, Chromium and its driver (Debian: chromium, chromium-driver); else skipped.
"""

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="make docs installs the extra `docs`")
webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]

TOO_WIDE = """
const wide = document.documentElement.scrollWidth;
return wide > arguments[0] ? `${wide} pixels wide` : null;
"""
MISSING = """
return [...document.images].filter(i => !i.complete || i.naturalWidth == 0).map(i => i.src);
"""
LOAD_ALL = "for (const image of document.images) image.loading = 'eager';"


@pytest.fixture(scope="module")
def site():
    """Builds all of it, strictly, and returns the folder."""
    html = ROOT / "docs/_build/html"
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-E", "-q", "-b", "html"]
    command += ["-d", str(ROOT / "docs/_build/doctrees"), str(ROOT / "docs"), str(html)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return html


@pytest.fixture(scope="module")
def address(site):
    """Serves the site on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    # Nothing but this machine may be asked: a page that fetches a font elsewhere logs an error.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(browser, address, page, metrics, *, dark=False):
    """Opens a page as a device of this size shows it."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get(f"{address}/{page}")
    browser.execute_script(LOAD_ALL)


def all_pages(site):
    pages = [path.relative_to(site).as_posix() for path in site.rglob("*.html")]
    return sorted(page for page in pages if not page.startswith(("_modules", "_static")))


def test_no_page_has_an_error_a_missing_picture_or_a_scroll_sideways(site, address, browser):
    pages, found = all_pages(site), []
    assert len(pages) > 80
    browser.get_log("browser")
    for page in pages:
        show(browser, address, page, PHONE)
        wide = browser.execute_script(TOO_WIDE, PHONE["width"])
        missing = browser.execute_script(MISSING)
        log = [e["message"] for e in browser.get_log("browser") if e["level"] != "INFO"]
        found += [(page, what) for what in (wide, missing, log) if what]
    assert not found, found


def test_colours_follow_the_system(address, browser):
    colour = "return getComputedStyle(document.body).backgroundColor"
    show(browser, address, "index.html", DESKTOP)
    light = browser.execute_script(colour)
    show(browser, address, "index.html", DESKTOP, dark=True)
    assert light == "rgb(255, 255, 255)" != browser.execute_script(colour)


def test_formulas_are_drawn_and_a_search_finds_a_function(address, browser):
    show(browser, address, "how-it-works.html", DESKTOP)
    height = "return document.querySelector('.formula math').getBoundingClientRect().height"
    assert browser.execute_script(height) > 30
    show(browser, address, "search.html?q=thin_plate_spline_grid", DESKTOP)
    wait = WebDriverWait(browser, 20)
    results = "return [...document.querySelectorAll('#search-results a')].map(a => a.href)"
    links = wait.until(lambda b: b.execute_script(results))
    assert any("stn_jax.thin_plate_spline_grid.html" in link for link in links)
