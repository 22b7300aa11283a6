"""From an instance mask to the three classes a network learns, and back to instances.

The paper does not say how nuclei are told apart in the output of SegNet. Here a boundary class
separates them: what is inside is labelled, and grown by the boundary's width again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels

from model.mask import Labels

BACKGROUND, INSIDE, BOUNDARY = 0, 1, 2
CLASSES = 3

UNTOLD = 255
"""In place of a class, where there is no mask that could tell it."""

BOUNDARY_PX = 2
"""Width of the boundary, and how far ``recover_instances`` grows what is inside. The round trip of
MoNuSeg's training masks keeps a PQ of .97 so; with what a square of 3 x 3 or 5 x 5 px makes the
boundary, in place of the disk of radius 2, .90 or .81."""

SMALLEST_PX = 20
"""Components with fewer pixels inside are no nuclei."""


def class_map(mask_labels: Labels) -> NDArray[np.uint8]:
    """The class of each pixel of an instance mask (H, W): 0 background, 1 inside, 2 boundary.

    The boundary are the pixels of a nucleus at most ``BOUNDARY_PX`` (Euclidean, between pixel
    centres) from a pixel of another nucleus or of the background. The border of the mask is no
    boundary: a nucleus that it cuts goes on outside.
    """
    differs = np.zeros(mask_labels.shape, bool)
    for down, right in _half_disk(BOUNDARY_PX):
        here, there = _shifted(mask_labels.shape, down, right)
        unlike = mask_labels[here] != mask_labels[there]
        differs[here] |= unlike
        differs[there] |= unlike
    nuclei = mask_labels > 0
    classes = np.where(nuclei, np.uint8(INSIDE), np.uint8(BACKGROUND))
    classes[nuclei & differs] = BOUNDARY
    return classes


def recover_instances(classes: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
    """Instances (H, W) in a map of classes: 0 is background, ids run from 1 without gaps.

    In this order: holes in what is inside are filled; 4-connected components are labelled;
    those of fewer than ``SMALLEST_PX`` pixels are dropped; the others grow by a disk of radius
    ``BOUNDARY_PX``. Where two would meet, each pixel goes to the nearer one, so that none merge.
    """
    inside = ndimage.binary_fill_holes(classes == INSIDE)
    components, _ = ndimage.label(inside)
    kept = np.bincount(components.ravel()) >= SMALLEST_PX
    kept[0] = False
    ids = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(expand_labels(ids[components], BOUNDARY_PX), np.int32)


def _half_disk(radius: int) -> list[tuple[int, int]]:
    """Half of the offsets (down, right) of a disk; the other half are the same ones reversed."""
    reach = range(-radius, radius + 1)
    return [
        (down, right)
        for down in reach
        for right in reach
        if (down, right) > (0, 0) and down**2 + right**2 <= radius**2
    ]


def _shifted(
    shape: tuple[int, ...], down: int, right: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Windows of equal size, the second one ``down`` >= 0 and ``right`` pixels further."""
    height, width = shape
    here = np.s_[: max(height - down, 0), max(-right, 0) : max(width - max(right, 0), 0)]
    there = np.s_[down:, max(right, 0) : max(width + min(right, 0), 0)]
    return here, there
