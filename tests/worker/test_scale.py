import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.scale import resize_image, resize_mask, scaled_size


@pytest.mark.parametrize(
    ("mpp", "size"),
    [
        (0.25, (100, 60)),
        (0.2527, (100, 60)),
        (0.24, (100, 60)),
        (0.5, (200, 120)),
        (0.125, (50, 30)),
    ],
)
def test_size_at_the_networks_scale(mpp, size):
    assert scaled_size((100, 60), mpp, 0.25) == size


def test_doubling_a_mask_repeats_its_pixels():
    mask = np.array([[0, 300], [7, 7]])
    doubled = [[0, 0, 300, 300], [0, 0, 300, 300], [7, 7, 7, 7], [7, 7, 7, 7]]
    np.testing.assert_array_equal(resize_mask(mask, (4, 4)), doubled)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_a_mask_keeps_its_ids(height, width, new_height, new_width):
    mask = np.arange(height * width).reshape(height, width) * 3
    resized = resize_mask(mask, (new_height, new_width))
    assert resized.shape == (new_height, new_width)
    assert resized.dtype == mask.dtype
    assert np.isin(resized, mask).all()
    # Monotone in both directions: nothing changes places.
    assert (np.diff(resized, axis=0) >= 0).all()
    assert (np.diff(resized, axis=1) >= 0).all()


def test_an_even_image_stays_even():
    image = np.full((64, 96, 3), (200, 100, 150), np.uint8)
    resized = resize_image(image, (32, 48))
    assert resized.shape == (32, 48, 3)
    assert (resized == (200, 100, 150)).all()


def test_nothing_is_resampled_to_the_same_size():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    assert resize_image(image, (20, 30)) is image
