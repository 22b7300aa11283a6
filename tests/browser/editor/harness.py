"""A page with nothing but the mask editor, on a port of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_PAGE = Path(__file__).parent
_STUDIO = Path(__file__).parents[3] / "app" / "studio"


class _Handler(SimpleHTTPRequestHandler):
    """Files of the harness, and the editor's under /editor/."""

    def __init__(self, *args, **options):
        self.extensions_map = {**self.extensions_map, ".js": "text/javascript"}
        super().__init__(*args, directory=str(_PAGE), **options)

    def translate_path(self, path: str) -> str:
        if path.startswith("/editor/"):
            return str(_STUDIO / path.removeprefix("/"))
        return super().translate_path(path)

    def end_headers(self) -> None:
        # What the service sends with the studio; styles written into attributes would be refused.
        self.send_header(
            "Content-Security-Policy", "default-src 'self'; img-src 'self' data: blob:"
        )
        super().end_headers()

    def log_message(self, *args) -> None:
        """Nothing: the tests look at the browser."""


@contextmanager
def serve() -> Iterator[str]:
    """The address of the page, as long as it lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/harness.html"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
