"""Gaussian noise as a function of position, or of the nucleus.

A value depends on (seed, plane, row, column) alone, or on (seed, id), not on the size or place of
the window asked for: the same request gives the same tile in any company, and overlapping windows
of a large mask agree where they overlap.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 64  # px; the unit in which the counter-based generator is positioned
_NUCLEI = 2**62  # the plane whose values belong to ids; those of positions are counted from 0


def noise_window(
    seed: int, plane: int, *, top: int, left: int, height: int, width: int
) -> NDArray[np.float32]:
    """Standard normal values of one noise plane in a window, (height, width) float32.

    Args:
        seed: 0 to 2**64 - 1.
        plane: which of the independent planes of this seed.
        top, left: of the window, in pixels of the plane, from 0.
    """
    window = np.empty((height, width), np.float32)
    for row in range(top // _CHUNK, (top + height - 1) // _CHUNK + 1):
        for col in range(left // _CHUNK, (left + width - 1) // _CHUNK + 1):
            chunk = _chunk(seed, plane, row, col)
            # The part of this chunk that lies in the window, in plane coordinates.
            y0, y1 = max(top, row * _CHUNK), min(top + height, (row + 1) * _CHUNK)
            x0, x1 = max(left, col * _CHUNK), min(left + width, (col + 1) * _CHUNK)
            window[y0 - top : y1 - top, x0 - left : x1 - left] = chunk[
                y0 - row * _CHUNK : y1 - row * _CHUNK, x0 - col * _CHUNK : x1 - col * _CHUNK
            ]
    return window


def nucleus_noise(seed: int, ids: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """A standard normal value for each of the ids (N,), 0 for the id 0, the stroma: (N,) float32.

    Args:
        seed: 0 to 2**64 - 1.
    """
    chunk, place = np.divmod(ids.astype(np.int64), _CHUNK**2)
    values = np.empty(len(ids), np.float32)
    for number in np.unique(chunk):
        here = chunk == number
        values[here] = _chunk(seed, _NUCLEI, 0, int(number)).ravel()[place[here]]
    values[ids == 0] = 0
    return values


def _chunk(seed: int, plane: int, row: int, col: int) -> NDArray[np.float32]:
    # Philox is a counter-based generator: a key and a counter name a stream. The low words of
    # the counter run within a chunk, the high words say which chunk.
    source = np.random.Philox(
        key=np.array([seed, plane], np.uint64), counter=np.array([0, 0, row, col], np.uint64)
    )
    return np.random.Generator(source).standard_normal((_CHUNK, _CHUNK), dtype=np.float32)
