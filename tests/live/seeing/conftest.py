"""A browser for the tests of the status page: Chromium without a window, driven by selenium."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

_SWITCHES: Final = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "hide-scrollbars",
    "disable-background-networking", "disable-component-update", "disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Start the browser that Debian's packages chromium and chromium-driver bring."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        missing = "needs chromium and chromedriver (Debian: chromium chromium-driver)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    assert chromium is not None
    assert driver is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ChromeOptions()
        options.binary_location = chromium
        for switch in (*_SWITCHES, f"user-data-dir={folder}"):
            options.add_argument(f"--{switch}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        started = Chrome(options, ChromeService(driver))
        started.set_window_size(1280, 1600)
        started.set_page_load_timeout(90)
        yield started
        started.quit()
