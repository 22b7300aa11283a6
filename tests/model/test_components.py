"""Components strip by strip are those of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import label

from model import components
from model.components import count_components, distinct_ids, label_components


@pytest.fixture(autouse=True)
def thin_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_STRIP_ROWS", 4)


def check(mask: NDArray[np.int32]) -> None:
    expected = label(mask, background=0, connectivity=2)
    np.testing.assert_array_equal(label_components(mask), expected)
    assert count_components(mask) == expected.max()
    np.testing.assert_array_equal(distinct_ids(mask), np.setdiff1d(mask, 0))


@given(st.integers(0, 2**32 - 1), st.integers(1, 21), st.integers(1, 9), st.integers(1, 4))
def test_noise(seed: int, height: int, width: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    check(rng.integers(0, values + 1, (height, width), np.int32))


def test_a_component_that_winds_through_all_strips() -> None:
    mask = np.zeros((23, 9), np.int32)
    mask[:, ::2] = 7
    mask[0, 1:3], mask[22, 3:5], mask[0, 5:7] = 7, 7, 7
    check(mask)
    assert count_components(mask) == 2


def test_corners_touch_across_a_border_in_both_directions() -> None:
    mask = np.zeros((8, 6), np.int32)
    mask[3, 1], mask[4, 2] = 5, 5
    mask[3, 4], mask[4, 3] = 5, 5
    check(mask)
    assert count_components(mask) == 1


def test_other_values_stay_apart_across_a_border() -> None:
    mask = np.repeat(np.array([1, 2], np.int32), 4)[:, None].repeat(5, axis=1)
    check(mask)
    assert count_components(mask) == 2


def test_nothing_but_stroma() -> None:
    check(np.zeros((9, 5), np.int32))
