"""From the bytes that were sent to arrays the network can use, with every check that applies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Card
from model.errors import MaskTooLarge, MaskTooSmall, StyleTooLarge, StyleTooSmall
from model.formats import read_mask
from model.images import MAX_STYLE_PIXELS, SMALLEST_STYLE_PX, read_image
from model.mask import LARGEST_MASK_PX, SMALLEST_MASK_PX
from model.tiling import LARGEST_TILED_PX
from worker.scale import resize_image, resize_mask, scaled_size

MASK, STYLE = "mask", "style"
"""Names of a job's input files among the artifacts: the bytes as they were sent."""
CUSTOM_STYLES = "styles"
"""Name of the file with the custom styles that a job uses, as they were when it was accepted."""


def style_names(count: int) -> list[str]:
    """Names of the files of so many style images, in the order in which they were sent."""
    return [STYLE, *(f"{STYLE}-{index}" for index in range(1, count))][:count]


@dataclass(frozen=True)
class MaskInput:
    """labels: (h, w) integers at the network's scale. size: (H, W) as sent, and of the tile."""

    labels: NDArray[np.integer[Any]]
    size: tuple[int, int]

    @property
    def is_large(self) -> bool:
        """Whether it needs more than one pass of the network."""
        return bool(max(self.labels.shape) > LARGEST_MASK_PX)


def largest_mask_px(card: Card) -> int:
    """Longest side of a mask at the network's scale, in pixels. Windows need a network that
    starts from the layout."""
    return LARGEST_TILED_PX if card.network["start"] == "layout" else LARGEST_MASK_PX


def mask_input(
    data: bytes,
    *,
    label_components: bool,
    mpp: float | None,
    network_mpp: float,
    largest_px: int = LARGEST_MASK_PX,
    size: tuple[int, int] | None = None,
) -> MaskInput:
    """Decode and check an instance mask.

    Args:
        data: a file of any format that ``read_mask`` reads.
        label_components: label the connected components of a binary mask.
        mpp: micrometres per pixel of the mask; None means the network's.
        network_mpp: micrometres per pixel the network paints at.
        largest_px: longest side accepted, at the network's scale.
        size: as that of ``read_mask``.

    Raises:
        MaskError: the one that applies.
    """
    # At 20x a mask may have half as many pixels a side as at 40x: each becomes two.
    (largest, _) = scaled_size((largest_px, largest_px), network_mpp, mpp or network_mpp)
    # Finer ones are not decoded beyond what any mask may have.
    largest = min(largest, LARGEST_TILED_PX)
    try:
        labels = read_mask(data, label_components=label_components, max_side=largest, size=size)
    except MaskTooLarge as error:
        if largest == largest_px:
            raise
        raise MaskTooLarge(
            f"{error} That is the limit at {mpp} micrometres per pixel; it is {largest_px} px at "
            f"the checkpoint's {network_mpp}."
        ) from None
    height, width = labels.shape
    scaled = scaled_size((height, width), mpp or network_mpp, network_mpp)
    if min(scaled) < SMALLEST_MASK_PX:
        raise MaskTooSmall(
            f"The mask is {width} x {height} px, {scaled[1]} x {scaled[0]} at the checkpoint's "
            f"{network_mpp} micrometres per pixel; it needs at least {SMALLEST_MASK_PX} px "
            "a side there. Pad it with 0."
        )
    return MaskInput(labels=resize_mask(labels, scaled), size=(height, width))


def style_input(
    data: bytes, *, mpp: float | None, network_mpp: float, max_pixels: int = MAX_STYLE_PIXELS
) -> NDArray[np.uint8]:
    """Decode and check a style image (PNG, JPEG, TIFF): (h, w, 3) uint8 at the network's scale.

    Args:
        max_pixels: largest height times width accepted, as sent and at the network's scale.
        Others as ``mask_input``.

    Raises:
        StyleError: the one that applies.
    """
    image_u8 = read_image(data, max_pixels=max_pixels)
    height, width = image_u8.shape[:2]
    size = scaled_size((height, width), mpp or network_mpp, network_mpp)
    there = (
        f"The style image is {width} x {height} px, {size[1]} x {size[0]} at the checkpoint's "
        f"{network_mpp} micrometres per pixel"
    )
    if min(size) < SMALLEST_STYLE_PX:
        raise StyleTooSmall(
            f"{there}; it needs at least {SMALLEST_STYLE_PX} px a side there. Send a larger crop."
        )
    if size[0] * size[1] > max_pixels:
        raise StyleTooLarge(f"{there}; the limit there is {max_pixels} pixels. Send a crop.")
    return resize_image(image_u8, size)
