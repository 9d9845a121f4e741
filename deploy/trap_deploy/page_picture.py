"""Pictures of the running pages, for the documents."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from trap_contract.errors import ConfigError

WAIT_MS = 120_000


def take_pictures(link: str, pages: Mapping[str, Path], width: int = 1360, height: int = 800) -> None:
    """Write a PNG of each page, by its path, with its map or curve drawn, by headless Chromium let in by `link`.

    Raises ConfigError when there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise ConfigError("chromium is missing: install it with `sudo apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light", locale="en-GB")
        page.set_default_timeout(WAIT_MS)
        page.goto(link)
        for path, file in pages.items():
            page.goto(page.evaluate("location.origin") + path)
            page.wait_for_selector("canvas")
            page.wait_for_selector("#link[data-link=live]")
            page.wait_for_timeout(1000)  # until the last curve is drawn
            page.screenshot(path=file, full_page=True)
        browser.close()
