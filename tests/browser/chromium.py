"""The browser that the tests use: a Chromium of the system, or else one of Playwright's.

python -m tests.browser.chromium     brings Playwright's where there is no other
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Playwright, sync_playwright

_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")

# Playwright's own browser lies in the virtual environment, and goes with it.
os.environ["PLAYWRIGHT_BROWSERS_PATH"] = "0"

ARGUMENTS = [
    "--no-sandbox",  # as root in a container there is none
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def of_the_system() -> str | None:
    """Path of an installed Chromium or Chrome; None if there is none."""
    found = next(filter(None, map(shutil.which, _COMMANDS)), None)
    return found or (str(_MAC) if _MAC.exists() else None)


def executable(playwright: Playwright) -> str:
    """Path of the browser to start. Raises LookupError if there is none."""
    own = playwright.chromium.executable_path
    found = of_the_system() or (own if Path(own).exists() else None)
    if found is None:
        raise LookupError(
            "There is no Chromium or Chrome for the tests of the studio. Install one (Debian: "
            "apt install chromium), or run `make test`, which brings one."
        )
    return found


def main() -> None:
    """Make sure that there is a browser."""
    with sync_playwright() as playwright:
        try:
            print(f"The tests of the studio use {executable(playwright)}")
            return
        except LookupError:
            pass
    install = [sys.executable, "-m", "playwright", "install", "chromium"]
    if subprocess.run(install).returncode != 0:
        sys.exit(
            "No browser could be downloaded for the tests of the studio. Install Chromium or "
            "Chrome yourself (Debian: apt install chromium) and run `make test` again."
        )


if __name__ == "__main__":
    main()
