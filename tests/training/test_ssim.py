"""Structural similarity against closed forms and the formula of the paper, window by window."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.metrics.ssim import structural_similarity

Picture = NDArray[np.uint8]

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def noise(seed: int, side: int = 20) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (side, side + 3, 3), dtype=np.uint8)


def window_by_window(a: Picture, b: Picture) -> float:
    """Wang et al. 2004, equation 13, over every 11 x 11 window and channel."""
    offsets = np.arange(-5, 6)
    line = np.exp(-np.square(offsets) / (2 * 1.5**2))
    weights = np.outer(line, line) / np.outer(line, line).sum()
    values = []
    for x, y in zip(a.transpose(2, 0, 1).astype(float), b.transpose(2, 0, 1), strict=True):
        for top in range(x.shape[0] - 10):
            for left in range(x.shape[1] - 10):
                p = x[top : top + 11, left : left + 11]
                q = y[top : top + 11, left : left + 11].astype(float)
                mean_p, mean_q = (weights * p).sum(), (weights * q).sum()
                var_p = (weights * np.square(p - mean_p)).sum()
                var_q = (weights * np.square(q - mean_q)).sum()
                cov = (weights * (p - mean_p) * (q - mean_q)).sum()
                values.append(
                    (2 * mean_p * mean_q + C1)
                    * (2 * cov + C2)
                    / ((mean_p**2 + mean_q**2 + C1) * (var_p + var_q + C2))
                )
    return float(np.mean(values))


def test_an_image_is_like_itself() -> None:
    assert structural_similarity(noise(0), noise(0)) == pytest.approx(1, abs=1e-12)


def test_flat_images_compare_by_their_brightness_alone() -> None:
    a, b = np.full((16, 16, 3), 40, np.uint8), np.full((16, 16, 3), 200, np.uint8)
    expected = (2 * 40 * 200 + C1) / (40**2 + 200**2 + C1)
    assert structural_similarity(a, b) == pytest.approx(expected)


def test_the_three_channels_are_averaged() -> None:
    a = np.full((16, 16, 3), 40, np.uint8)
    b = a.copy()
    b[..., 2] = 200
    expected = (2 + (2 * 40 * 200 + C1) / (40**2 + 200**2 + C1)) / 3
    assert structural_similarity(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("mix", [1.0, 0.3])
def test_the_formula_of_the_paper(mix: float) -> None:
    a = noise(1)
    b = (mix * noise(2) + (1 - mix) * a).astype(np.uint8)
    assert structural_similarity(a, b) == pytest.approx(window_by_window(a, b), abs=1e-9)
    assert structural_similarity(b, a) == pytest.approx(structural_similarity(a, b))


def test_a_negative_is_the_opposite() -> None:
    a = noise(3)
    assert structural_similarity(a, 255 - a) < -0.5


def test_images_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same dimensions"):
        structural_similarity(noise(0, 20), noise(0, 21))
    with pytest.raises(ValueError, match="win_size"):
        structural_similarity(noise(0, 10), noise(0, 10))
