"""Lists in headers that come in several lines."""

from starlette.types import ASGIApp, Receive, Scope, Send

_LISTS = (b"accept", b"prefer", b"if-none-match", b"if-range")
"""If-Range is no list: two of it are none that could hold, whichever came first."""


class ListHeaders:
    """Makes one line of several with the same name, which mean the same (RFC 9110, 5.3): whoever
    asks for a header gets the first line only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = _joined(scope["headers"])
        await self.app(scope, receive, send)


def _joined(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    joined = [(name, value) for name, value in headers if name not in _LISTS]
    for wanted in _LISTS:
        lines = [value for name, value in headers if name == wanted]
        if lines:
            joined.append((wanted, b", ".join(lines)))
    return joined
