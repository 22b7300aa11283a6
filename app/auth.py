"""Who a request is from: its API key, where keys are set."""

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.keys import Keyring
from app.problems import on_sian_error
from model.errors import KeyInvalid

OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/healthz", "/readyz"})
OPEN_FOLDERS = ("/studio/", "/static-offline-docs/")
"""The studio's page, the documentation and what orchestrators ask need no key; everything else
does."""


class Authentication:
    """Lets a request through if its key is known, and notes whose it is in
    ``scope["state"]["client"]``. Without keys everybody may enter, and it is None."""

    def __init__(self, app: ASGIApp, *, keyring: Keyring) -> None:
        self.app = app
        self.keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = _key(Headers(scope=scope))
            client = None if given is None else self.keyring.name_of(given)
            if self.keyring and client is None and not _is_open(scope["path"]):
                response = await on_sian_error(Request(scope), _refusal(given))
                await response(scope, receive, send)
                return
            scope.setdefault("state", {})["client"] = client
        await self.app(scope, receive, send)


def client_of(request: Request) -> str | None:
    """Name of the API key that the request came with; None where no keys are set."""
    client: str | None = request.scope["state"]["client"]
    return client


def _key(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    # Another scheme may be meant for a proxy on the way.
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _refusal(given: str | None) -> KeyInvalid:
    what = "No API key was sent" if given is None else "There is no such API key"
    return KeyInvalid(f"{what}; send one as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.")
