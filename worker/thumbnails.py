"""Small tiles of the organ presets, which are also what warms the network up."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING

from model.errors import StorageUnavailable
from worker import synthesis
from worker.artifacts import Artifacts
from worker.request import SynthesisRequest, sha256
from worker.style import Style

if TYPE_CHECKING:
    from model.synthesizer import Synthesizer

logger = logging.getLogger(__name__)


def thumbnail_mask() -> bytes:
    """The label PNG, 128 x 128, that thumbnails of organ presets are painted from."""
    return resources.files("worker").joinpath("thumbnail-mask.png").read_bytes()


def thumbnail_scope(checkpoint_sha256: str) -> str:
    """Where in the artifacts the thumbnails of a checkpoint are."""
    return f"thumbnails-{checkpoint_sha256[:16]}"


def paint_missing(
    synthesizer: Synthesizer, artifacts: Artifacts, should_stop: Callable[[], bool]
) -> bool:
    """Paint the thumbnails that are not stored yet, and one at least.

    Where they cannot be stored the service does without them until the next start.

    should_stop: asked before each; False is returned as soon as it says so.
    """
    mask = thumbnail_mask()
    scope = thumbnail_scope(synthesizer.card.sha256)
    organs = synthesizer.styles.organs
    for organ in _missing(artifacts, scope, organs) or organs[:1]:
        if should_stop():
            return False
        request = SynthesisRequest(mask_sha256=sha256(mask), style=Style(name=organ), seed=0)
        for tile in synthesis.synthesize(synthesizer, request, mask):
            try:
                artifacts.put(scope, f"{organ}.png", tile.data)
            except StorageUnavailable as error:
                logger.warning("the thumbnail of %s could not be stored: %s", organ, error)
    return True


def _missing(artifacts: Artifacts, scope: str, organs: list[str]) -> list[str]:
    try:
        return [organ for organ in organs if not artifacts.exists(scope, f"{organ}.png")]
    except StorageUnavailable as error:
        logger.warning("the thumbnails cannot be looked for: %s", error)
        return []
