"""The mask editor in a real Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser.editor.driver import Editor
from tests.browser.editor.harness import serve

_DESKTOP: ViewportSize = {"width": 1280, "height": 900}
_PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="package")
def address() -> Iterator[str]:
    """Of the page with the editor."""
    with serve() as address:
        yield address


def _open(browser: Browser, address: str, **options) -> Iterator[Page]:
    """A fresh page with the editor; fails if it wrote to the console or asked another host."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    host = address.rpartition("/")[0]
    page.on(
        "request",
        lambda request: request.url.startswith((host, "data:")) or complaints.append(request.url),
    )
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    yield from _open(browser, address, viewport=_DESKTOP)


@pytest.fixture
def editor(page: Page) -> Editor:
    return Editor(page)


@pytest.fixture
def phone(browser: Browser, address: str) -> Iterator[Editor]:
    """The editor 390 px wide, with a touch screen of two pixels per CSS pixel."""
    options = {"viewport": _PHONE, "has_touch": True, "device_scale_factor": 2}
    for page in _open(browser, address, **options):
        yield Editor(page)
