"""What an instance mask is: one plane of integers, 0 = stroma, positive values are ids."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskFloat, MaskIdTooLarge, MaskNegative, MaskShape

MAX_ID = 2**31 - 1

Labels = NDArray[np.integer[Any]]
"""An instance mask (H, W). Ids may have gaps; they are never relabelled."""


def check_mask(values: NDArray[Any]) -> None:
    """Raise what is wrong with an array as an instance mask.

    Raises:
        MaskShape: not two-dimensional, or empty.
        MaskFloat: not integers (bool counts as 0 and 1).
        MaskNegative, MaskIdTooLarge: an id below 0 or above ``MAX_ID``.
    """
    if values.ndim != 2 or values.size == 0:
        raise MaskShape(
            f"The mask has shape {values.shape}; it must be one plane of ids, (height, width)."
        )
    if values.dtype.kind not in "biu":
        raise MaskFloat(
            f"The mask holds {values.dtype} values; ids are integers. "
            "Convert it with mask.astype(numpy.int32) and save it again."
        )
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0:
        raise MaskNegative(
            f"The mask holds the value {lowest}; ids are positive and 0 is the stroma. "
            "Set pixels that belong to no nucleus to 0."
        )
    if highest > MAX_ID:
        raise MaskIdTooLarge(
            f"The mask holds the id {highest}; the largest is {MAX_ID}. "
            "Number the nuclei 1, 2, ...; an id near 4294967295 is often a negative number "
            "saved as unsigned."
        )
