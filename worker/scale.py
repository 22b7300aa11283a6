"""Masks and images at another pixel size than the network's.

The network paints nuclei at the micrometres per pixel (mpp) it was trained at. A mask drawn
at another scale is brought to the network's, and the tile back to the mask's.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.mask import Labels

TOLERANCE = 0.05
"""Relative difference in mpp up to which nothing is resampled: scanners sold as 40x differ by
about as much, and resampling would only blur."""


def scaled_size(size: tuple[int, int], mpp: float, target_mpp: float) -> tuple[int, int]:
    """(height, width) at ``target_mpp`` of an image that has ``size`` at ``mpp``."""
    if max(mpp, target_mpp) / min(mpp, target_mpp) <= 1 + TOLERANCE:
        return size
    height, width = size
    factor = mpp / target_mpp
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize_mask(mask_labels: Labels, size: tuple[int, int]) -> Labels:
    """Nearest neighbour, pixel centres aligned, so that ids stay what they are."""
    if mask_labels.shape == size:
        return mask_labels
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(size, mask_labels.shape, strict=True)
    )
    return mask_labels[np.ix_(rows, columns)]


def resize_image(image_u8: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) to (height, width, 3), Lanczos with antialiasing."""
    if image_u8.shape[:2] == size:
        return image_u8
    height, width = size
    resized = Image.fromarray(image_u8).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized)
