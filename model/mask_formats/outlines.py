"""Outlines of nuclei along the edges of their pixels: exact, and of the whole mask at once."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.components import distinct_ids
from model.errors import MaskUnwritable
from model.mask import check_mask

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

_MOST_NUCLEI = 500_000
_MOST_EDGES = 20_000_000
"""About 1 KB and 60 bytes each while they are written."""

Index = NDArray[np.int64]


class Polygons(NamedTuple):
    """P polygons of R rings, all in flat arrays. Coordinates are pixels; (0, 0) is the top left
    corner of the image, so that the first pixel has its centre at (0.5, 0.5).

    vertices: (V, 2) x, y; of a ring one after the other.
    rings: (R + 1,) where each ring starts in ``vertices``, and the end.
    polygons: (P + 1,) where each polygon starts in ``rings``, and the end.
    ids: (P,) of the nucleus that a polygon is a piece of.
    """

    vertices: NDArray[Any]
    rings: Index
    polygons: Index
    ids: Index


def check_writable(mask: NDArray[Any]) -> None:
    """Raise MaskUnwritable for a mask whose outlines would take gigabytes."""
    edges = sum(
        int(np.count_nonzero(here != there))
        for here, there in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1]))
    )
    nuclei = len(distinct_ids(mask))
    if nuclei > _MOST_NUCLEI or edges > _MOST_EDGES:
        raise MaskUnwritable(
            f"The mask holds {nuclei} nuclei with {edges} edges of pixels; outlines are written of "
            f"{_MOST_NUCLEI} with {_MOST_EDGES} at most. Write it as TIFF or .npy, or cut it into "
            "smaller masks."
        )


def trace(mask: NDArray[Any]) -> Polygons:
    """The corners of every nucleus of an instance mask (H, W), int64.

    One polygon for each 4-connected piece, by id and then from top to bottom. Its first ring is
    the shell, the others are holes; no ring repeats its first vertex. A shell goes right along
    its upper edge, which is counterclockwise in the sense of GeoJSON, and holes go the other way.
    No ring meets itself: the polygons are valid.
    """
    from skimage.measure import label

    check_mask(mask)
    padded = np.pad(mask, 1)
    # 4-connected, so that what shares a label is joined through edges of pixels.
    pieces = np.asarray(label(padded, background=0, connectivity=1))
    keys = _edges(pieces.ravel(), padded.shape[1])
    if not len(keys):
        start = np.zeros(1, np.int64)
        return Polygons(np.zeros((0, 2), np.int64), start, start, np.zeros(0, np.int64))
    following, straight = _following(keys, pieces.ravel(), padded.shape[1])
    leader, distance = _cycles(following)

    first = np.flatnonzero(distance == 0)
    piece = pieces.ravel()[keys[first] >> 2]
    ids = padded.ravel()[keys[first] >> 2].astype(np.int64)
    # The lowest edge of a piece is the upper one of its first pixel, which is of the shell.
    order = np.lexsort((first, piece, ids))
    first, piece, ids = first[order], piece[order], ids[order]

    along, starts = _in_order(leader, distance, first)
    is_corner = np.ones(len(keys), bool)
    is_corner[following[straight]] = False
    kept = is_corner[along]
    shells = np.flatnonzero(np.diff(piece, prepend=0))
    return Polygons(
        vertices=_start_of(keys[along[kept]], padded.shape[1]),
        rings=np.append(0, np.cumsum(np.add.reduceat(kept, starts, dtype=np.int64))),
        polygons=np.append(shells, len(first)),
        ids=ids[shells],
    )


def outlines(mask: NDArray[Any]) -> "dict[int, Polygon | MultiPolygon]":
    """The outline of every nucleus of an instance mask (H, W), by id in ascending order.

    Along the edges of pixels, with (0, 0) at the top left corner of the image, so that the area
    is the number of pixels. Nuclei in several pieces, also such that meet in a corner only, are
    MultiPolygons. Time and memory are those of the mask and its outlines, whatever their number.
    """
    import shapely

    found = trace(mask)
    if not len(found.ids):
        return {}
    rings = shapely.linearrings(found.vertices.astype(float), indices=_owner(found.rings))
    pieces = shapely.polygons(rings, indices=_owner(found.polygons))
    ids, nucleus, count = np.unique(found.ids, return_inverse=True, return_counts=True)
    outline = np.empty(len(ids), object)
    alone = count[nucleus] == 1
    outline[nucleus[alone]] = pieces[alone]
    if not alone.all():
        # Indices of a collection must be consecutive.
        several, group = np.unique(nucleus[~alone], return_inverse=True)
        outline[several] = shapely.multipolygons(pieces[~alone], indices=group)
    return dict(zip(ids.tolist(), outline, strict=True))


def _owner(starts: Index) -> Index:
    """Starts of groups -> the group of each member."""
    return np.repeat(np.arange(len(starts) - 1), np.diff(starts))


# An edge has the key 4 * pixel + side, the sides being upper, right, lower, left. It is run along
# with the nucleus to the right: the upper one to the right, the right one downwards, and so on.


def _steps(width: int) -> Index:
    """From a pixel to the one beyond each side."""
    return np.array([-width, 1, width, -1])


def _edges(pieces: NDArray[Any], width: int) -> Index:
    """Keys of the edges between what is of different pieces, in ascending order."""
    within = pieces[width:-width]
    found = []
    for side, step in enumerate(_steps(width).tolist()):
        beyond = pieces[width + step : len(pieces) - width + step]
        pixels = np.flatnonzero((within > 0) & (within != beyond)) + width
        found.append(4 * pixels + side)
    return np.sort(np.concatenate(found))


def _following(keys: Index, pieces: NDArray[Any], width: int) -> tuple[Index, NDArray[np.bool_]]:
    """The index of the edge after each one, and whether it goes straight on.

    Where two pixels of a piece meet in a corner, the way goes from one to the other: that keeps
    a hole that reaches the corner apart from the outside. Pixels of different pieces stay apart.
    """
    steps = _steps(width)
    pixel, side = keys >> 2, keys & 3
    ahead = pixel + steps[(side + 1) & 3]
    diagonal = ahead + steps[side]
    left = pieces[diagonal] == pieces[pixel]
    straight = ~left & (pieces[ahead] == pieces[pixel])
    following = np.where(left, 4 * diagonal + ((side + 3) & 3), 4 * pixel + ((side + 1) & 3))
    following[straight] = 4 * ahead[straight] + side[straight]
    return np.searchsorted(keys, following), straight


def _cycles(following: Index) -> tuple[Index, Index]:
    """For each edge the lowest index on its ring, and how many steps it is away from it.

    By doubling of steps, which takes as many rounds as the longest ring has binary digits.
    """
    leader, jump = np.arange(len(following)), following
    while True:
        lower = np.minimum(leader, leader[jump])
        if np.array_equal(lower, leader):
            break
        leader, jump = lower, jump[jump]
    at_leader = leader == np.arange(len(following))
    distance = np.where(at_leader, 0, 1)
    jump = np.where(at_leader, leader, following)
    while not np.array_equal(jump, leader):
        distance += distance[jump]
        jump = jump[jump]
    return leader, distance


def _in_order(leader: Index, distance: Index, first: Index) -> tuple[Index, Index]:
    """All edges along their rings, those in the order of ``first``; and where each ring starts."""
    size = np.bincount(leader, minlength=len(leader))
    starts = np.cumsum(size[first]) - size[first]
    start_of = np.empty_like(leader)
    start_of[first] = starts
    along = np.empty_like(leader)
    along[start_of[leader] + (-distance) % size[leader]] = np.arange(len(leader))
    return along, starts


def _start_of(keys: Index, width: int) -> Index:
    """(V, 2) x, y of the vertex that an edge starts from; ``width`` includes the padding."""
    rows, cols = np.divmod(keys >> 2, width)
    side = keys & 3
    x = cols - 1 + ((side == 1) | (side == 2))
    y = rows - 1 + (side >= 2)
    return np.stack([x, y], axis=1)
