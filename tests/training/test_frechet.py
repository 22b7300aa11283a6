"""The Frechet distance against closed forms and the textbook formula."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.metrics.frechet import frechet_distance


def gaussian(rows: int, dims: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(rows, dims))


def textbook(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """With the square root of the product of covariances, as pytorch-fid computes it."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    shift = a.mean(axis=0) - b.mean(axis=0)
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(root).real)


@pytest.mark.parametrize(("rows", "dims"), [(50, 8), (20, 64), (8, 8), (2, 5)])
def test_a_set_has_no_distance_from_itself(rows: int, dims: int) -> None:
    features = gaussian(rows, dims)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("rows", "dims"), [(50, 8), (20, 64)])
def test_a_shift_counts_by_its_square(rows: int, dims: int) -> None:
    features = gaussian(rows, dims)
    assert frechet_distance(features, features + 3) == pytest.approx(9 * dims)


@pytest.mark.parametrize(("rows", "dims"), [(50, 8), (20, 64)])
def test_scaled_spread(rows: int, dims: int) -> None:
    # C and s^2 C: tr C + s^2 tr C - 2 s tr C = (s - 1)^2 tr C.
    features = gaussian(rows, dims)
    centred = features - features.mean(axis=0)
    trace = np.square(centred).sum() / (rows - 1)
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * trace)


def test_covariances_that_share_no_direction() -> None:
    # Their product vanishes, so only the traces are left: 2 a^2 / (2 - 1) each.
    a = np.array([[1.0, 0, 0], [-1.0, 0, 0]])
    b = np.array([[0.0, 2, 0], [0.0, -2, 0]])
    assert frechet_distance(a, b) == pytest.approx(2 + 8)


def test_one_feature_is_the_distance_of_normal_distributions() -> None:
    a, b = gaussian(40, 1, 1) * 2 + 1, gaussian(30, 1, 2) * 5
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(("rows_a", "rows_b"), [(60, 45), (60, 7), (9, 45)])
def test_the_textbook_formula(rows_a: int, rows_b: int) -> None:
    mixing = gaussian(12, 12, 5)
    a, b = gaussian(rows_a, 12, 1) @ mixing, gaussian(rows_b, 12, 2) + 0.5
    # The square root of a singular matrix is only good to the root of the machine precision.
    assert frechet_distance(a, b) == pytest.approx(textbook(a, b), rel=1e-5)


@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_rotation_changes_nothing_and_order_does_not_matter(
    rows_a: int, rows_b: int, dims: int, seed: int
) -> None:
    a, b = gaussian(rows_a, dims, seed), 2 * gaussian(rows_b, dims, seed + 1) + 1
    rotation = scipy.linalg.qr(gaussian(dims, dims, 7))[0]
    distance = frechet_distance(a, b)
    assert distance >= 0
    assert frechet_distance(b, a) == pytest.approx(distance)
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(distance)


def test_shapes_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        frechet_distance(gaussian(5, 3), gaussian(5, 4))
    with pytest.raises(ValueError, match="at least two rows"):
        frechet_distance(gaussian(5, 3), gaussian(1, 3))


def test_the_bias_of_few_tiles_favours_a_set_that_varies_less() -> None:
    """What docs/experiments.md warns of: 224 tiles, 768 features with a spectrum of 1/k."""
    draw = np.random.default_rng(0)
    spectrum = np.arange(1, 769) ** -0.5

    def tiles(spread: float) -> np.ndarray:
        return spread * draw.normal(size=(224, 768)) * spectrum

    perfect, narrow = (
        np.mean([frechet_distance(tiles(spread), tiles(1.0)) for _ in range(3)])
        for spread in (1.0, 0.8)
    )
    assert narrow < perfect
