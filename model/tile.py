"""What the network takes for one tile, as arrays: everything that needs no network to compute.

No torch, and safe to call from many threads: a tile is made ready here while the device is
busy with others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.config import NetworkConfig
from model.errors import MaskTooLarge, MaskTooSmall, ParameterInvalid
from model.layout import Nuclei, consecutive_ids, layout_maps, original_ids
from model.mask import LARGEST_MASK_PX, SMALLEST_MASK_PX, Labels
from model.mirror import PLAIN, Mirror, mirror_of
from model.noise import noise_window, nucleus_noise
from model.styles import StyleVector


@dataclass(frozen=True)
class PaddedLayout:
    """The layout maps of one mask with a margin around it.

    maps: (C, H', W') float32; H' and W' are sides the generator takes.
    margin: pixels above and to the left of the tile.
    size: (H, W) of the mask and of the tile.
    nuclei: at the size of the maps; for a network that takes noise per nucleus.
    """

    maps: NDArray[np.float32]
    margin: int
    size: tuple[int, int]
    nuclei: Nuclei | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H', W'); tiles of one shape can go through the network together."""
        return self.maps.shape[1], self.maps.shape[2]


@dataclass(frozen=True)
class TileInput:
    """One tile, ready for the network.

    layout: may be shared by tiles of the same mask.
    noise: one (planes, h, w) float32 a stage; then, for a network that takes it, (1, H', W') with
        the value of each nucleus.
    style: (D,) float32.
    mirror: in which the network shall see layout and noise, which are as in the mask here.
    """

    layout: PaddedLayout
    noise: tuple[NDArray[np.float32], ...]
    style: StyleVector
    mirror: Mirror = PLAIN

    @property
    def shape(self) -> tuple[int, int]:
        """(H', W') of the layout."""
        return self.layout.shape


def padded_shape(size: tuple[int, int], config: NetworkConfig) -> tuple[int, int]:
    """(H', W') for a mask of ``size`` (H, W): with the margin, and rounded up to what the
    generator takes."""
    margin, stride = margin_px(config), config.stride
    height, width = (max(-(-(side + 2 * margin) // stride), 2) * stride for side in size)
    return height, width


def padded_layout(mask_labels: Labels, config: NetworkConfig) -> PaddedLayout:
    """The layout maps of an instance mask (H, W), 16 to 1024 px a side, with their margin.

    The maps are continued, not the labels: a nucleus cut by the border keeps its centroid.

    Raises:
        MaskTooSmall, MaskTooLarge; MaskShape, MaskFloat, MaskNegative, MaskIdTooLarge.
    """
    _check_size(mask_labels)
    maps = layout_maps(mask_labels, config.direction).stacked()
    height, width = mask_labels.shape
    margin = margin_px(config)
    padded = padded_shape((height, width), config)
    pad = [
        (margin, whole - margin - side) for whole, side in zip(padded, (height, width), strict=True)
    ]
    nuclei = None
    if config.nucleus_noise:
        ranks = consecutive_ids(mask_labels)
        ids = original_ids(mask_labels, ranks)
        nuclei = Nuclei(np.pad(ranks, pad, mode="edge"), ids)
    return PaddedLayout(np.pad(maps, [(0, 0), *pad], mode="edge"), margin, (height, width), nuclei)


def tile_input(
    layout: PaddedLayout,
    style: StyleVector,
    *,
    seed: int,
    config: NetworkConfig,
    noise_shapes: Sequence[tuple[int, int, int]],
    origin: tuple[int, int] = (0, 0),
) -> TileInput:
    """A tile of a mask in a style.

    Args:
        style: (D,) finite numbers.
        seed: 0 to 2**64 - 1.
        noise_shapes: of the generator, at the layout's padded shape.
        origin: (top, left) of a window of a larger tile, in the padded tile; multiples of
            ``config.stride``.

    Raises:
        ParameterInvalid: a style of another length or not finite, a seed out of range.
    """
    if style.shape != (config.style_dim,) or not np.isfinite(style).all():
        raise ParameterInvalid(
            f"The style vector has shape {style.shape}; this checkpoint takes "
            f"{config.style_dim} finite numbers. Encode the style with this checkpoint."
        )
    if not 0 <= seed < 2**64:
        raise ParameterInvalid(f"The seed is {seed}; it must be between 0 and 2**64 - 1.")
    noise = tuple(
        _noise(seed, stage, shape, origin, layout.shape[0] // shape[1])
        for stage, shape in enumerate(noise_shapes)
    )
    if layout.nuclei is not None:
        value = nucleus_noise(seed, layout.nuclei.ids)
        noise += (value[layout.nuclei.ranks][None],)
    # Without noise the seed has no say: a mask and a style have one tile.
    mirror = mirror_of(seed) if config.noise else PLAIN
    return TileInput(layout, noise, style.astype(np.float32), mirror)


def margin_px(config: NetworkConfig) -> int:
    """Pixels synthesized around the tile and cut off again.

    Padding inside the network leaves its mark on the outermost pixels, as a frame; two pixels
    of the coarsest scale take it away. Only a fully convolutional network can afford to draw
    beyond the tile.
    """
    return 2 * config.stride if config.start == "layout" else 0


def _noise(
    seed: int, stage: int, shape: tuple[int, int, int], origin: tuple[int, int], factor: int
) -> NDArray[np.float32]:
    """factor: pixels of the tile in one of this stage."""
    planes, height, width = shape
    top, left = origin[0] // factor, origin[1] // factor
    return np.stack(
        [
            noise_window(seed, 2 * stage + plane, top=top, left=left, height=height, width=width)
            for plane in range(planes)
        ]
    )


def _check_size(mask_labels: Labels) -> None:
    size = " x ".join(str(side) for side in reversed(mask_labels.shape))
    if mask_labels.ndim == 2 and min(mask_labels.shape) < SMALLEST_MASK_PX:
        raise MaskTooSmall(
            f"The instance mask is {size} px; the smallest tile is "
            f"{SMALLEST_MASK_PX} px a side. Pad it with zeros."
        )
    if max(mask_labels.shape) > LARGEST_MASK_PX:
        raise MaskTooLarge(
            f"The instance mask is {size} px; the largest tile is {LARGEST_MASK_PX} px a side. "
            "Cut it into smaller masks."
        )
