"""What a tile was made from. One place for the server and the command line."""

import json
from datetime import UTC, datetime
from typing import Any

from model.checkpoint import Card
from model.version import code_version
from worker.request import SynthesisRequest
from worker.style import Style


def build(
    card: Card, request: SynthesisRequest, index: int, *, exemplar: int | None = None
) -> dict[str, Any]:
    """Everything that determines the pixels of tile ``index``, and the terms of its use.

    exemplar: which exemplar of an organ preset was taken; None for other styles.
    """
    mpp = card.mpp if request.mpp is None else request.mpp
    outlines = {} if request.mask_size is None else {"mask_size": list(request.mask_size)}
    return {
        "synthetic": True,
        "checkpoint": card.name,
        "checkpoint_sha256": card.sha256,
        "code_version": code_version(),
        "seed": request.seeds()[index],
        "style": _style(request.style, mpp, exemplar),
        "mask_sha256": request.mask_sha256,
        "label_components": request.label_components,
        "mpp": mpp,
        "licence": card.licence,
        **outlines,
    }


def _style(style: Style, mpp: float, exemplar: int | None) -> dict[str, Any]:
    """A custom style is named by the image it was encoded from, as if that had been sent: names
    may be given to other styles, and the same style makes the same file. Only where the image has
    another scale than the mask, which one that is sent cannot have, is that said."""
    made_of = {
        name: {"image_sha256": reference.image_sha256}
        | ({} if reference.mpp == mpp else {"mpp": reference.mpp})
        for name, reference in style.custom.items()
    }
    if style.name in made_of:
        return made_of[style.name]
    said = style.to_dict()
    if made_of:
        said["custom"] = made_of
    if exemplar is not None:
        said["exemplar"] = exemplar
    return said


def png_text(manifest: dict[str, Any]) -> dict[str, str]:
    """As PNG text chunks: strings as they are, everything else as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in manifest.items()
    }


def to_text(manifest: dict[str, Any]) -> str:
    """As one line of JSON, for formats that hold a single description."""
    return json.dumps(manifest, sort_keys=True)


def to_file(manifest: dict[str, Any], tile_sha256: str) -> bytes:
    """As the JSON file beside a tile, with the tile's hash and the time of its making."""
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    content = {**manifest, "tile_sha256": tile_sha256, "created_at": made_at}
    return (json.dumps(content, indent=2) + "\n").encode()
