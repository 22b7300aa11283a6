"""PanNuke's masks.npy: one image of it, floats or integers, one channel for each type."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import (
    InvalidInput,
    MaskBinary,
    MaskFloat,
    MaskIdTooLarge,
    MaskNegative,
    MaskShape,
    MaskTooLarge,
    MaskUnreadable,
    ParameterInvalid,
)
from model.formats import read_mask, write_mask
from model.mask_formats.pannuke import pannuke_array
from tests.model.encoders import npy, npy_header, two_nuclei

MASK = two_nuclei(70_000, 3)


def image(**channels: NDArray[np.int64]) -> NDArray[np.float64]:
    """As in the published files: float64 (H, W, 6), the background in the last channel."""
    array = np.zeros((20, 24, 6))
    for name, plane in channels.items():
        array[..., int(name.removeprefix("c"))] = plane
    array[..., 5] = ~(array[..., :5] > 0).any(axis=2)
    return array


TWO_TYPES = image(c0=two_nuclei(70_000, 0), c3=two_nuclei(0, 3))


class TestRead:
    @pytest.mark.parametrize("dtype", ["f8", "f4", "<i4", ">i4", "u4", "i8"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_ids_of_all_types(self, dtype: str, order: str) -> None:
        array = np.array(TWO_TYPES, dtype, order=order)  # type: ignore[call-overload]
        np.testing.assert_array_equal(read_mask(npy(array)), MASK)

    def test_a_stack_of_one_image(self) -> None:
        np.testing.assert_array_equal(read_mask(npy(TWO_TYPES[None])), MASK)

    def test_later_channels_win(self) -> None:
        overlapping = two_nuclei(0, 9)
        overlapping[2:4, 2:5] = 9
        mask = read_mask(npy(image(c1=two_nuclei(4, 5), c4=overlapping)))
        assert [(mask == id).sum() for id in (4, 5, 9)] == [3, 0, 6 + 20]

    def test_an_id_in_several_channels_is_of_several_nuclei(self) -> None:
        array = image(c0=two_nuclei(1, 0), c2=two_nuclei(0, 1))
        array[0, 20:, 4] = 1
        array[19, 20:, 4] = 7
        expected = two_nuclei(1, 8)
        expected[0, 20:] = 9
        expected[19, 20:] = 7
        np.testing.assert_array_equal(read_mask(npy(array)), expected)

    def test_no_nuclei(self) -> None:
        assert read_mask(npy(image())).max() == 0

    def test_class_maps_are_binary_until_they_are_labelled(self) -> None:
        classes = np.zeros((40, 40, 6), np.uint8)
        classes[1::8, 1::8, 0] = classes[1::8, 2::8, 2] = 1
        with pytest.raises(MaskBinary, match="2 values and 50 regions"):
            read_mask(npy(classes))
        mask = read_mask(npy(classes), label_components=True)
        assert mask.max() == 50
        np.testing.assert_array_equal(mask > 0, classes.any(axis=2))


class TestWritten:
    def test_an_array_of_one_image(self) -> None:
        data = write_mask(MASK, "pannuke")
        array = np.load(io.BytesIO(data))
        assert (array.shape, array.dtype) == ((1, 20, 24, 6), np.int32)
        np.testing.assert_array_equal(array[0], pannuke_array(MASK))

    def test_channels(self) -> None:
        array = pannuke_array(MASK, nucleus_type="dead")
        np.testing.assert_array_equal(array[..., 3], MASK)
        np.testing.assert_array_equal(array[..., 5], MASK == 0)
        assert array[..., [0, 1, 2, 4]].max() == 0
        np.testing.assert_array_equal(pannuke_array(MASK)[..., 0], MASK)

    def test_what_is_no_mask_or_no_type(self) -> None:
        with pytest.raises(MaskFloat):
            pannuke_array(MASK / 2)
        with pytest.raises(ParameterInvalid, match="neoplastic, inflammatory"):
            pannuke_array(MASK, nucleus_type="blue")


REFUSED: dict[str, tuple[bytes, type[InvalidInput], str]] = {
    "several images": (npy(np.stack([TWO_TYPES] * 3)), MaskShape, "masks[0]"),
    "a whole fold": (npy_header((2656, 256, 256, 6), "<f8"), MaskShape, "2656 PanNuke images"),
    "no image": (npy(TWO_TYPES[None][:0]), MaskShape, "0 PanNuke images"),
    "large": (npy_header((10**6, 10**6, 6), "<f8"), MaskTooLarge, "1000000 x 1000000"),
    "cut off": (npy(TWO_TYPES)[:5000], MaskUnreadable, "truncated"),
    "fractions": (npy(TWO_TYPES / 2), MaskFloat, "ids are integers"),
    "NaN": (npy(np.where(TWO_TYPES > 0, np.nan, 0)), MaskFloat, "ids are integers"),
    "negative": (npy(-TWO_TYPES), MaskNegative, "-70000"),
    "large ids": (npy(image(c1=two_nuclei(1, 2**31))), MaskIdTooLarge, "2147483648"),
    "no number left": (
        npy(image(c0=two_nuclei(2**31 - 1, 5), c1=two_nuclei(5, 0))),
        MaskIdTooLarge,
        "2147483648",
    ),
}


@pytest.mark.parametrize(("data", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, error: type[InvalidInput], words: str) -> None:
    with pytest.raises(error) as caught:
        read_mask(data)
    assert type(caught.value) is error
    assert words in str(caught.value)
