"""A Chromium for tests: the one that is installed, driven by playwright."""

import contextlib
import shutil
from collections.abc import AsyncIterator

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def executable() -> str:
    """Where the browser is. Raises FileNotFoundError that says what to install."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(
        f"these tests need a browser: install Chromium, so that one of {', '.join(NAMES)}"
        " is on the PATH (Debian: apt-get install chromium)"
    )


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser; it ends with the block."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=list(ARGUMENTS)
        )
        try:
            yield browser
        finally:
            await browser.close()
