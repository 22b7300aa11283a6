"""From a request and its files to finished tiles, for the server and the command line alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.images import encode_png
from worker import manifest
from worker.inputs import mask_input, style_input
from worker.request import SynthesisRequest, sha256
from worker.scale import resize_image

if TYPE_CHECKING:
    from model.styles import StyleVector
    from model.synthesizer import Synthesizer  # imports torch


@dataclass(frozen=True)
class Tile:
    """png: with the manifest in its text chunks. manifest: the JSON file that goes beside it."""

    seed: int
    png: bytes
    sha256: str
    manifest: bytes


def load(checkpoint: Path, *, device: str, threads: int) -> Synthesizer:
    """Load a checkpoint for synthesis with so many CPU threads. Imports torch.

    Raises the CheckpointError that applies.
    """
    # OpenMP threads spin while they wait, unless told otherwise before torch loads. On cores
    # shared with another process a 128 px tile then took seven times as long (measured).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from model.synthesizer import Synthesizer

    torch.set_num_threads(threads)
    return Synthesizer.load(checkpoint, device=device)


def synthesize(
    synthesizer: Synthesizer,
    request: SynthesisRequest,
    mask: bytes,
    style_image: bytes | None = None,
    *,
    first: int = 0,
) -> Iterator[Tile]:
    """Tiles ``first`` to ``request.n - 1`` of a request, each computed when it is asked for.

    Args:
        mask: the mask file whose SHA-256 the request names.
        style_image: the style file, if the request names one.

    Raises:
        InvalidInput: the one that applies, before the first tile.
    """
    card = synthesizer.card
    decoded = mask_input(
        mask, label_components=request.label_components, mpp=request.mpp, network_mpp=card.mpp
    )
    image_style = None
    if style_image is not None:
        image_style = synthesizer.encode_style(
            style_input(style_image, mpp=request.mpp, network_mpp=card.mpp)
        )
    for index, seed in list(enumerate(request.seeds()))[first:]:
        style, exemplar = image_style, None
        if style is None:
            style, exemplar = _preset(synthesizer, request, seed)
        image_u8 = synthesizer.synthesize(decoded.labels, style, seed=seed)
        facts = manifest.build(card, request, index, exemplar=exemplar)
        png = encode_png(resize_image(image_u8, decoded.size), manifest.png_text(facts))
        digest = sha256(png)
        yield Tile(seed, png, digest, manifest.to_file(facts, digest))


def _preset(
    synthesizer: Synthesizer, request: SynthesisRequest, seed: int
) -> tuple[StyleVector, int | None]:
    """The preset's style vector for one tile, and which exemplar it is if it is one."""
    bank = synthesizer.styles
    if request.style.weights is not None:
        return bank.mix(request.style.weights), None
    organ = request.style.organ
    assert organ is not None  # Style holds exactly one of the three
    return bank.pick(organ, seed), bank.pick_index(organ, seed)
