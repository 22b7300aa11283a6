"""Random nucleus-like instance masks.

After Hou et al. (CVPR 2019): nuclei with irregular outlines are placed one after the other on a
canvas larger than the mask, one that overlaps earlier ones too much is placed anew, and what
overlaps goes to the earlier one. What differs is what makes them look like a given tissue:
outlines are smooth, nuclei crowd and touch as measured, and size and direction follow their
neighbours' (``nuclei_tissue``) instead of one warp a mask.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import label

from model.errors import ParameterInvalid
from model.nuclei_outlines import Outlines, draw_outlines
from model.nuclei_statistics import NucleiStatistics
from model.nuclei_tissue import Tissue

Values = NDArray[np.float64]
Window = tuple[slice, slice]

SMALLEST_PX = 64

_TRIES = 16
_MOST_OVERLAP = 0.2  # of either nucleus; what is left still looks whole
_CONTACT_PX = 1.0  # how far two outlines are pushed together so that their pixels meet
_PRESS = 0.25  # and by how much more at most, in units of the smaller radius
_GAP_PX = 1.5


def random_mask(
    statistics: NucleiStatistics, height: int, width: int, *, seed: int
) -> NDArray[np.int32]:
    """An instance mask (height, width) with nuclei as ``statistics`` describe them.

    Ids are 1, 2, ... in the order of creation. Each is one 4-connected piece; there is at least
    one. Nuclei at the border are cut by it, as in a tile of a slide. The same arguments give the
    same mask.

    Args:
        height, width: 64 px or more; the time is linear in their product.
        seed: 0 or more.

    Raises:
        ParameterInvalid: the mask is too small, or the seed negative.
    """
    if min(height, width) < SMALLEST_PX:
        raise ParameterInvalid(
            f"A random mask of {width} x {height} px is too small; the least is "
            f"{SMALLEST_PX} px a side."
        )
    if seed < 0:
        raise ParameterInvalid(f"The seed is {seed}; use 0 or a positive number.")
    rng = np.random.default_rng(seed)
    margin = math.ceil(2 * math.sqrt(statistics.area))
    canvas = _Canvas((height + 2 * margin, width + 2 * margin))
    _place(canvas, statistics, rng)
    inside = np.s_[margin : margin + height, margin : margin + width]
    mask = _in_one_piece(canvas.ids[inside])
    if not mask.any():
        _place_one(canvas, statistics, margin, rng)
        mask = _in_one_piece(canvas.ids[inside])
    return mask


class _Canvas:
    """Ids placed so far, (H, W); 0 where there is room."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.ids = np.zeros(shape, np.int32)
        self._areas = [0]  # by id

    def is_free(self, relative: Values, half: int, row: int, col: int, upto: float) -> bool:
        """Whether no nucleus has a pixel within ``upto`` times the outline."""
        canvas, stamp = self._windows(half, row, col)
        return not self.ids[canvas][relative[stamp] <= upto].any()

    def may_touch(self, relative: Values, half: int, row: int, col: int) -> bool:
        """Whether what the outline shares with others is a small part of it and of each."""
        canvas, stamp = self._windows(half, row, col)
        covered = self.ids[canvas][relative[stamp] <= 1]
        others, shared = np.unique(covered[covered > 0], return_counts=True)
        areas = np.array([self._areas[other] for other in others], np.int64)
        own = np.count_nonzero(relative <= 1)
        return bool(shared.sum() <= _MOST_OVERLAP * own and (shared <= _MOST_OVERLAP * areas).all())

    def place(self, relative: Values, half: int, row: int, col: int) -> None:
        """A new nucleus with what is still free within its outline."""
        canvas, stamp = self._windows(half, row, col)
        window = self.ids[canvas]
        own = (relative[stamp] <= 1) & (window == 0)
        window[own] = len(self._areas)
        self._areas.append(int(np.count_nonzero(own)))

    def _windows(self, half: int, row: int, col: int) -> tuple[Window, Window]:
        """Where a square stamp of side 2 half + 1 lies on the canvas, and its part that does."""
        (top, bottom), (left, right) = (
            (min(max(middle - half, 0), side), min(max(middle + half + 1, 0), side))
            for middle, side in zip((row, col), self.ids.shape, strict=True)
        )
        stamp = np.s_[
            top - row + half : bottom - row + half, left - col + half : right - col + half
        ]
        return np.s_[top:bottom, left:right], stamp


def _place(canvas: _Canvas, statistics: NucleiStatistics, rng: np.random.Generator) -> None:
    """First the nuclei that keep apart, then those that touch one of them."""
    tissue = Tissue.draw(statistics, canvas.ids.shape, rng)
    places = tissue.places(_TRIES, rng)
    outlines = _outlines(tissue, places[:, 0], rng)
    apart = len(places) - int(rng.binomial(len(places), statistics.touching))
    spacing = rng.uniform(0, 2 * statistics.spacing, apart)
    hosts = []
    for index in range(apart):
        spot = _place_apart(canvas, outlines, index, places[index], spacing[index])
        if spot is not None:
            hosts.append((index, *spot))
    if hosts:
        _place_beside(canvas, outlines, np.array(hosts), places, apart, rng)


def _place_one(
    canvas: _Canvas, statistics: NucleiStatistics, margin: int, rng: np.random.Generator
) -> None:
    """A nucleus with its centre inside the margin, where a sparse tissue left the mask empty."""
    place = margin + rng.random((1, 2)) * (np.array(canvas.ids.shape) - 2 * margin)
    outlines = _outlines(Tissue.draw(statistics, canvas.ids.shape, rng), place, rng)
    relative, half = outlines.fill(0, 1)
    row, col = place[0].astype(np.int64)
    canvas.place(relative, half, row, col)


def _outlines(tissue: Tissue, places: Values, rng: np.random.Generator) -> Outlines:
    area, elongation = tissue.shapes(places, rng)
    direction = tissue.directions(places, rng)
    return draw_outlines(area, elongation, direction, tissue.statistics.roughness, rng)


def _place_apart(
    canvas: _Canvas, outlines: Outlines, index: int, places: Values, spacing: float
) -> tuple[int, int] | None:
    """Place a nucleus clear of all others; where, or None when there is no room.

    It gives way a little with every try: free margins are a preference, not a law.
    """
    gap = _GAP_PX * outlines.relative_px(index)
    relative, half = outlines.fill(index, 1 + max(spacing, gap))
    for attempt, (row, col) in enumerate(places.astype(np.int64)):
        upto = 1 + max(spacing * (1 - attempt / _TRIES), gap)
        if canvas.is_free(relative, half, row, col, upto):
            canvas.place(relative, half, row, col)
            return int(row), int(col)
    return None


def _place_beside(
    canvas: _Canvas,
    outlines: Outlines,
    hosts: NDArray[np.int64],
    places: Values,
    first: int,
    rng: np.random.Generator,
) -> None:
    """Place the nuclei from ``first`` on against the nearest of ``hosts`` (index, row, column)."""
    _, nearest = cKDTree(hosts[:, 1:]).query(places[first:])
    angles = rng.uniform(-np.pi, np.pi, nearest.shape)
    press = rng.uniform(0, _PRESS, len(nearest))
    for index, partners, turns, pressed in zip(
        range(first, len(outlines)), hosts[nearest], angles, press, strict=True
    ):
        relative, half = outlines.fill(index, 1)
        for (host, host_row, host_col), angle in zip(partners, turns, strict=True):
            own = outlines.reach(index, angle + np.pi)
            others = outlines.reach(host, angle)
            apart = own + others - pressed * min(own, others) - _CONTACT_PX
            row = round(host_row + apart * math.sin(angle))
            col = round(host_col + apart * math.cos(angle))
            if canvas.may_touch(relative, half, row, col):
                canvas.place(relative, half, row, col)
                break


def _in_one_piece(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """The largest 4-connected piece of every id, with new ids 1, 2, ... in the same order."""
    pieces = label(ids, connectivity=1)
    size = np.bincount(pieces.ravel())
    owner = np.zeros(len(size), np.int64)
    owner[pieces] = ids
    size[0] = 0
    # Pieces by owner, the largest of each last: the one before the owner changes.
    order = np.lexsort((size, owner))
    last = np.append(owner[order][1:] != owner[order][:-1], True)
    kept = order[last & (owner[order] > 0)]
    new = np.zeros(len(size), np.int32)
    new[kept] = np.arange(1, len(kept) + 1)
    return np.asarray(new[pieces], np.int32)
