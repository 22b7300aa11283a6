"""From a request and its files to finished tiles, for the server and the command line alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.images import encode_png
from model.memory import keep_freed_memory
from worker import manifest
from worker.inputs import mask_input, style_input
from worker.request import SynthesisRequest, sha256
from worker.scale import resize_image

if TYPE_CHECKING:
    from model.device import Precision
    from model.styles import StyleVector
    from model.synthesizer import StyleInput, Synthesizer  # imports torch
    from model.tile import PaddedLayout, TileInput


@dataclass(frozen=True)
class Tile:
    """png: with the manifest in its text chunks. manifest: the JSON file that goes beside it."""

    seed: int
    png: bytes
    sha256: str
    manifest: bytes


def load(
    checkpoint: Path,
    *,
    device: str,
    threads: int,
    precision: Precision | None = None,
    max_batch: int = 8,
) -> Synthesizer:
    """Load a checkpoint for synthesis with so many CPU threads. Imports torch.

    Others as ``Synthesizer.load``, which says what is raised.
    """
    # OpenMP threads spin while they wait, unless told otherwise before torch loads. On cores
    # shared with another process a 128 px tile then took seven times as long (measured).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    import torch

    from model.synthesizer import Synthesizer

    torch.set_num_threads(threads)
    return Synthesizer.load(checkpoint, device=device, precision=precision, max_batch=max_batch)


class Work:
    """A request whose files have been decoded and checked.

    Everything that has to be done for its tiles but what the network does: nothing here touches
    the device, so it may be done in any thread, by one at a time.

    Args:
        mask: the mask file whose SHA-256 the request names.
        style_image: the style file, if the request names one.

    Raises:
        InvalidInput: the one that applies.
    """

    def __init__(
        self,
        synthesizer: Synthesizer,
        request: SynthesisRequest,
        mask: bytes,
        style_image: bytes | None = None,
    ) -> None:
        self._synthesizer, self._request = synthesizer, request
        self._seeds = request.seeds()
        card = synthesizer.card
        self._mask = mask_input(
            mask,
            label_components=request.label_components,
            mpp=request.mpp,
            network_mpp=card.mpp,
        )
        self.style_input: StyleInput | None = None
        if style_image is not None:
            self.style_input = synthesizer.prepare_style(
                style_input(style_image, mpp=request.mpp, network_mpp=card.mpp)
            )

    @property
    def shape(self) -> tuple[int, int]:
        """``TileInput.shape`` of its tiles; known before anything large is computed."""
        height, width = self._mask.labels.shape
        return self._synthesizer.padded_shape((height, width))

    def tile_input(self, index: int, image_style: StyleVector | None) -> TileInput:
        """What the network takes for tile ``index``.

        image_style: of ``style_input``, if there is one.
        """
        seed = self._seeds[index]
        style = self._preset(seed) if image_style is None else image_style
        return self._synthesizer.tile(self._layout, style, seed=seed)

    def tile(self, index: int, image_u8: NDArray[np.uint8]) -> Tile:
        """Tile ``index`` from what the network made of ``tile_input``."""
        seed, organ = self._seeds[index], self._request.style.organ
        exemplar = None if organ is None else self._synthesizer.styles.pick_index(organ, seed)
        facts = manifest.build(self._synthesizer.card, self._request, index, exemplar=exemplar)
        png = encode_png(resize_image(image_u8, self._mask.size), manifest.png_text(facts))
        digest = sha256(png)
        return Tile(seed, png, digest, manifest.to_file(facts, digest))

    @cached_property
    def _layout(self) -> PaddedLayout:
        return self._synthesizer.layout(self._mask.labels)

    def _preset(self, seed: int) -> StyleVector:
        style, bank = self._request.style, self._synthesizer.styles
        if style.weights is not None:
            return bank.mix(style.weights)
        assert style.organ is not None  # Style holds exactly one of the three
        return bank.pick(style.organ, seed)


def synthesize(
    synthesizer: Synthesizer,
    request: SynthesisRequest,
    mask: bytes,
    style_image: bytes | None = None,
) -> Iterator[Tile]:
    """The tiles of a request, each computed when it is asked for; one after another, in the
    thread that calls.

    Others as ``Work``; raises what it raises, before the first tile.
    """
    work = Work(synthesizer, request, mask, style_image)
    image_style = None
    if work.style_input is not None:
        image_style = synthesizer.encode(work.style_input)
    for index in range(request.n):
        (image_u8,) = synthesizer.paint([work.tile_input(index, image_style)])
        yield work.tile(index, image_u8)
