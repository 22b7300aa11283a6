"""The mask editor in a real Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.editor.driver import Editor
from tests.browser.editor.harness import serve


@pytest.fixture(scope="package")
def address() -> Iterator[str]:
    """Of the page with the editor."""
    with serve() as address:
        yield address


@contextmanager
def _opened(context: BrowserContext, address: str) -> Iterator[Page]:
    """A page with the editor; fails if it wrote to the console or asked another host."""
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
    page.close()
    assert complaints == []


@pytest.fixture(scope="package")
def _desktop(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture(scope="package")
def _phone(browser: Browser) -> Iterator[BrowserContext]:
    options = {"has_touch": True, "device_scale_factor": 2}
    with browser.new_context(viewport={"width": 390, "height": 844}, **options) as context:
        yield context


@pytest.fixture(scope="module")
def modules(_desktop: BrowserContext, address: str) -> Iterator[Page]:
    """A page whose `evaluate` reaches the editor's functions; its tests change nothing on it."""
    with _opened(_desktop, address) as page:
        yield page


@pytest.fixture
def editor(_desktop: BrowserContext, address: str) -> Iterator[Editor]:
    """The editor 1280 px wide."""
    with _opened(_desktop, address) as page:
        yield Editor(page)


@pytest.fixture
def phone(_phone: BrowserContext, address: str) -> Iterator[Editor]:
    """The editor 390 px wide, with a touch screen of two pixels per CSS pixel."""
    with _opened(_phone, address) as page:
        yield Editor(page)
