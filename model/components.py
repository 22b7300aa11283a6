"""Connected components of an instance mask, in the memory of the mask: strip by strip, which are
then joined. scikit-image numbers them in 64 bits and takes five times as much."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

_STRIP_ROWS = 1024  # a mask of one pass is one strip

Index = NDArray[np.int64]


def distinct_ids(mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """The ids in an instance mask (H, W), ascending."""
    found = [np.unique(mask[top : top + _STRIP_ROWS]) for top in _tops(mask)]
    ids = np.unique(np.concatenate(found))
    return ids[ids > 0]


def count_components(mask: NDArray[np.int32]) -> int:
    """How many 8-connected components of equal value there are, the stroma left out."""
    total, seams = 0, []
    for strip, seam in _strips(mask):
        total = max(total, int(strip.max()))
        seams.append(seam)
    ends, joined = np.unique(np.concatenate(seams), return_inverse=True)
    if not len(ends):
        return total
    first, second = joined.reshape(-1, 2).T
    groups, _ = _joined(first, second, len(ends))
    return total - len(ends) + groups


def label_components(mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """The 8-connected components of equal value, (H, W), numbered 1, 2, ... by their first pixel,
    from top to bottom."""
    labels, seams = np.empty(mask.shape, np.int32), []
    for top, (strip, seam) in zip(_tops(mask), _strips(mask), strict=True):
        labels[top : top + len(strip)] = strip
        seams.append(seam)
    first, second = np.concatenate(seams).T
    if not len(first):
        return labels
    groups, group = _joined(first, second, int(labels.max()) + 1)
    # A component is as old as its oldest part; the stroma, label 0, is the oldest of all.
    oldest = np.full(groups, len(group), np.int64)
    np.minimum.at(oldest, group, np.arange(len(group)))
    number = np.empty(groups, np.int32)
    number[np.argsort(oldest)] = np.arange(groups)
    return number[group][labels]


def _tops(mask: NDArray[np.int32]) -> range:
    return range(0, len(mask), _STRIP_ROWS)


def _strips(mask: NDArray[np.int32]) -> Iterator[tuple[Index, Index]]:
    """The components within each strip, numbered on from those before; and which pairs of numbers
    meet across its upper border, (P, 2)."""
    before, above = 0, np.zeros(0, np.int64)
    for top in _tops(mask):
        strip = np.asarray(
            label(mask[top : top + _STRIP_ROWS], background=0, connectivity=2), np.int64
        )
        count = int(strip.max())
        strip[strip > 0] += before
        seam = np.zeros((0, 2), np.int64)
        if top:
            seam = _meeting(mask[top - 1], mask[top], above, strip[0])
        yield strip, seam
        before, above = before + count, strip[-1]


def _meeting(
    upper: NDArray[np.int32], lower: NDArray[np.int32], above: Index, below: Index
) -> Index:
    """Pairs of numbers of pixels of equal value in two rows that touch, (P, 2)."""
    width, found = len(upper), []
    for shift in (-1, 0, 1):
        one = slice(max(shift, 0), width + min(shift, 0))
        other = slice(max(-shift, 0), width + min(-shift, 0))
        same = (upper[one] == lower[other]) & (upper[one] > 0)
        found.append(np.stack([above[one][same], below[other][same]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _joined(first: Index, second: Index, count: int) -> tuple[int, NDArray[np.int32]]:
    """How many groups the pairs make of ``count`` numbers, and the group of each."""
    pairs = coo_array((np.ones(len(first), bool), (first, second)), (count, count))
    groups, group = connected_components(pairs, directed=False)
    return int(groups), group
