"""Haematoxylin, colour distance and gradient energy on tiles whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.color import hed2rgb

from training.metrics.painted import mean_colours, paint
from training.metrics.stain import (
    auc,
    gradient_energy,
    haematoxylin,
    haematoxylin_auc,
    lab_distance,
    mean_lab,
)


def stained(haematoxylin_od: NDArray[np.float64], eosin_od: float) -> NDArray[np.uint8]:
    hed = np.stack(
        [haematoxylin_od, np.full_like(haematoxylin_od, eosin_od), 0 * haematoxylin_od], axis=-1
    )
    return np.round(hed2rgb(hed) * 255).astype(np.uint8)


def half_mask(side: int = 32) -> NDArray[np.int32]:
    mask = np.zeros((side, side), np.int32)
    mask[:, : side // 2] = 7
    return mask


class TestAuc:
    def test_known_answers(self) -> None:
        assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
        assert auc(np.array([0.0]), np.array([1.0, 2.0])) == 0
        assert auc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
        # Pairs: 1 > 0, 1 = 1, 3 > 0, 3 > 1.
        assert auc(np.array([1.0, 3.0]), np.array([0.0, 1.0])) == 3.5 / 4

    @given(
        st.lists(st.integers(-3, 3), min_size=1, max_size=30),
        st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    )
    def test_counts_pairs_exactly(self, inside: list[int], outside: list[int]) -> None:
        a, b = np.array(inside, float), np.array(outside, float)
        pairs = (a[:, None] > b).sum() + 0.5 * (a[:, None] == b).sum()
        assert auc(a, b) == pytest.approx(pairs / (a.size * b.size), abs=1e-12)

    def test_nothing_to_compare(self) -> None:
        assert np.isnan(auc(np.array([]), np.array([1.0])))


class TestHaematoxylin:
    def test_optical_density_is_recovered(self) -> None:
        # scikit-image's density is -ln(transmission) / ln(1e6): .05 is an absorbance of .3.
        od = np.linspace(0, 0.05, 64 * 64).reshape(64, 64)
        np.testing.assert_allclose(haematoxylin(stained(od, 0.02)), od, atol=0.002)

    def test_eosin_does_not_count(self) -> None:
        flat = np.full((8, 8), 0.03)
        pale, strong = haematoxylin(stained(flat, 0.0)), haematoxylin(stained(flat, 0.06))
        np.testing.assert_allclose(pale, strong, atol=0.002)

    def test_auc_of_a_stained_and_of_an_ignored_mask(self) -> None:
        mask = half_mask()
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 0.004, mask.shape)
        placed = stained(0.02 + 0.04 * (mask > 0) + noise, 0.03)
        assert haematoxylin_auc(placed, mask) > 0.999
        assert haematoxylin_auc(placed[:, ::-1], mask) < 0.001
        assert haematoxylin_auc(stained(0.04 + noise, 0.03), mask) == pytest.approx(0.5, abs=0.05)

    def test_no_nuclei_has_no_answer(self) -> None:
        assert np.isnan(haematoxylin_auc(stained(np.zeros((8, 8)), 0), np.zeros((8, 8), int)))


class TestColour:
    def test_black_and_white_are_100_apart(self) -> None:
        black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
        assert lab_distance(mean_lab(black), mean_lab(white)) == pytest.approx(100, abs=0.01)

    def test_distance_of_rows(self) -> None:
        a = np.array([[0.0, 0, 0], [1.0, 2, 2]])
        np.testing.assert_allclose(lab_distance(a, np.zeros((2, 3))), [0, 3])

    def test_mean_over_the_tile(self) -> None:
        tile = np.zeros((4, 4, 3), np.uint8)
        tile[:2] = 255
        np.testing.assert_allclose(mean_lab(tile), [50, 0, 0], atol=0.02)


class TestGradientEnergy:
    def test_a_ramp(self) -> None:
        ramp = np.arange(0, 200, 5, dtype=np.uint8)
        tile = np.broadcast_to(ramp[None, :, None], (40, 40, 3))
        assert gradient_energy(tile) == pytest.approx((5 / 255) ** 2)
        assert gradient_energy(tile.transpose(1, 0, 2)) == pytest.approx((5 / 255) ** 2)

    def test_grows_with_the_square_of_contrast(self) -> None:
        grain = np.random.default_rng(0).integers(0, 60, (40, 40, 1), dtype=np.uint8)
        tile = np.repeat(grain, 3, axis=2)
        assert gradient_energy(4 * tile) == pytest.approx(16 * gradient_energy(tile))

    def test_a_flat_tile_has_none(self) -> None:
        assert gradient_energy(np.full((8, 8, 3), 77, np.uint8)) == 0


class TestPainted:
    def test_two_mean_colours(self) -> None:
        mask = half_mask(8)
        image = np.zeros((8, 8, 3), np.uint8)
        image[:, :4] = (10, 20, 30)
        image[:4, :4] = (20, 40, 60)
        image[:, 4:] = 200
        inside, outside = mean_colours(image, mask)
        np.testing.assert_allclose(inside, [15, 30, 45])
        np.testing.assert_allclose(outside, [200, 200, 200])
        tile = paint(mask[:, ::-1], inside, outside)
        assert tile.dtype == np.uint8
        assert (tile[:, 4:] == (15, 30, 45)).all()
        assert (tile[:, :4] == 200).all()

    def test_a_tile_without_nuclei_or_without_background(self) -> None:
        image = np.full((4, 4, 3), 90, np.uint8)
        for mask in (np.zeros((4, 4), int), np.ones((4, 4), int)):
            inside, outside = mean_colours(image, mask)
            np.testing.assert_allclose([inside, outside], 90)
