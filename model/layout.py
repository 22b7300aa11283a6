"""Instance mask -> the three layout maps a SIAN block reads.

    semantic  M  nuclei / stroma                                  (Sec. 2.2 of the paper)
    direction P  on which side of its nucleus' centroid a pixel lies        (after MaskLab)
    distance  Q  how far a pixel is from the edge towards the medial axis   (after TA-Net)

All three are computed for every nucleus at once: the cost is a few passes over the image
and two Euclidean distance transforms, whatever the number of nuclei. Touching nuclei are
told apart by their ids, so a map never depends on a neighbour. An id in several pieces is
one nucleus: one centroid, and a medial axis in each piece.

A nucleus cut by the image border is taken to go on outside: the border is not an edge.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from model.mask import Labels, check_mask

Direction = Literal["sign", "bins"]
"""``sign``: 2 channels, the sign of the x and of the y offset from the centroid.
``bins``: 16 channels, 2 distance bins x 8 compass directions, one-hot."""

DIRECTION_CHANNELS: dict[Direction, int] = {"sign": 2, "bins": 16}

# Integer medial axis (Hesselink and Roerdink, 2008): two neighbouring pixels whose nearest
# edge pixels lie far apart have the axis between them. "Far" is measured against the depth
# of the pixel (the chord of an opening angle of 81 degrees: a right-angled corner has its
# branch, the wiggles of a digitised edge have none) and is never less than a few pixels
# (next to the edge every angle is wide).
_AXIS_MIN_CHORD = 1.3
_AXIS_MIN_SEPARATION_PX = 5.0


@dataclass(frozen=True)
class Layout:
    """The maps of one instance mask; all float32, all (channels, H, W).

    semantic:  (2, H, W), one-hot: channel 0 nuclei, channel 1 stroma.
    direction: (2, H, W) in {-1, 0, 1} for ``sign``, (16, H, W) one-hot for ``bins``;
               0 in the stroma.
    distance:  (1, H, W) in [0, 1]: 1 on the medial axis, towards 0 at the edge of the
               nucleus, 0 in the stroma.
    """

    semantic: NDArray[np.float32]
    direction: NDArray[np.float32]
    distance: NDArray[np.float32]

    def stacked(self) -> NDArray[np.float32]:
        """(C, H, W): semantic, direction, distance, in this order."""
        return np.concatenate([self.semantic, self.direction, self.distance])


def layout_maps(mask_labels: Labels, direction: Direction = "sign") -> Layout:
    """Compute the layout maps of an instance mask.

    Args:
        mask_labels: (H, W) integers, 0 = stroma, any positive ids, gaps allowed.
        direction: which direction map, see ``Direction``.

    Raises:
        MaskShape, MaskFloat, MaskNegative, MaskIdTooLarge: it is no instance mask.
    """
    check_mask(mask_labels)
    ids = consecutive_ids(mask_labels)
    nuclei = ids > 0
    if direction == "sign":
        direction_map = _direction_sign(ids)
    else:
        direction_map = _direction_bins(ids)
    return Layout(
        semantic=np.stack([nuclei, ~nuclei]).astype(np.float32),
        direction=direction_map,
        distance=_medial_axis_distance(ids)[None],
    )


def consecutive_ids(mask_labels: Labels) -> NDArray[np.int32]:
    """The same partition with ids 1..N, in the order of the original ids. bool: one nucleus."""
    mask_labels = _integers(mask_labels)
    top = int(mask_labels.max())
    if top <= 4 * mask_labels.size:  # a lookup table is smaller than a sort
        present = np.bincount(mask_labels.ravel(), minlength=top + 1) > 0
        present[0] = False
        table = np.cumsum(present, dtype=np.int32)
        table[0] = 0
        return np.asarray(table[mask_labels], dtype=np.int32)
    nuclei = mask_labels > 0
    ids = np.zeros(mask_labels.shape, np.int32)
    ids[nuclei] = np.unique(mask_labels[nuclei], return_inverse=True)[1] + 1
    return ids


@dataclass(frozen=True)
class Nuclei:
    """Which nucleus a pixel is of.

    ranks: (H, W) int32, 0 = stroma, 1 to N in the order of the ids.
    ids: (N + 1,) the mask's own id of each rank; that of the stroma is 0.
    """

    ranks: NDArray[np.int32]
    ids: NDArray[np.integer[Any]]


def original_ids(mask_labels: Labels, ranks: NDArray[np.int32]) -> NDArray[np.integer[Any]]:
    """(N + 1,): the id that ``consecutive_ids`` gave each of the ranks to; 0 keeps 0."""
    mask_labels = _integers(mask_labels)
    ids = np.zeros(int(ranks.max()) + 1, mask_labels.dtype)
    ids[ranks] = mask_labels
    return ids


def _integers(mask_labels: Labels) -> Labels:
    """bool as 0 and 1: an index would take it for a choice."""
    return mask_labels.astype(np.uint8) if mask_labels.dtype == bool else mask_labels


def normalised_distance(mask_labels: Labels) -> NDArray[np.float32]:
    """(H, W): distance to the edge of the own nucleus over the largest one in it; 0 outside.

    The edge runs half a pixel outside the outermost pixels, as in the distance map Q.
    """
    ids = consecutive_ids(mask_labels)
    contour = _contour(ids)
    if not contour.any():  # nothing but stroma, or one nucleus that fills the image
        return (ids > 0).astype(np.float32)
    depth = np.where(ids > 0, _nearest_own(contour, ids)[2] + 0.5, 0)
    deepest = np.ones(int(ids.max()) + 1, np.float32)
    deepest[1:] = ndimage.maximum(depth, ids, np.arange(1, len(deepest)))
    return (depth / deepest[ids]).astype(np.float32)


def _offsets(
    ids: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns of the nuclear pixels, and their offset (dy, dx) from the centroid."""
    rows, cols = np.nonzero(ids)
    owner = ids[rows, cols]
    area = np.maximum(np.bincount(owner, minlength=1), 1)  # entry 0, the stroma, has no pixels
    centre_row = np.bincount(owner, weights=rows, minlength=1) / area
    centre_col = np.bincount(owner, weights=cols, minlength=1) / area
    return rows, cols, rows - centre_row[owner], cols - centre_col[owner]


def _direction_sign(ids: NDArray[np.int32]) -> NDArray[np.float32]:
    rows, cols, dy, dx = _offsets(ids)
    sides = np.zeros((2, *ids.shape), np.float32)
    sides[0, rows, cols] = np.sign(dx)
    sides[1, rows, cols] = np.sign(dy)
    return sides


def _direction_bins(ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Inner/outer half of the nucleus (by its largest radius) times eight 45 degree sectors."""
    rows, cols, dy, dx = _offsets(ids)
    radius = np.hypot(dy, dx)
    owner = ids[rows, cols]
    largest = np.zeros(int(ids.max()) + 1)
    np.maximum.at(largest, owner, radius)
    outer = radius > largest[owner] / 2
    # Sector 0 is centred on +x, so that noise around an axis does not flip the bin.
    sector = np.round(np.arctan2(dy, dx) / (np.pi / 4)).astype(np.int64) % 8
    bins = np.zeros((16, *ids.shape), np.float32)
    bins[8 * outer + sector, rows, cols] = 1
    return bins


def _medial_axis_distance(ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Q = d_edge / (d_edge + d_axis) inside the nuclei, 0 outside.

    d_edge is measured from the pixel's centre to the edge, which runs half a pixel outside
    the outermost pixels; so a nucleus one pixel wide has d_edge = 0.5, d_axis = 0, Q = 1.
    """
    contour = _contour(ids)
    if not contour.any():  # nothing but stroma, or one nucleus that fills the image
        return (ids > 0).astype(np.float32)
    edge_row, edge_col, to_edge = _nearest_own(contour, ids)
    axis = _medial_axis(ids, edge_row, edge_col, to_edge)
    _, _, to_axis = _nearest_own(axis, ids)
    to_edge += 0.5
    distance = np.where(ids > 0, to_edge / (to_edge + to_axis), 0)
    return distance.astype(np.float32)


def _contour(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Nuclear pixels with a 4-neighbour that is not of the same nucleus."""
    differs = np.zeros(ids.shape, bool)
    vertical = ids[1:] != ids[:-1]
    horizontal = ids[:, 1:] != ids[:, :-1]
    differs[1:] |= vertical
    differs[:-1] |= vertical
    differs[:, 1:] |= horizontal
    differs[:, :-1] |= horizontal
    return differs & (ids > 0)


def _nearest_own(
    targets: NDArray[np.bool_], ids: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """For each nuclear pixel, the nearest target pixel of the same nucleus and its distance.

    One distance transform finds the nearest target of any nucleus. It is right nearly
    everywhere; where touching nuclei made it a neighbour's, a tree over (row, column,
    nucleus) puts it right. Values in the stroma have no meaning.
    """
    row, col = ndimage.distance_transform_edt(~targets, return_distances=False, return_indices=True)
    strayed = (ids > 0) & (ids[row, col] != ids)
    if strayed.any():
        # The third coordinate keeps nuclei farther apart than any two pixels of the image.
        apart = float(sum(ids.shape))
        target_rows, target_cols = np.nonzero(targets)
        here_rows, here_cols = np.nonzero(strayed)
        tree = cKDTree(
            np.column_stack([target_rows, target_cols, ids[target_rows, target_cols] * apart])
        )
        _, nearest = tree.query(
            np.column_stack([here_rows, here_cols, ids[here_rows, here_cols] * apart])
        )
        row[here_rows, here_cols] = target_rows[nearest]
        col[here_rows, here_cols] = target_cols[nearest]
    rows = np.arange(ids.shape[0], dtype=np.int32)[:, None]
    cols = np.arange(ids.shape[1], dtype=np.int32)
    return row, col, np.hypot(row - rows, col - cols, dtype=np.float32)


def _medial_axis(
    ids: NDArray[np.int32],
    edge_row: NDArray[np.int32],
    edge_col: NDArray[np.int32],
    to_edge: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Pixels on the medial axis; every piece of a nucleus has at least one."""
    axis = _local_maxima(ids, to_edge)
    height, width = ids.shape
    for step_row, step_col in ((0, 1), (1, 0)):
        here = (slice(0, height - step_row), slice(0, width - step_col))
        there = (slice(step_row, height), slice(step_col, width))
        apart_row = edge_row[there] - edge_row[here]
        apart_col = edge_col[there] - edge_col[here]
        separation = np.hypot(apart_row, apart_col, dtype=np.float32)
        depth = np.maximum(to_edge[here], to_edge[there])
        ridge = (ids[here] == ids[there]) & (ids[here] > 0)
        ridge &= separation >= _AXIS_MIN_SEPARATION_PX
        ridge &= separation >= _AXIS_MIN_CHORD * depth
        # Of the two pixels, keep the one nearer to the bisector of the two edge pixels, both
        # when it runs exactly between them. ``side`` is positive when it lies beyond the middle.
        rows, cols = np.nonzero(ridge)
        at = (rows, cols)
        side = apart_row[at] * (
            edge_row[there][at] + edge_row[here][at] - 2 * rows - step_row
        ) + apart_col[at] * (edge_col[there][at] + edge_col[here][at] - 2 * cols - step_col)
        keep = side <= 0
        axis[rows[keep], cols[keep]] = True
        keep = side >= 0
        axis[rows[keep] + step_row, cols[keep] + step_col] = True
    return axis


def _local_maxima(ids: NDArray[np.int32], to_edge: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Nuclear pixels at least as deep as their 8 neighbours of the same nucleus."""
    highest = ids > 0
    height, width = ids.shape
    for step_row, step_col in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (
            slice(0, height - step_row),
            slice(max(0, -step_col), width - max(0, step_col)),
        )
        there = (
            slice(step_row, height),
            slice(max(0, step_col), width - max(0, -step_col)),
        )
        same = ids[here] == ids[there]
        highest[here] &= ~(same & (to_edge[here] < to_edge[there]))
        highest[there] &= ~(same & (to_edge[there] < to_edge[here]))
    return highest
