"""GET /: the studio, a page to draw masks and make tiles with; GET /studio/...: its files."""

import hashlib
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.responses import Response
from starlette.exceptions import HTTPException

FOLDER = (Path(__file__).parents[1] / "studio").resolve()  # a release may lie behind a link

# The page runs its own scripts only and speaks to this server only. Tiles and masks are shown
# from memory.
_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# What the system's table of media types says differs from machine to machine.
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".npy": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}

IfNoneMatch = Annotated[str | None, Header()]

router = APIRouter(include_in_schema=False)


@router.get("/")
def get_page(if_none_match: IfNoneMatch = None) -> Response:
    """The studio's page."""
    return _file(FOLDER / "index.html", if_none_match)


@router.get("/studio/{path:path}")
def get_file(path: str, if_none_match: IfNoneMatch = None) -> Response:
    """A script, style sheet or picture of the studio's."""
    try:
        file = (FOLDER / path).resolve()
        is_ours = file.is_relative_to(FOLDER) and file.suffix in _MEDIA_TYPES and file.is_file()
    except (ValueError, OSError):  # a null byte; a name longer than any file's
        raise HTTPException(404) from None
    if not is_ours:
        raise HTTPException(404)
    return _file(file, if_none_match)


def _file(file: Path, if_none_match: str | None) -> Response:
    """Browsers ask each time and get 304: after an update no page runs with an old script."""
    data = file.read_bytes()
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": etag, **_SECURITY}
    known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if etag in known:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_MEDIA_TYPES[file.suffix], headers=headers)
