"""Draw outlines and run lengths on a mask. A pixel is inside when its centre is.

Everything is drawn at once, by the runs of pixels in each row, so that time and memory follow
the size of the mask and the number of vertices, never their product. What is drawn later wins.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskIdTooLarge, MaskTooSmall, MaskUnreadable
from model.mask import MAX_ID, SMALLEST_MASK_PX, Reading
from model.mask_formats.outlines import Index, Polygons

_FARTHEST_PX = 1e8  # from the origin; far beyond any slide
_SLACK_PX = 1e-3  # by which outlines may exceed a mask; far less than half a pixel
_CROSSINGS_PER_PIXEL = 4  # twice what nuclei of one pixel each would have
_DEEPEST = 16  # outlines over each other, on average over the mask
_CHUNK = 2_000_000  # crossings and pixels at a time, of 0.1 KB each
_RAGGEDEST = 2_000_000  # crossings of one polygon, which cannot be divided

Rings = Sequence[NDArray[np.float64]]


class Rule(NamedTuple):
    """Which pixels are inside.

    first_centre: x and y of the centre of the first pixel, in the coordinates of the outlines.
    with_edges: whether a centre that an edge meets exactly is inside on either side, except
        where edges are horizontal; if not, it is at the left and upper side only, so that
        neighbours that share an edge leave no gap and do not overlap.
    """

    first_centre: float
    with_edges: bool


PLAIN = Rule(first_centre=0.5, with_edges=False)


def polygons(pieces: Sequence[tuple[int, Rings]]) -> Polygons:
    """(id, rings) of each piece, every ring (N, 2) of x, y, as one set of arrays."""
    rings = [ring for _, piece in pieces for ring in piece]
    return Polygons(
        vertices=np.concatenate([np.zeros((0, 2)), *rings]),
        rings=_starts([len(ring) for ring in rings]),
        polygons=_starts([len(piece) for _, piece in pieces]),
        ids=np.array([id for id, _ in pieces], np.int64),
    )


def numbered(found: Sequence[int | None]) -> list[int]:
    """Ids of nuclei in the order of the file: those that it has, and new ones for the others.

    What is no id (None, 0, negative, above ``MAX_ID``) is numbered after the highest that is one.
    """
    kept = [id if id is not None and 0 < id <= MAX_ID else 0 for id in found]
    highest = max(kept, default=0)
    if highest + kept.count(0) > MAX_ID:
        raise MaskIdTooLarge(
            f"The mask holds the id {highest} and outlines without an id, for which no number is "
            "left. Number the nuclei 1, 2, ...."
        )
    new = iter(range(highest + 1, MAX_ID + 1))
    return [id or next(new) for id in kept]


def draw_new(outlines: Polygons, reading: Reading, rule: Rule = PLAIN) -> NDArray[np.int32]:
    """``draw`` on a mask of ``reading.size``, or else of the smallest size that holds all.

    Raises:
        MaskTooLarge, MaskTooSmall: a side out of bounds.
        MaskUnreadable: no size and no outline; coordinates that are not finite or beyond
            1e8 px; or nothing inside. What reaches over the border is cut off.
    """
    vertices = outlines.vertices
    # NaN compares as false.
    if not (np.abs(vertices) <= _FARTHEST_PX).all():
        raise MaskUnreadable(
            "The outlines have coordinates that are not finite or far beyond any image. Export "
            "them in pixels of the image, with (0, 0) at its top left corner."
        )
    mask = np.zeros(_size(vertices - rule.first_centre + 0.5, reading), np.int32)
    draw(mask, outlines, rule)
    if len(outlines.ids) and not mask.any():
        height, width = mask.shape
        raise MaskUnreadable(
            f"No outline holds the centre of a pixel of the image of {width} x {height} px. "
            "Export in pixels rather than micrometres, and subtract the position of the image "
            "on its slide."
        )
    return mask


def draw(mask: NDArray[np.int32], outlines: Polygons, rule: Rule = PLAIN) -> None:
    """Draw outlines on a mask (H, W) in place; the rings of a polygon are filled even-odd."""
    height, width = mask.shape
    upper, lower, owner = _edges(outlines)
    first, last = (
        np.clip(np.ceil(end[:, 1] - rule.first_centre), 0, height).astype(np.int64)
        for end in (upper, lower)
    )
    crossed = first < last
    upper, lower, owner, first, last = (
        values[crossed] for values in (upper, lower, owner, first, last)
    )
    crossings = last - first
    if crossings.sum() > _CROSSINGS_PER_PIXEL * mask.size:
        raise MaskUnreadable(
            f"The outlines are too many or too ragged for a mask of {width} x {height} px. "
            "Simplify them, and remove those that lie over each other."
        )
    if len(crossings) and np.bincount(owner, crossings).max() > _RAGGEDEST:
        raise MaskUnreadable(
            "An outline is too ragged: it crosses the rows of pixels more than "
            f"{_RAGGEDEST} times. Simplify it, or remove it if it is no nucleus."
        )
    covered = 0
    for part in _chunks(crossings, owner):
        rows, cols, is_met = _crossing_points(
            upper[part], lower[part], first[part], crossings[part], rule.first_centre
        )
        is_met &= (cols >= 0) & (cols < width)
        cols = np.clip(cols, 0, width)
        lines = np.repeat(owner[part], crossings[part]) * height + rows
        # The edges of closed rings cross a row an even number of times: run by run.
        keys = np.sort((lines * (width + 1) + cols) * 2 + (is_met & rule.with_edges))
        # Two edges that meet one centre enclose nothing there.
        keys = keys.reshape(-1, 2)[keys[::2] < keys[1::2]].ravel()
        line, starts = np.divmod(keys[::2] >> 1, width + 1)
        ends = np.minimum((keys[1::2] >> 1) % (width + 1) + (keys[1::2] & 1), width)
        polygon, rows = np.divmod(line, height)
        covered += int((ends - starts).sum())
        check_cover(covered, mask.size)
        fill(mask.reshape(-1), rows * width + starts, ends - starts, outlines.ids[polygon])


def fill(flat: NDArray[np.int32], starts: Index, lengths: Index, ids: Index) -> None:
    """Set runs of a flat mask to ids, in place and in this order."""
    for part in _chunks(lengths, np.arange(len(lengths))):
        flat[ranges(starts[part], lengths[part])] = np.repeat(ids[part], lengths[part])


def ranges(starts: Index, lengths: Index) -> Index:
    """The integers from each start on, so many as its length, one range after the other."""
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) + np.repeat(starts - ends + lengths, lengths)


def check_cover(covered: int, pixels: int) -> None:
    """Raise MaskUnreadable where nuclei of so many pixels in all are drawn on a mask of few."""
    if covered > _DEEPEST * pixels:
        raise MaskUnreadable(
            f"The nuclei lie over each other more than {_DEEPEST} deep. Remove those that are "
            "there twice, and outlines of anything but nuclei."
        )


def _starts(lengths: list[int]) -> Index:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _size(vertices: NDArray[Any], reading: Reading) -> tuple[int, int]:
    if reading.size is not None:
        reading.check_size(*reading.size)
        return reading.size
    if not len(vertices):
        raise MaskUnreadable(
            "The mask file holds no outline and does not say how large the image is. Give its "
            "size, or send a mask without nuclei as PNG."
        )
    width, height = (int(side) for side in np.ceil(vertices.max(axis=0) - _SLACK_PX))
    if min(width, height) < SMALLEST_MASK_PX:
        raise MaskTooSmall(
            f"The outlines end at x = {width} and y = {height} px; a mask needs at least "
            f"{SMALLEST_MASK_PX} px a side. Give the size of the image, if it is larger than that."
        )
    reading.check_size(height, width)
    return height, width


def _edges(outlines: Polygons) -> tuple[NDArray[Any], NDArray[Any], Index]:
    """Upper end, lower end, and polygon of every edge; of equal edges the same ends."""
    starts, ends = outlines.rings[:-1], outlines.rings[1:]
    filled = starts < ends
    following = np.arange(1, len(outlines.vertices) + 1)
    following[ends[filled] - 1] = starts[filled]
    one, other = outlines.vertices, outlines.vertices[following]
    downwards = (one[:, 1] <= other[:, 1])[:, None]
    polygon_of_ring = np.repeat(np.arange(len(outlines.ids)), np.diff(outlines.polygons))
    owner = np.repeat(polygon_of_ring, np.diff(outlines.rings))
    return np.where(downwards, one, other), np.where(downwards, other, one), owner


def _crossing_points(
    upper: NDArray[Any], lower: NDArray[Any], first: Index, crossings: Index, first_centre: float
) -> tuple[Index, Index, NDArray[np.bool_]]:
    """Where edges cross the rows of centres: row, the first column whose centre is not before the
    crossing, and whether the crossing meets that centre exactly."""
    rows = ranges(first, crossings)
    edge = np.repeat(np.arange(len(crossings)), crossings)
    (x0, y0), (x1, y1) = upper[edge].T, lower[edge].T
    y0, y1 = y0 - (rows + first_centre), y1 - (rows + first_centre)
    cols = np.rint(x0 - y0 * ((x1 - x0) / (y1 - y0)) - first_centre)
    # Seen from the nearest centre, so that the side is right to the last bit.
    x0, x1 = x0 - (cols + first_centre), x1 - (cols + first_centre)
    beyond = (x1 * y0 - x0 * y1) / (y0 - y1)
    return rows, cols.astype(np.int64) + (beyond > 0), beyond == 0


def _chunks(counts: Index, owner: Index) -> list[slice]:
    """Slices of about so many counts each, between two owners."""
    if not len(counts):
        return []
    before = np.cumsum(counts) - counts
    chunk = before // _CHUNK
    # An owner is of the chunk that it starts in.
    new_owner = np.diff(owner, prepend=-1) != 0
    first = np.flatnonzero(new_owner)
    cuts = first[np.diff(chunk[first], prepend=-1) != 0]
    return [slice(a, b) for a, b in zip(cuts, np.append(cuts[1:], len(counts)), strict=True)]
