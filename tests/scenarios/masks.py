"""Masks made of smaller ones."""

import numpy as np
from numpy.typing import NDArray


def tiled(mask: NDArray[np.int32], times: int) -> NDArray[np.int32]:
    """``mask`` so many times in both directions; the nuclei of each copy have ids of their own."""
    shift = mask.max() * np.arange(times**2, dtype=np.int32).reshape(times, times)
    ids = np.tile(mask, (times, times)) + np.kron(shift, np.ones_like(mask))
    return np.where(np.tile(mask > 0, (times, times)), ids, 0).astype(np.int32)
