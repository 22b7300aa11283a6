"""The studio in a real Chromium, with a real server and the released checkpoint."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser import chromium
from tests.browser.studio import Studio
from tests.processes import Server

# Playwright's own patience is 5 s, less than a page may take where the processor is busy.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the tests of a file. As long as it is open Playwright's event loop runs in this
    thread, where no other can: it must be closed before another file's tests."""
    with sync_playwright() as playwright:
        try:
            path = chromium.executable(playwright)
        except LookupError as error:
            pytest.fail(str(error), pytrace=False)
        browser = playwright.chromium.launch(executable_path=path, args=chromium.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    server = Server(tmp_path_factory.mktemp("studio"))
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with settings of their own, which the test may stop."""
    started: list[Server] = []

    def serve(**settings: object) -> Server:
        server = Server(tmp_path / "data", **settings)
        started.append(server)
        server.wait_for("worker.engine: ready after")
        return server

    yield serve
    for server in started:
        if server.is_running:
            server.stop()
        else:
            server.wait()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Studio]]:
    """Opens the studio of a server; options are those of a browser's context. At the end the page
    must have asked no other host and written no error to the console."""
    opened: list[Studio] = []

    def visit(server: Server, *, wait: bool = True, **options) -> Studio:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        studio = Studio(context, server.address)
        opened.append(studio)
        if wait:
            studio.open()
        return studio

    yield visit
    for studio in opened:
        studio.context.close()
    for studio in opened:
        assert studio.elsewhere == []
        assert studio.complaints == []


@pytest.fixture
def studio(visit: Callable[..., Studio], server: Server) -> Studio:
    return visit(server)
