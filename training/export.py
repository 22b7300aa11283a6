"""From a training run to a checkpoint that can be served."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Card, save_checkpoint
from model.encoder import StyleEncoder
from model.generator import Generator
from model.pixels import image_to_pm1
from model.version import code_version
from training.data.crops import LoadedSlide
from training.finish import finished_networks
from training.state import Progress
from training.step import Stepper

MONUSEG_LICENCE = "CC-BY-NC-SA-4.0"
MPP = 0.25  # of all training slides; the statistics of random masks are at this scale too
_EXEMPLAR_PX = 256


def export(
    checkpoint: Path,
    stepper: Stepper,
    progress: Progress,
    slides: Sequence[LoadedSlide],
    *,
    name: str,
    licence: str,
) -> Card:
    """Write the averaged networks and the organ presets as a checkpoint.

    The stepper is left as it was. ``slides`` are the training slides: the batch norm
    statistics and the presets come from them, never from test slides.
    """
    generator, encoder = finished_networks(stepper, slides)
    if not isinstance(generator, Generator):
        raise ValueError("only SIAN's networks make a checkpoint")
    styles, provenance = encode_presets(encoder, slides, stepper.process.device)
    return save_checkpoint(
        checkpoint,
        generator,
        encoder,
        styles,
        {
            "name": name,
            "licence": licence,
            "mpp": MPP,
            "styles": provenance,
            "training": _told(stepper, progress, slides),
            "code_version": code_version(),
        },
    )


def _told(stepper: Stepper, progress: Progress, slides: Sequence[LoadedSlide]) -> dict[str, Any]:
    """The training, for the card; its slides are all that the networks have ever seen."""
    start = stepper.start
    seen = [*(start.slides if start else []), *(slide.id for slide in slides)]
    told = {
        "config": stepper.config.to_dict(),
        "steps": progress.step,
        "hours": round(progress.seconds / 3600, 2),
        "device": str(stepper.process.device),
        "slides": list(dict.fromkeys(seen)),
    }
    return told | ({"started_from": start.facts} if start else {})


@torch.no_grad()
def encode_presets(
    encoder: StyleEncoder, slides: Sequence[LoadedSlide], device: torch.device
) -> tuple[dict[str, NDArray[np.float32]], dict[str, list[dict[str, Any]]]]:
    """Style vectors of crops of every slide, by organ; and where each crop lies.

    Two crops a slide, from opposite corners, so that even an organ with two slides has four
    exemplars.
    """
    vectors: dict[str, list[NDArray[np.float32]]] = {}
    provenance: dict[str, list[dict[str, Any]]] = {}
    for slide in slides:
        height, width = slide.labels.shape
        side = min(_EXEMPLAR_PX, height, width)
        for row, col in ((height // 4, width // 4), (3 * height // 4, 3 * width // 4)):
            top = min(max(row - side // 2, 0), height - side)
            left = min(max(col - side // 2, 0), width - side)
            crop = slide.image_u8[top : top + side, left : left + side]
            vector = encoder.encode(image_to_pm1(crop).to(device))
            vectors.setdefault(slide.organ, []).append(vector[0].float().cpu().numpy())
            provenance.setdefault(slide.organ, []).append(
                {"slide": slide.id, "top": top, "left": left, "side": side}
            )
    return {organ: np.stack(rows) for organ, rows in vectors.items()}, provenance
