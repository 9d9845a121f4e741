"""Pictures of the running page, for the documents."""

import shutil
from pathlib import Path

from trap_contract.errors import ConfigError


def take_picture(address: str, file: Path, width: int = 1280, height: int = 720) -> None:
    """Write a PNG of the page, with its curve drawn, by headless Chromium.

    Raises ConfigError when there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise ConfigError("chromium is missing: install it with `sudo apt-get install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(address)
        page.wait_for_selector("canvas")
        page.screenshot(path=file, full_page=True)
        browser.close()
