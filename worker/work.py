"""What a job's tiles are made of: passes of the network, and what is done before and after them.

Nothing here touches the device, so it may be done in any thread, by one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from model.images import encode_png, encode_tiff
from model.mask import Labels
from model.styles import StyleVector, mixed, shares_of
from worker import manifest
from worker.inputs import MaskInput, largest_mask_px, mask_input, style_input
from worker.request import SynthesisRequest, sha256
from worker.scale import resize_image

if TYPE_CHECKING:
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
    style_inputs: what is to be encoded first, if the style is an image or a mix of several.
    """

    shape: tuple[int, int]
    passes: int
    suffix: str
    is_large: bool
    style_inputs: list[StyleInput]

    def first_pass(self, tiles: int) -> int:
        """The pass to begin with when so many tiles are stored already."""

    def pass_input(self, index: int, image_styles: Sequence[StyleVector] = ()) -> TileInput:
        """What the network takes for pass ``index``. image_styles: of ``style_inputs``."""

    def take(self, index: int, image_u8: ImageU8) -> Tile | None:
        """What the network made of pass ``index``; they come in order. The tile that it
        completes, if it does."""


def work_on(
    synthesizer: Synthesizer,
    request: SynthesisRequest,
    mask: bytes,
    style_images: Sequence[bytes] = (),
    custom_styles: Mapping[str, StyleVector] = MappingProxyType({}),
) -> Work:
    """
    Args:
        mask: the mask file whose SHA-256 the request names.
        style_images: the style files that the request names, in order.
        custom_styles: vectors (D,) of the custom styles that the request names.

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
        return LargeTile(synthesizer, request, decoded, style_images, custom_styles)
    return Tiles(synthesizer, request, decoded, style_images, custom_styles)


def prepared_style(synthesizer: Synthesizer, image: bytes, *, mpp: float | None) -> StyleInput:
    """What the network takes to encode a style image. Raises StyleError, the one that applies."""
    return synthesizer.prepare_style(style_input(image, mpp=mpp, network_mpp=synthesizer.card.mpp))


class _Work:
    """What all kinds have in common."""

    suffix: str

    def __init__(
        self,
        synthesizer: Synthesizer,
        request: SynthesisRequest,
        mask: MaskInput,
        style_images: Sequence[bytes],
        custom_styles: Mapping[str, StyleVector],
    ) -> None:
        self._synthesizer, self._request, self._size = synthesizer, request, mask.size
        self._seeds = request.seeds()
        self._bank = synthesizer.styles.joined(custom_styles)
        self.style_inputs: list[StyleInput] = [
            prepared_style(synthesizer, image, mpp=request.mpp) for image in style_images
        ]
        self._begin(mask.labels)

    def _begin(self, mask_labels: Labels) -> None:
        """What follows from the mask, at the network's scale."""
        raise NotImplementedError

    def _style(self, seed: int, image_styles: Sequence[StyleVector]) -> StyleVector:
        style = self._request.style
        if image_styles:
            weights = dict(enumerate(style.image_weights))
            return mixed(image_styles, list(shares_of(weights).values()))
        if style.weights is not None:
            return self._bank.mix(style.weights)
        assert style.name is not None  # Style holds exactly one of them
        return self._bank.pick(style.name, seed)

    def _finished(self, index: int, image_u8: ImageU8) -> Tile:
        seed, style = self._seeds[index], self._request.style
        card = self._synthesizer.card
        exemplar = None
        if style.name is not None and style.name not in style.custom:
            exemplar = self._bank.pick_index(style.name, seed)
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

    def pass_input(self, index: int, image_styles: Sequence[StyleVector] = ()) -> TileInput:
        seed = self._seeds[index]
        return self._synthesizer.tile(self._layout, self._style(seed, image_styles), seed=seed)

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

    def pass_input(self, index: int, image_styles: Sequence[StyleVector] = ()) -> TileInput:
        (seed,) = self._seeds
        style = self._style(seed, image_styles)
        return self._synthesizer.window(self._layout, self._windows[index], style, seed=seed)

    def take(self, index: int, image_u8: ImageU8) -> Tile | None:
        window = self._windows[index]
        self._image_u8[window.rows, window.cols] = self._synthesizer.core(window, image_u8)
        if index + 1 < self.passes:
            return None
        return self._finished(0, self._image_u8)
