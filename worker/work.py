"""What a job's tiles are made of: passes of the network, and what is done before and after them.

Nothing here touches the device, so it may be done in any thread, by one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from model.images import encode_png, encode_tiff
from model.mask import Labels
from worker import manifest
from worker.inputs import MaskInput, largest_mask_px, mask_input, style_input
from worker.request import SynthesisRequest, sha256
from worker.scale import resize_image

if TYPE_CHECKING:
    from model.styles import StyleVector
    from model.synthesizer import StyleInput, Synthesizer  # imports torch
    from model.tile import PaddedLayout, TileInput

ImageU8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """A finished tile.

    data: the file, with the manifest in it. suffix: ``.png`` or ``.tif``.
    manifest: the JSON file that goes beside it.
    """

    seed: int
    data: bytes
    suffix: str
    sha256: str
    manifest: bytes


class Work(Protocol):
    """A request whose files have been decoded and checked.

    shape: ``TileInput.shape`` of its passes; known before anything large is computed.
    passes: of the network, in all.
    suffix: of its tiles' files.
    is_large: it holds much memory until it is done.
    style_input: what is to be encoded first, if the style is an image.
    """

    shape: tuple[int, int]
    passes: int
    suffix: str
    is_large: bool
    style_input: StyleInput | None

    def first_pass(self, tiles: int) -> int:
        """The pass to begin with when so many tiles are stored already."""

    def pass_input(self, index: int, image_style: StyleVector | None) -> TileInput:
        """What the network takes for pass ``index``. image_style: of ``style_input``."""

    def take(self, index: int, image_u8: ImageU8) -> Tile | None:
        """What the network made of pass ``index``; they come in order. The tile that it
        completes, if it does."""


def work_on(
    synthesizer: Synthesizer,
    request: SynthesisRequest,
    mask: bytes,
    style_image: bytes | None = None,
) -> Work:
    """
    Args:
        mask: the mask file whose SHA-256 the request names.
        style_image: the style file, if the request names one.

    Raises:
        InvalidInput: the one that applies.
    """
    decoded = mask_input(
        mask,
        label_components=request.label_components,
        mpp=request.mpp,
        network_mpp=synthesizer.card.mpp,
        largest_px=largest_mask_px(synthesizer.card),
        size=request.mask_size,
    )
    if decoded.is_large:
        request = replace(request, large=True)  # which refuses several tiles
        return LargeTile(synthesizer, request, decoded, style_image)
    return Tiles(synthesizer, request, decoded, style_image)


class _Work:
    """What all kinds have in common."""

    suffix: str

    def __init__(
        self,
        synthesizer: Synthesizer,
        request: SynthesisRequest,
        mask: MaskInput,
        style_image: bytes | None,
    ) -> None:
        self._synthesizer, self._request, self._size = synthesizer, request, mask.size
        self._seeds = request.seeds()
        self.style_input: StyleInput | None = None
        if style_image is not None:
            self.style_input = synthesizer.prepare_style(
                style_input(style_image, mpp=request.mpp, network_mpp=synthesizer.card.mpp)
            )
        self._begin(mask.labels)

    def _begin(self, mask_labels: Labels) -> None:
        """What follows from the mask, at the network's scale."""
        raise NotImplementedError

    def _style(self, seed: int, image_style: StyleVector | None) -> StyleVector:
        style, bank = self._request.style, self._synthesizer.styles
        if image_style is not None:
            return image_style
        if style.weights is not None:
            return bank.mix(style.weights)
        assert style.organ is not None  # Style holds exactly one of the three
        return bank.pick(style.organ, seed)

    def _finished(self, index: int, image_u8: ImageU8) -> Tile:
        seed, organ = self._seeds[index], self._request.style.organ
        card = self._synthesizer.card
        exemplar = None if organ is None else self._synthesizer.styles.pick_index(organ, seed)
        facts = manifest.build(card, self._request, index, exemplar=exemplar)
        image_u8 = resize_image(image_u8, self._size)
        if self.suffix == ".png":
            data = encode_png(image_u8, manifest.png_text(facts))
        else:
            mpp = card.mpp if self._request.mpp is None else self._request.mpp
            data = encode_tiff(image_u8, manifest.to_text(facts), mpp=mpp)
        digest = sha256(data)
        return Tile(seed, data, self.suffix, digest, manifest.to_file(facts, digest))


class Tiles(_Work):
    """Tiles of one mask that fits a single pass, a pass each."""

    suffix = ".png"
    is_large = False

    def _begin(self, mask_labels: Labels) -> None:
        self.passes = self._request.n
        self._labels = mask_labels
        height, width = mask_labels.shape
        self.shape = self._synthesizer.padded_shape((height, width))

    def first_pass(self, tiles: int) -> int:
        return tiles

    def pass_input(self, index: int, image_style: StyleVector | None) -> TileInput:
        seed = self._seeds[index]
        return self._synthesizer.tile(self._layout, self._style(seed, image_style), seed=seed)

    def take(self, index: int, image_u8: ImageU8) -> Tile:
        return self._finished(index, image_u8)

    @cached_property
    def _layout(self) -> PaddedLayout:
        return self._synthesizer.layout(self._labels)


class LargeTile(_Work):
    """One tile of a mask that is too large for a single pass: a pass for each of its windows."""

    suffix = ".tif"
    is_large = True

    def _begin(self, mask_labels: Labels) -> None:
        self._layout = self._synthesizer.tiled_layout(mask_labels)
        self._windows = self._synthesizer.windows(self._layout.size)
        self.passes = len(self._windows)
        self.shape = (self._windows[0].height, self._windows[0].width)
        self._image_u8 = np.empty((*self._layout.size, 3), np.uint8)

    def first_pass(self, tiles: int) -> int:
        return self.passes if tiles else 0

    def pass_input(self, index: int, image_style: StyleVector | None) -> TileInput:
        (seed,) = self._seeds
        style = self._style(seed, image_style)
        return self._synthesizer.window(self._layout, self._windows[index], style, seed=seed)

    def take(self, index: int, image_u8: ImageU8) -> Tile | None:
        window = self._windows[index]
        self._image_u8[window.rows, window.cols] = self._synthesizer.core(window, image_u8)
        if index + 1 < self.passes:
            return None
        return self._finished(0, self._image_u8)
