"""Masks that are larger than one pass of the network: a grid of windows that overlap.

What a pixel becomes depends on the layout and the noise around it and on nothing else, so windows
need no blending: each is painted with a margin (the halo), and only its core is kept. At six
pixels of the coarsest scale the cores differ from one great pass by four of 255 grey levels at most
(measured; the receptive field is larger, but its rim has next to no weight).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.config import NetworkConfig
from model.errors import MaskTooLarge, MaskTooSmall
from model.layout import Nuclei, consecutive_ids, layout_maps, original_ids
from model.mask import LARGEST_MASK_PX, SMALLEST_MASK_PX, Labels, check_mask
from model.tile import PaddedLayout, margin_px, padded_shape

LARGEST_TILED_PX = 8192

_HALO_STRIDES = 6

# A nucleus that a window cuts is looked at as a whole, so that its centroid and its medial axis are
# the same in every window. Nuclei are smaller than this; of anything larger a part is enough.
_CONTEXT_PX = 512


@dataclass(frozen=True)
class Window:
    """A part of a tile that one pass paints. All in pixels; all windows of a mask have one shape.

    top, left, height, width: what is painted, in the padded tile, whose margin is included.
    rows, cols: what is kept of it, in the tile.
    """

    top: int
    left: int
    height: int
    width: int
    rows: slice
    cols: slice


def windows(
    size: tuple[int, int], config: NetworkConfig, *, largest_px: int = LARGEST_MASK_PX
) -> list[Window]:
    """The windows of a mask of ``size`` (H, W), row by row; one, if it fits a single pass, which
    paints up to ``largest_px`` a side."""
    tall, wide = padded_shape(size, config)
    return [
        Window(top, left, height, width, rows, cols)
        for top, height, rows in _spans(size[0], tall, config, largest_px)
        for left, width, cols in _spans(size[1], wide, config, largest_px)
    ]


def _spans(
    side: int, padded: int, config: NetworkConfig, largest_px: int
) -> Iterator[tuple[int, int, slice]]:
    """Along one axis: start and length of each window, and what is kept, in the tile."""
    margin = margin_px(config)
    length = min(padded_shape((largest_px, largest_px), config)[0], padded)
    step = length - 2 * _HALO_STRIDES * config.stride
    starts = [0] if length == padded else [*range(0, padded - length, step), padded - length]
    # Cores meet in the middle of what two windows share.
    meet = [(after + before + length) // 2 for before, after in pairwise(starts)]
    edges = [0, *(place - margin for place in meet), side]
    for start, first, last in zip(starts, edges[:-1], edges[1:], strict=True):
        yield start, length, slice(first, last)


def core(window: Window, image_u8: NDArray[np.uint8], config: NetworkConfig) -> NDArray[np.uint8]:
    """What is kept of a painted window: (rows, cols, 3)."""
    rows, cols = (
        slice(part.start + margin_px(config) - start, part.stop + margin_px(config) - start)
        for part, start in ((window.rows, window.top), (window.cols, window.left))
    )
    return image_u8[rows, cols]


class TiledLayout:
    """The layout maps of a large mask, a window at a time.

    Raises:
        MaskTooSmall, MaskTooLarge; MaskShape, MaskFloat, MaskNegative, MaskIdTooLarge. Masks above
        1024 px a side are too large for a network that does not start from the layout.
    """

    def __init__(self, mask_labels: Labels, config: NetworkConfig) -> None:
        check_mask(mask_labels)
        _check_size(mask_labels.shape, config)
        self.size: tuple[int, int] = (mask_labels.shape[0], mask_labels.shape[1])
        self._config = config
        self._ranks = consecutive_ids(mask_labels)
        self._nucleus_ids = original_ids(mask_labels, self._ranks) if config.nucleus_noise else None
        boxes = ndimage.find_objects(self._ranks)
        self._boxes = np.array(
            [[rows.start, rows.stop, cols.start, cols.stop] for rows, cols in boxes], np.int64
        ).reshape(-1, 4)

    def window(self, window: Window) -> PaddedLayout:
        """The maps of what a window paints. Its margin is cut off by ``Window.rows`` and
        ``cols``, so the layout has none."""
        margin = margin_px(self._config)
        top, left = window.top - margin, window.left - margin
        inside = (
            slice(max(top, 0), min(top + window.height, self.size[0])),
            slice(max(left, 0), min(left + window.width, self.size[1])),
        )
        context = self._context(inside)
        maps = layout_maps(self._ranks[context], self._config.direction).stacked()
        rows, cols = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(inside, context, strict=True)
        )
        # Beyond the mask the maps are continued, as around a tile of one pass.
        pad = [
            (inside[0].start - top, top + window.height - inside[0].stop),
            (inside[1].start - left, left + window.width - inside[1].stop),
        ]
        padded = np.pad(maps[:, rows, cols], [(0, 0), *pad], mode="edge")
        nuclei = None
        if self._nucleus_ids is not None:
            ranks = np.pad(self._ranks[inside], pad, mode="edge")
            nuclei = Nuclei(ranks, self._nucleus_ids)
        return PaddedLayout(padded, 0, (window.height, window.width), nuclei)

    def _context(self, inside: tuple[slice, slice]) -> tuple[slice, slice]:
        """The box that holds all nuclei of which a part lies inside."""
        rows, cols = inside
        first_row, last_row, first_col, last_col = self._boxes.T
        cut = (
            (first_row < rows.stop)
            & (last_row > rows.start)
            & (first_col < cols.stop)
            & (last_col > cols.start)
        )
        if not cut.any():
            return inside
        return (
            _grown(rows, int(first_row[cut].min()), int(last_row[cut].max())),
            _grown(cols, int(first_col[cut].min()), int(last_col[cut].max())),
        )


def _grown(inside: slice, first: int, last: int) -> slice:
    """From ``first`` to ``last``, at least the inside and not much more."""
    return slice(
        max(min(first, inside.start), inside.start - _CONTEXT_PX),
        min(max(last, inside.stop), inside.stop + _CONTEXT_PX),
    )


def _check_size(shape: tuple[int, ...], config: NetworkConfig) -> None:
    height, width = shape
    largest = LARGEST_TILED_PX if config.start == "layout" else LARGEST_MASK_PX
    if max(shape) > largest:
        raise MaskTooLarge(
            f"The instance mask is {width} x {height} px; the largest tile is {largest} px a side. "
            "Cut it into smaller masks."
        )
    if min(shape) < SMALLEST_MASK_PX:
        raise MaskTooSmall(
            f"The instance mask is {width} x {height} px; the smallest tile is "
            f"{SMALLEST_MASK_PX} px a side. Pad it with zeros."
        )
