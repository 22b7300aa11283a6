"""Every seed paints in a mirror of its own.

Tissue on a slide has no up and no left, but a network that was trained for a finite time has: the
release network draws the clefts of the stroma along one diagonal. So the seed decides whether rows,
columns, both or neither are painted in reverse. The tile is turned back afterwards: its nuclei stay
where the mask has them. Over many seeds the tiles follow the mean of the network's distribution
over the four mirrors. That of tissue is the same in all of them, so the mean is no farther from it
than the network alone.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.layout import Direction
from model.noise import noise_window

Values = TypeVar("Values", bound=NDArray[Any])

Mirror = tuple[bool, bool]
"""Whether the rows, and the columns, are in reverse."""

PLAIN: Mirror = (False, False)

_PLANE = 2**63  # of the noise; those of the network's stages are counted from 0
_FIRST = 2  # channel of the direction map, after the two of the semantic map


def mirror_of(seed: int) -> Mirror:
    """Each of the four with the same probability; a function of the seed (0 to 2**64 - 1) alone."""
    rows, cols = noise_window(seed, _PLANE, top=0, left=0, height=1, width=2)[0] > 0
    return bool(rows), bool(cols)


def mirrored(array: Values, mirror: Mirror, *, axes: tuple[int, int]) -> Values:
    """A view of the array in the mirror. axes: those of the rows and of the columns."""
    reverse = tuple(axis for axis, reversed_ in zip(axes, mirror, strict=True) if reversed_)
    seen: Values = np.flip(array, reverse)
    return seen


def mirrored_maps(
    maps: NDArray[np.float32], mirror: Mirror, direction: Direction
) -> NDArray[np.float32]:
    """The layout maps (C, H, W) of a mask -> those of the mask in the mirror.

    Where a pixel lies is mirrored, and so is on which side of its centroid it lies.
    """
    if mirror == PLAIN:
        return maps
    seen = mirrored(maps, mirror, axes=(1, 2))
    if direction == "bins":
        return np.concatenate([seen[:_FIRST], seen[_bins(mirror)], seen[_FIRST + 16 :]])
    rows, cols = mirror
    signs = np.ones((len(maps), 1, 1), np.float32)
    signs[_FIRST] = -1 if cols else 1  # of the x offset
    signs[_FIRST + 1] = -1 if rows else 1
    return np.asarray(seen * signs)


def _bins(mirror: Mirror) -> NDArray[np.int64]:
    """The channel that each of the sixteen bins is read from: sector s is centred on 45 s degrees,
    columns in reverse make it 180 degrees minus that, rows in reverse minus that."""
    rows, cols = mirror
    sector = np.arange(8)
    if cols:
        sector = (4 - sector) % 8
    if rows:
        sector = -sector % 8
    return _FIRST + np.concatenate([sector, 8 + sector])
