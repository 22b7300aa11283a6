"""What an instance mask is: one plane of integers, 0 = stroma, positive values are ids."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import (
    MaskFloat,
    MaskIdTooLarge,
    MaskNegative,
    MaskShape,
    MaskTooLarge,
    MaskTooSmall,
    ParameterInvalid,
)

MAX_ID = 2**31 - 1
SMALLEST_MASK_PX = 16
LARGEST_MASK_PX = 1024
PIXELS_PER_NUCLEUS = 16  # at most so many nuclei; the smallest in MoNuSeg has 9

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


class Reading(NamedTuple):
    """What the caller of ``model.formats.read_mask`` wants, for the decoder of a format.

    max_side: largest height and width, px. size: (height, width), where the caller knows it.
    """

    max_side: int
    size: tuple[int, int] | None = None

    def check_size(self, height: int, width: int) -> None:
        """Check the size that a file declares, before anything is allocated for it.

        Raises:
            MaskTooLarge, MaskTooSmall: a side out of bounds.
            ParameterInvalid: another size than ``size``.
        """
        if max(height, width) > self.max_side:
            raise MaskTooLarge(
                f"The mask is {width} x {height} px; the limit is {self.max_side} px a side. "
                "Cut it into smaller tiles."
            )
        if min(height, width) < SMALLEST_MASK_PX:
            raise MaskTooSmall(
                f"The mask is {width} x {height} px; it needs at least {SMALLEST_MASK_PX} px "
                "a side. Pad it with 0."
            )
        if self.size is not None and self.size != (height, width):
            raise ParameterInvalid(
                f"size says {self.size[1]} x {self.size[0]} px, but the mask file is "
                f"{width} x {height} px. Leave size out, or send the mask of that image."
            )


def whole_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Floating-point values as int64 where all of them are whole; others as they are."""
    if values.dtype.kind != "f":
        return values
    with np.errstate(invalid="ignore"):  # NaN and infinity become some integer, which differs
        integers = values.astype(np.int64)
    return integers if np.array_equal(integers, values) else values
