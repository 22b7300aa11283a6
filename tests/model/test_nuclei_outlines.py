"""Outlines and fields of random nuclei against what their formulas say."""

import numpy as np
import pytest

from model.nuclei_outlines import Outlines, _waves, draw_outlines
from model.nuclei_tissue import Field


def outlines(count: int, elongation: float, roughness: float, area: float = 600) -> Outlines:
    rng = np.random.default_rng(4)
    full = np.full(count, 1.0)
    direction = rng.uniform(-np.pi / 2, np.pi / 2, count)
    return draw_outlines(full * area, full * elongation, direction, roughness, rng)


@pytest.mark.parametrize(("elongation", "roughness"), [(1, 0), (1, 0.15), (2.5, 0), (4, 0.15)])
def test_an_outline_encloses_its_area(elongation: float, roughness: float) -> None:
    drawn = outlines(40, elongation, roughness)
    areas = [np.count_nonzero(drawn.fill(index, 1)[0] <= 1) for index in range(len(drawn))]
    assert np.mean(areas) == pytest.approx(600, rel=0.015)
    assert np.std(areas) < 12  # what the pixels of an edge of 90 px leave to chance


def test_a_round_smooth_outline_is_a_disc() -> None:
    relative, half = outlines(1, 1, 0).fill(0, 1)
    rows, cols = np.mgrid[-half : half + 1, -half : half + 1]
    np.testing.assert_allclose(relative, np.hypot(rows, cols) / np.sqrt(600 / np.pi), rtol=1e-9)


def test_the_square_holds_the_enlarged_outline() -> None:
    for elongation in (1, 3):
        drawn = outlines(20, elongation, 0.1)
        for index in range(len(drawn)):
            relative, half = drawn.fill(index, 1.3)
            assert relative.shape == (2 * half + 1, 2 * half + 1)
            edge = np.concatenate([relative[[0, -1]].ravel(), relative[:, [0, -1]].ravel()])
            assert edge.min() > 1.0


@pytest.mark.parametrize("elongation", [1.0, 1.8, 3.0])
def test_reach_ends_where_the_filled_outline_does(elongation: float) -> None:
    drawn = outlines(20, elongation, 0.08)
    steps = np.arange(0, 60, 0.05)
    for index in range(len(drawn)):
        relative, half = drawn.fill(index, 1.5)
        for angle in np.linspace(-np.pi, np.pi, 7):
            rows = np.rint(steps * np.sin(angle)).astype(int) + half
            cols = np.rint(steps * np.cos(angle)).astype(int) + half
            inside = (rows >= 0) & (rows <= 2 * half) & (cols >= 0) & (cols <= 2 * half)
            edge = steps[inside][relative[rows[inside], cols[inside]] > 1][0]
            assert drawn.reach(index, angle) == pytest.approx(edge, abs=1.6)


def test_direction_is_that_of_the_long_axis() -> None:
    drawn = outlines(30, 2.5, 0.0)
    for index in range(len(drawn)):
        relative, half = drawn.fill(index, 1)
        rows, cols = np.nonzero(relative <= 1)
        values, vectors = np.linalg.eigh(np.cov(cols - half, rows - half))
        x, y = vectors[:, 1]
        turn = np.arctan2(y, x) - drawn.direction[index]
        assert abs(np.sin(turn)) < 0.15
        assert values[1] > values[0]


def test_roughness_is_the_amplitude_of_the_third_wave() -> None:
    radii = outlines(4000, 1, 0.05).radii
    waves = np.fft.rfft(radii / radii.mean(axis=1, keepdims=True), axis=1)
    amplitudes = np.sqrt(np.mean(np.abs(waves / 64) ** 2, axis=0))
    # A log-normal factor of deviation 0.3 and the loss of the tails beyond two deviations.
    assert amplitudes[3] == pytest.approx(0.05 * np.exp(0.09) * 0.96, rel=0.04)
    assert amplitudes[6] == pytest.approx(amplitudes[3] / 4, rel=0.05)
    assert amplitudes[[1, 2, 12]].max() < 0.003


@pytest.mark.parametrize("length", [20.0, 90.0])
def test_a_field_has_unit_variance_and_a_gaussian_correlation(length: float) -> None:
    rng = np.random.default_rng(1)
    side = 400
    rows, cols = rng.uniform(0, side - length, (2, 400))
    here, near = [], []
    for _ in range(150):
        field = Field((side, side), length, rng)
        here.append(field(rows, cols))
        near.append(field(rows, cols + length))
    first, second = np.concatenate(here), np.concatenate(near)
    assert first.mean() == pytest.approx(0, abs=0.1)
    assert first.var() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(np.exp(-1 / 4), abs=0.04)


@pytest.mark.parametrize("elongation", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("harmonic", [3, 6, 9])
def test_waves_are_even_along_the_stretched_outline(elongation: float, harmonic: int) -> None:
    """They cross the outline at equal distances along it, and move it as far everywhere."""
    coefficients = np.zeros((1, 7))
    coefficients[0, harmonic - 3] = 1.0
    stretch = np.array([np.sqrt(elongation)])
    (waves,) = _waves(coefficients, np.zeros((1, 7)), stretch)

    turns = np.arange(128) * (2 * np.pi / 128)
    speed = np.hypot(stretch * np.sin(turns), np.cos(turns) / stretch)
    moved = waves / speed  # across the outline, over the mean radius
    assert 0.95 < moved.max() <= 1.0
    assert -1.0 <= moved.min() < -0.95

    fine = np.linspace(0, 2 * np.pi, 200_001)
    steps = np.hypot(stretch * np.sin(fine), np.cos(fine) / stretch)
    passed = np.cumsum(steps) / steps.sum()
    before = np.flatnonzero(np.sign(moved) != np.sign(np.roll(moved, -1)))
    weights = moved[before] / (moved[before] - np.roll(moved, -1)[before])
    crossings = np.interp(turns[before] + weights * turns[1], fine, passed)
    assert len(crossings) == 2 * harmonic
    np.testing.assert_allclose(np.diff(crossings), 1 / (2 * harmonic), rtol=0.05)
