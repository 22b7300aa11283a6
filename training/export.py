"""From a training run to a checkpoint that can be served."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import Card, save_checkpoint
from model.encoder import StyleEncoder, build_encoder
from model.generator import Generator
from model.pixels import channels_last, image_to_pm1, place, u8_to_pm1
from model.version import code_version
from training.data.crops import CropDataset, LoadedSlide
from training.ema import reestimate_batch_norm
from training.spectral import add_spectral_norm, remove_spectral_norm
from training.state import Progress
from training.step import Stepper

LICENCE = "CC-BY-NC-SA-4.0"
MPP = 0.25
_EXEMPLAR_PX = 256


def export(
    checkpoint: Path,
    stepper: Stepper,
    progress: Progress,
    slides: Sequence[LoadedSlide],
    *,
    name: str,
) -> Card:
    """Write the averaged networks and the organ presets as a checkpoint.

    The stepper is left as it was. ``slides`` are the training slides: the batch norm
    statistics and the presets come from them, never from test slides.
    """
    config = stepper.config
    generator, encoder = _averaged(stepper)
    encoder.eval()
    _settle_batch_norm(generator, encoder, slides, stepper)
    for network in (generator, encoder):
        remove_spectral_norm(network)
    styles, provenance = encode_presets(encoder, slides, stepper.process.device)
    return save_checkpoint(
        checkpoint,
        generator,
        encoder,
        styles,
        {
            "name": name,
            "licence": LICENCE,
            "mpp": MPP,
            "styles": provenance,
            "training": {
                "config": config.to_dict(),
                "steps": progress.step,
                "hours": round(progress.seconds / 3600, 2),
                "device": str(stepper.process.device),
                "slides": [slide.id for slide in slides],
            },
            "code_version": code_version(),
        },
    )


def _averaged(stepper: Stepper) -> tuple[Generator, StyleEncoder]:
    """Copies of the averaged networks as plain modules.

    Built anew and not copied: under torchrun the trained ones synchronise their batch norm with
    processes that take no part in the export.
    """
    config, device = stepper.config, stepper.process.device
    generator, encoder = Generator(config.network), build_encoder(config.network)
    if config.generator_spectral_norm:
        generator, encoder = add_spectral_norm(generator), add_spectral_norm(encoder)
    generator.load_state_dict(stepper.ema_generator.module.state_dict())
    encoder.load_state_dict(stepper.ema_encoder.module.state_dict())
    return place(generator, device), place(encoder, device)


def _settle_batch_norm(
    generator: Generator, encoder: StyleEncoder, slides: Sequence[LoadedSlide], stepper: Stepper
) -> None:
    """Batch norm statistics of the averaged weights, on real layouts of the served size."""
    config = stepper.config
    device = stepper.process.device
    served = config.with_options(
        crop_px=config.bn_px, stain_jitter=0.0, sampling="random", median_blur=0.0
    )
    dataset = CropDataset(slides, served)
    source = torch.Generator().manual_seed(config.seed)

    def forward(first: object) -> object:
        assert isinstance(first, int)
        samples = [dataset[first * config.batch_size + k] for k in range(config.batch_size)]
        layout = channels_last(torch.stack([s["layout"] for s in samples]).to(device))
        style = encoder.encode(u8_to_pm1(torch.stack([s["style"] for s in samples])).to(device))
        noise = [
            torch.randn((len(samples), *shape), generator=source).to(device)
            for shape in generator.noise_shapes(*layout.shape[-2:])
        ]
        return generator(layout, style, noise)

    reestimate_batch_norm(generator, range(config.bn_batches), forward)
    generator.eval()


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
