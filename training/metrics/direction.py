"""Whether edges lie in one direction: in a tile they may, over many tiles of tissue they do not."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from training.metrics.stain import luminance

_SCALE_PX = 1.5


def edge_direction(image_u8: NDArray[np.uint8]) -> complex:
    """Direction of the luminance gradients of a tile (H, W, 3), with the angle doubled, as a
    gradient and its opposite are the same edge: sum (gx + i gy)^2 / sum |g|^2, from derivatives of
    a Gaussian (the structure tensor of the whole tile).

    The modulus is 0 where no direction prevails and 1 where all edges are parallel; 0 for a tile
    without any gradient.
    """
    light = luminance(image_u8)
    gradient = gaussian_filter(light, _SCALE_PX, order=(0, 1)) + 1j * gaussian_filter(
        light, _SCALE_PX, order=(1, 0)
    )
    energy = float(np.sum(np.abs(gradient) ** 2))
    return complex(np.sum(gradient**2) / energy) if energy > 0 else 0j


def preferred_direction(directions: Sequence[complex] | NDArray[np.complex128]) -> float:
    """Modulus of the mean of ``edge_direction`` over tiles: 0 to 1."""
    return float(np.abs(np.mean(directions)))
