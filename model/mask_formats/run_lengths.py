"""Run lengths as COCO has them: down the columns, of stroma and nucleus in turn.

All nuclei at once and without their pixels. pycocotools, which compresses them here, would encode
and decode the whole image for each nucleus.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskUnreadable
from model.mask_formats.outlines import Index

_MOST_DIGITS = 7  # of five bits, in a compressed run length


def runs(mask: NDArray[Any]) -> tuple[Index, Index, Index, Index]:
    """Runs of pixels down the columns, by nucleus and then by position.

    Returns ids (N,); where the runs of each begin among all, (N,); and of each run its start in
    the flattened columns and its length, (R,).
    """
    flat = np.ascontiguousarray(mask.T).ravel()
    starts = np.append(0, np.flatnonzero(np.diff(flat)) + 1)
    lengths = np.diff(starts, append=len(flat))
    values = flat[starts].astype(np.int64)
    order = np.argsort(values, kind="stable")
    order = order[values[order] > 0]
    ids, first = np.unique(values[order], return_index=True)
    return ids, first, starts[order], lengths[order]


def boxes(first: Index, starts: Index, lengths: Index, height: int) -> Index:
    """(N, 4): x, y, width, height of each nucleus. A run may go on in the next column."""
    if not len(first):
        return np.zeros((0, 4), np.int64)
    ends = starts + lengths - 1
    left, right = starts // height, ends // height
    alone = left == right
    top, bottom = np.where(alone, starts % height, 0), np.where(alone, ends % height, height - 1)
    x, y = (np.minimum.reduceat(side, first) for side in (left, top))
    far_x, far_y = (np.maximum.reduceat(side, first) for side in (right, bottom))
    return np.stack([x, y, far_x - x + 1, far_y - y + 1], axis=1)


def compressed(first: Index, starts: Index, lengths: Index, shape: tuple[int, ...]) -> list[Any]:
    """The runs of each nucleus as pycocotools compresses them."""
    from pycocotools.mask import frPyObjects

    height, width = shape
    found = []
    for begin, end in pairwise([*first.tolist(), len(starts)]):
        edges = np.stack([starts[begin:end], starts[begin:end] + lengths[begin:end]], axis=1)
        counts = np.diff(edges.ravel(), prepend=0, append=height * width)
        if counts[-1] == 0:
            counts = counts[:-1]
        run_lengths = {"size": [height, width], "counts": counts.tolist()}
        compressed = frPyObjects(run_lengths, height, width)
        found.append({"size": [height, width], "counts": compressed["counts"].decode("ascii")})
    return found


def decompressed(characters: NDArray[np.uint8]) -> Index:
    """Compressed run lengths as numbers.

    A number is its digits of five bits, the lowest first, each in a character above 48; 32 is
    set while more follow, 16 in the last one means negative. From the fourth number on it is the
    difference to the one before the last.
    """
    codes = characters.astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.append(0, ends[:-1] + 1)
    digits = ends - starts + 1
    sound = len(ends) and ends[-1] == len(codes) - 1 and digits.max() <= _MOST_DIGITS
    if not sound or codes.min() < 0 or codes.max() > 63:
        raise MaskUnreadable(
            "The COCO file has compressed run lengths that are damaged. Export or upload it again."
        )
    place = np.arange(len(codes)) - np.repeat(starts, digits)
    numbers: Index = np.add.reduceat((codes & 31) << (5 * place), starts)
    numbers -= np.where(codes[ends] & 16, 1 << (5 * digits), 0)
    for every_second in (numbers[1::2], numbers[2::2]):
        np.cumsum(every_second, out=every_second)
    return numbers
