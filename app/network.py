"""The network as the settings ask for it, for every command that makes tiles: with other settings
of precision or batch a GPU rounds differently, and equal requests would not give equal bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.settings import Settings
from worker import synthesis

if TYPE_CHECKING:
    from model.synthesizer import Synthesizer


def load_network(settings: Settings) -> Synthesizer:
    """The checkpoint, on its device. Raises what ``worker.synthesis.load`` raises."""
    return synthesis.load(
        settings.checkpoint,
        device=settings.device,
        threads=settings.threads,
        precision=settings.precision,
        max_batch=settings.max_batch,
    )
