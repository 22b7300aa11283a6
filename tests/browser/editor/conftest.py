"""The mask editor in a real Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request

from tests.browser.editor.driver import Editor
from tests.browser.editor.harness import serve


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the page with the editor."""
    with serve() as address:
        yield address


class _Opened:
    """A page with the editor, and what it wrote to the console or asked of other hosts."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._look_at)
        self._host = address.rpartition("/")[0]
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready]")

    def _look_at(self, request: Request) -> None:
        if not request.url.startswith((self._host, "data:")):
            self.complaints.append(request.url)


@pytest.fixture(scope="module")
def _desktop(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield context


@pytest.fixture(scope="module")
def _phone(browser: Browser) -> Iterator[BrowserContext]:
    options = {"has_touch": True, "device_scale_factor": 2}
    with browser.new_context(viewport={"width": 390, "height": 844}, **options) as context:
        yield context


@pytest.fixture(scope="module")
def _desktop_page(_desktop: BrowserContext, address: str) -> _Opened:
    return _Opened(_desktop, address)


@pytest.fixture(scope="module")
def _phone_page(_phone: BrowserContext, address: str) -> _Opened:
    return _Opened(_phone, address)


@pytest.fixture
def modules(_desktop_page: _Opened) -> Iterator[Page]:
    """A page whose `evaluate` reaches the editor's functions."""
    yield _desktop_page.page
    assert _desktop_page.complaints == []


def _new_editor(opened: _Opened) -> Iterator[Editor]:
    opened.page.evaluate("begin()")
    yield Editor(opened.page)
    assert opened.complaints == []


@pytest.fixture
def editor(_desktop_page: _Opened) -> Iterator[Editor]:
    """A new editor 1280 px wide."""
    yield from _new_editor(_desktop_page)


@pytest.fixture
def phone(_phone_page: _Opened) -> Iterator[Editor]:
    """A new editor 390 px wide, with a touch screen of two pixels per CSS pixel."""
    yield from _new_editor(_phone_page)
