"""The OpenAPI document."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.auth import OPEN_PATHS

DESCRIPTION = """\
Annotated H&E on demand. Send an instance mask that says where every nucleus lies, and a style:
one or several reference images, an organ preset, a custom style that this service keeps, or a mix
of those. Back comes a synthetic tile whose nuclei
lie exactly there, in that stain and texture.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Every response carries
`X-Request-ID`, which the server's log repeats.
"""

_DEFAULT_ERRORS = ("HTTPValidationError", "ValidationError")


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}
_EITHER: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]


def documenting(app: FastAPI, *, needs_key: bool) -> Callable[[], dict[str, Any]]:
    """FastAPI's document with the API keys, and without the validation error it adds and this
    service never sends."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["securitySchemes"] = _SCHEMES
        for path, methods in document["paths"].items():
            for operation in methods.values():
                if path not in OPEN_PATHS:
                    operation["security"] = _EITHER if needs_key else [{}, *_EITHER]
                content = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in content:
                    del operation["responses"]["422"]
        for name in _DEFAULT_ERRORS:
            document["components"]["schemas"].pop(name, None)
        return document

    return openapi
