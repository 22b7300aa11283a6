"""The OpenAPI document."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

DESCRIPTION = """\
Annotated H&E on demand. Send an instance mask that says where every nucleus lies, and a style:
a reference image, an organ preset or a mix of presets. Back comes a synthetic tile whose nuclei
lie exactly there, in that stain and texture.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Every response carries
`X-Request-ID`, which the server's log repeats.
"""

_DEFAULT_ERRORS = ("HTTPValidationError", "ValidationError")


def documenting(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """FastAPI's document, without the validation error it adds and this service never sends."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for methods in document["paths"].values():
            for operation in methods.values():
                content = operation["responses"].get("422", {}).get("content", {})
                if "application/json" in content:
                    del operation["responses"]["422"]
        for name in _DEFAULT_ERRORS:
            document["components"]["schemas"].pop(name, None)
        return document

    return openapi
