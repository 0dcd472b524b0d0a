"""Chromium without a window: pages as a device of some size shows them, light and dark.

Needs selenium of the extra `docs`, Chromium and its driver (Debian: chromium, chromium-driver).
"""

import importlib.util
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER and importlib.util.find_spec("selenium")),
    reason="needs chromium, chromedriver and the extra `docs`",
)

TOO_WIDE = """
const wide = document.documentElement.scrollWidth;
return wide > arguments[0] ? `${wide} pixels wide` : null;
"""
MISSING = """
return [...document.images].filter(i => !i.complete || i.naturalWidth == 0).map(i => i.src);
"""
LOAD_ALL = "for (const image of document.images) image.loading = 'eager';"


@contextmanager
def open_browser() -> Iterator[Any]:
    """Starts Chromium; it asks nothing but this machine."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    # A page that fetches a font elsewhere logs an error.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show(browser: Any, address: str, metrics: Mapping[str, object], *, dark: bool = False) -> None:
    """Opens a page as a device of this size shows it."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get(address)
    browser.execute_script(LOAD_ALL)


def find_faults(browser: Any, address: str) -> list[object]:
    """Opens a page on a phone: does it scroll sideways, lack a picture, log an error?"""
    show(browser, address, PHONE)
    wide = browser.execute_script(TOO_WIDE, PHONE["width"])
    missing = browser.execute_script(MISSING)
    log = [e["message"] for e in browser.get_log("browser") if e["level"] != "INFO"]
    return [what for what in (wide, missing, log) if what]


def background(browser: Any) -> str:
    """Returns the colour behind the page."""
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
