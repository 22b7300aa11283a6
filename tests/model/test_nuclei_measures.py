"""Measures of masks against masks whose measures are known."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.draw import disk, ellipse

from model.errors import MaskFloat
from model.nuclei_measures import measure_masks, touching_nuclei

Mask = NDArray[np.int32]


def discs(
    side: int, places: Sequence[tuple[float, float]], radius: float, mask: Mask | None = None
) -> Mask:
    mask = np.zeros((side, side), np.int32) if mask is None else mask
    for place in places:
        mask[disk(place, radius, shape=mask.shape)] = mask.max() + 1
    return mask


def lattice(side: int, step: int) -> list[tuple[float, float]]:
    at = range(step // 2, side, step)
    return [(row, col) for row in at for col in at]


def test_a_lattice_of_discs() -> None:
    measured = measure_masks([discs(256, lattice(256, 32), 8)] * 2)
    area = int(np.count_nonzero(discs(256, [(16, 16)], 8)))
    assert (measured.masks, measured.nuclei) == (2, 128)
    assert measured.count == 64
    assert measured.foreground == pytest.approx(64 * area / 65536)
    assert measured.area == (area, area, area)
    assert measured.elongation == pytest.approx((1, 1, 1), abs=1e-6)
    assert measured.neighbour_px == 32
    assert measured.poisson_ratio == pytest.approx(2)  # a square lattice
    assert measured.clumping == 0  # four in every quadrat
    assert measured.touching == 0
    assert (measured.count_spread, measured.area_drift) == (0, 0)
    assert 0 < measured.roughness < 0.06  # the steps of the pixels


def test_count_and_neighbours_do_not_depend_on_the_size_of_the_mask() -> None:
    small, large = (measure_masks([discs(side, lattice(side, 32), 8)]) for side in (128, 512))
    assert small.count == large.count == 64
    assert small.foreground == large.foreground
    assert small.neighbour_px == large.neighbour_px


def test_nuclei_that_the_border_cuts_have_no_say_in_area() -> None:
    mask = discs(128, [(0, 64), (64, 127), (127, 20)], 20)
    mask = discs(128, [(40, 40), (90, 60)], 6, mask)
    measured = measure_masks([mask])
    assert measured.nuclei == 5
    assert measured.area[2] == np.count_nonzero(discs(128, [(40, 40)], 6))


def test_axes_and_direction_of_ellipses() -> None:
    mask = np.zeros((128, 128), np.int32)
    for label, (row, turn) in enumerate(((40, 0.3), (85, 0.3 + np.pi / 3)), start=1):
        mask[ellipse(row, 64, 8, 16, rotation=turn)] = label
    measured = measure_masks([mask])
    assert measured.elongation[1] == pytest.approx(2, rel=0.02)
    assert measured.alignment == pytest.approx(np.cos(2 * np.pi / 3), abs=0.06)


def test_dents_make_roughness() -> None:
    whole = discs(128, [(32, 64), (96, 64)], 20)
    dented = whole.copy()
    dented[30:34, 64:] = dented[94:98, 64:] = 0
    assert measure_masks([dented]).roughness > measure_masks([whole]).roughness + 0.04


def test_clumps_of_nuclei_raise_the_variance_of_quadrats() -> None:
    spots = [(8 + 12 * row, 8 + 12 * col) for row in range(4) for col in range(4)]
    measured = measure_masks([discs(128, spots, 4)])
    # 16, 0, 0, 0 in the quadrats: mean 4, variance 64.
    assert measured.clumping == pytest.approx(16)


def test_neighbours_alike_in_size_are_coherent() -> None:
    alike, mixed = (np.zeros((256, 256), np.int32) for _ in range(2))
    for row, col in lattice(256, 64):
        large = row < 128
        for offset, sign in ((-10, 1), (10, -1)):
            place = (row, col + offset)
            alike = discs(256, [place], 9 if large else 5, alike)
            mixed = discs(256, [place], 7 + 2 * sign, mixed)
    assert measure_masks([alike]).size_coherence > 0.99
    assert measure_masks([mixed]).size_coherence < -0.99


def test_spreads_and_correlation_over_masks() -> None:
    few = discs(128, [(32, 32), (96, 96)], 12)
    many = discs(128, lattice(128, 32), 6)
    measured = measure_masks([few, many])
    counts = np.log([2 * 4, 16 * 4])
    areas = np.log([np.count_nonzero(few == 1), np.count_nonzero(many == 1)])
    assert measured.count_spread == pytest.approx(counts.std())
    assert measured.area_drift == pytest.approx(areas.std())
    assert measured.density_area_correlation == pytest.approx(-1)


def test_masks_without_nuclei_count_as_empty_tissue() -> None:
    empty = np.zeros((256, 256), np.int32)
    full = discs(256, lattice(256, 32), 8)
    measured = measure_masks([empty, empty, full])
    assert measured.count == 0
    assert measured.foreground == 0
    assert measured.poisson_ratio == pytest.approx(2)


def test_too_little_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="0 masks with 0 whole nuclei"):
        measure_masks([])
    with pytest.raises(ValueError, match="1 masks with 1 whole nuclei"):
        measure_masks([discs(64, [(32, 32)], 5)])
    with pytest.raises(MaskFloat):
        measure_masks([np.zeros((64, 64))])  # type: ignore[list-item]


def test_json_form_has_every_measure() -> None:
    measured = measure_masks([discs(128, lattice(128, 32), 8)])
    form = measured.to_dict()
    assert form["area"] == list(measured.area)
    assert form["touching"] == measured.touching


@given(hnp.arrays(np.int32, (7, 9), elements=st.integers(0, 4)))
def test_touching_nuclei_are_those_that_brute_force_finds(mask: Mask) -> None:
    found = set()
    for row, col in np.argwhere(mask > 0):
        for other_row, other_col in (
            (row + 1, col),
            (row, col + 1),
            (row - 1, col),
            (row, col - 1),
        ):
            if 0 <= other_row < 7 and 0 <= other_col < 9:
                other = mask[other_row, other_col]
                if other > 0 and other != mask[row, col]:
                    found.add(int(mask[row, col]))
    assert set(touching_nuclei(mask).tolist()) == found
