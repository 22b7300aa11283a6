"""Random masks: what they promise of every mask, and what a parameter does to many."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from model.errors import ParameterInvalid
from model.nuclei import random_mask
from model.nuclei_measures import measure_masks, touching_nuclei
from model.nuclei_statistics import (
    POOLED,
    RANGES,
    NucleiStatistics,
    organ_statistics,
    organs_with_statistics,
)

Mask = NDArray[np.int32]

PLAIN = NucleiStatistics(
    density=25,
    density_drift=0,
    clumping=0,
    spacing=0.1,
    touching=0,
    area=400,
    area_drift=0,
    size_below=0,
    size_above=0,
    density_area_correlation=0,
    size_coherence=0,
    elongation=1,
    elongation_spread=0,
    area_elongation_correlation=0,
    alignment=0,
    roughness=0,
)
"""Discs of 400 px that keep apart, evenly spread."""

LIVELY = replace(
    PLAIN,
    clumping=0.5,
    touching=0.2,
    size_below=0.3,
    size_above=0.3,
    elongation=1.6,
    elongation_spread=0.7,
    alignment=0.5,
    roughness=0.08,
)
"""Like a tissue, yet with no drift from mask to mask, which would take more masks to average."""


def masks(statistics: NucleiStatistics, count: int, side: int = 256) -> list[Mask]:
    return [random_mask(statistics, side, side, seed=seed) for seed in range(count)]


SHAPES = ((64, 64), (64, 300), (256, 256), (517, 333))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("organ", organs_with_statistics())
def test_ids_count_from_one_and_each_is_one_piece(organ: str, shape: tuple[int, int]) -> None:
    mask = random_mask(organ_statistics(organ), *shape, seed=3)
    assert mask.shape == shape
    assert mask.dtype == np.int32
    np.testing.assert_array_equal(np.unique(mask[mask > 0]), np.arange(1, mask.max() + 1))
    assert mask.max() >= 1
    for label, window in enumerate(ndimage.find_objects(mask), start=1):
        _, pieces = ndimage.label(mask[window] == label)
        assert pieces == 1


def test_the_same_arguments_give_the_same_mask_whatever_ran_before() -> None:
    statistics = organ_statistics("liver")
    first = random_mask(statistics, 256, 200, seed=7)
    np.random.default_rng(7).random(100)
    random_mask(organ_statistics("colon"), 64, 64, seed=7)
    np.testing.assert_array_equal(random_mask(statistics, 256, 200, seed=7), first)
    assert (random_mask(statistics, 256, 200, seed=8) != first).any()


def test_the_sparsest_tissue_still_has_a_nucleus() -> None:
    sparse = replace(PLAIN, density=0.5)
    for seed in range(50):
        mask = random_mask(sparse, 64, 64, seed=seed)
        assert mask.max() >= 1
        row, col = np.argwhere(mask == 1).mean(axis=0)
        assert 0 <= row < 64
        assert 0 <= col < 64


def test_no_nucleus_encloses_another() -> None:
    uneven = replace(LIVELY, touching=0.5, size_below=0.6, size_above=0.8)
    for mask in masks(uneven, 20):
        for label, window in enumerate(ndimage.find_objects(mask), start=1):
            filled = ndimage.binary_fill_holes(mask[window] == label)
            assert np.isin(mask[window][filled], (0, label)).all()


def test_all_nuclei_touching_still_gives_a_mask() -> None:
    mask = random_mask(replace(LIVELY, touching=0.9), 256, 256, seed=0)
    assert mask.max() >= 1


@pytest.mark.parametrize("name", sorted(RANGES))
@pytest.mark.parametrize("end", [0, 1])
def test_every_extreme_of_a_parameter_can_be_drawn(name: str, end: int) -> None:
    mask = random_mask(replace(LIVELY, **{name: RANGES[name][end]}), 128, 128, seed=1)
    assert mask.max() >= 1


def test_plain_nuclei_have_the_area_and_axes_asked_for() -> None:
    measured = measure_masks(masks(PLAIN, 10))
    assert measured.area == pytest.approx((400, 400, 400), rel=0.03)
    assert measured.elongation[1] == pytest.approx(1, abs=0.02)
    slender = measure_masks(masks(replace(PLAIN, elongation=2), 10))
    assert slender.area == pytest.approx((400, 400, 400), rel=0.04)
    assert slender.elongation[1] == pytest.approx(2, rel=0.06)


def test_size_spreads_are_those_of_the_root_of_the_area() -> None:
    spread = replace(PLAIN, area=900, density=10, size_below=0.2, size_above=0.1)
    low, middle, high = np.sqrt(measure_masks(masks(spread, 80)).area)
    # The quartiles of a normal law lie at 0.6745 deviations.
    assert middle == pytest.approx(30, rel=0.02)
    assert low == pytest.approx(30 * (1 - 0.2 * 0.6745), rel=0.04)
    assert high == pytest.approx(30 * (1 + 0.1 * 0.6745), rel=0.04)


def test_nuclei_touch_only_where_touching_asks_for_it() -> None:
    apart = [random_mask(replace(LIVELY, touching=0), 256, 256, seed=k) for k in range(20)]
    assert all(len(touching_nuclei(mask)) == 0 for mask in apart)
    shares = [
        measure_masks(masks(replace(LIVELY, touching=share), 15)).touching for share in (0.1, 0.3)
    ]
    assert 0.1 < shares[0] < shares[1]


@pytest.mark.parametrize(
    ("parameter", "low", "high", "measure"),
    [
        ("roughness", 0.0, 0.12, "roughness"),
        ("alignment", 0.0, 0.9, "alignment"),
        ("size_coherence", 0.0, 0.9, "size_coherence"),
        ("clumping", 0.0, 1.0, "clumping"),
        ("spacing", 0.0, 0.5, "neighbour_px"),
        ("density", 15, 30, "count"),
        ("area_drift", 0.0, 0.6, "area_drift"),
        ("density_drift", 0.0, 0.6, "count_spread"),
        ("area_elongation_correlation", -0.7, 0.7, "area_elongation_correlation"),
    ],
)
def test_a_parameter_moves_its_measure(
    parameter: str, low: float, high: float, measure: str
) -> None:
    less, more = (
        getattr(measure_masks(masks(replace(LIVELY, **{parameter: value}), 20)), measure)
        for value in (low, high)
    )
    assert more > less + 0.02


def test_neighbours_lie_in_one_direction_where_tissue_is_aligned() -> None:
    aligned = replace(LIVELY, alignment=1.0, elongation=2.5, roughness=0.0)
    assert measure_masks(masks(aligned, 15)).alignment > 0.6
    assert abs(measure_masks(masks(replace(aligned, alignment=0.0), 15)).alignment) < 0.2


def test_the_border_cuts_nuclei_and_does_not_repel_them() -> None:
    even = replace(LIVELY, clumping=0)
    covered = np.mean([mask > 0 for mask in masks(even, 250)], axis=0)
    frame = np.ones((256, 256), bool)
    frame[8:-8, 8:-8] = False
    assert covered[frame].mean() == pytest.approx(covered[~frame].mean(), rel=0.07)


def test_statistics_do_not_depend_on_the_size_of_the_mask() -> None:
    dense = replace(LIVELY, density=60, area=200, clumping=0.2)
    windows = [
        large[top : top + 256, left : left + 256]
        for large in masks(dense, 2, side=1024)
        for top in range(0, 1024, 256)
        for left in range(0, 1024, 256)
    ]
    tiles, small = masks(dense, 32), masks(dense, 300, side=64)
    covered = [np.mean([mask > 0 for mask in group]) for group in (windows, tiles, small)]
    assert covered[1:] == pytest.approx([covered[0]] * 2, rel=0.06)
    cut, whole = measure_masks(windows), measure_masks(tiles)
    assert cut.nuclei == pytest.approx(whole.nuclei, rel=0.06)
    assert cut.area == pytest.approx(whole.area, rel=0.08)
    assert cut.neighbour_px == pytest.approx(whole.neighbour_px, rel=0.05)
    assert cut.touching == pytest.approx(whole.touching, rel=0.12)


@pytest.mark.parametrize(
    ("height", "width", "seed", "word"),
    [(63, 256, 0, "small"), (256, 0, 0, "small"), (256, 256, -1, "seed")],
)
def test_what_cannot_be_drawn_is_refused(height: int, width: int, seed: int, word: str) -> None:
    with pytest.raises(ParameterInvalid, match=word):
        random_mask(PLAIN, height, width, seed=seed)


def test_statistics_survive_json_form() -> None:
    statistics = organ_statistics("kidney")
    assert NucleiStatistics.from_dict(statistics.to_dict()) == statistics


def test_every_fitted_organ_is_there_and_another_is_refused_by_name() -> None:
    training = {"bladder", "breast", "colon", "kidney", "liver", "prostate", "stomach"}
    assert set(organs_with_statistics()) == training | {POOLED}
    with pytest.raises(ParameterInvalid, match=r"'spleen'.*bladder.*pooled"):
        organ_statistics("spleen")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, "25", None, True, 1e9])
def test_a_value_out_of_range_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(ParameterInvalid, match=r"density is .* from 0.5 to 400"):
        NucleiStatistics.from_dict(PLAIN.to_dict() | {"density": wrong})


def test_unknown_and_missing_names_are_refused() -> None:
    values = PLAIN.to_dict()
    del values["area"]
    with pytest.raises(ParameterInvalid, match="no area, the unknown colour"):
        NucleiStatistics.from_dict(values | {"colour": 1.0})
