"""MoNuSeg's masks in every format and back."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from model.formats import MaskFormat, read_mask, write_mask


@pytest.mark.parametrize("format", get_args(MaskFormat))
def test_all_44_slides_come_back(monuseg: Path, format: MaskFormat) -> None:
    paths = sorted(monuseg.glob("*/instances/*.png"))
    assert len(paths) == 44
    for path in paths:
        mask = np.asarray(Image.open(path)).astype(np.int32)
        again = read_mask(write_mask(mask, format), size=mask.shape)
        np.testing.assert_array_equal(again, mask)


@pytest.mark.parametrize("format", [name for name in get_args(MaskFormat) if name != "png"])
def test_ids_above_16_bits_with_gaps(monuseg: Path, format: MaskFormat) -> None:
    path = sorted(monuseg.glob("*/instances/*.png"))[0]
    mask = np.asarray(Image.open(path)).astype(np.int32) * 65_537
    again = read_mask(write_mask(mask, format), size=mask.shape)
    np.testing.assert_array_equal(again, mask)
