"""The mirror of a seed: what the network sees, and where things are afterwards."""

import itertools
from collections import Counter

import numpy as np
import pytest

from model.layout import layout_maps
from model.mirror import PLAIN, mirror_of, mirrored, mirrored_maps
from model.synthesizer import Synthesizer
from tests.processes import RELEASE

MIRRORS = list(itertools.product([False, True], repeat=2))


def mask() -> np.ndarray:
    """Discs of several sizes, some of which touch or are cut by the border."""
    rows, cols = np.indices((96, 128))
    labels = np.zeros((96, 128), np.int32)
    draw = np.random.default_rng(3)
    for label in range(1, 25):
        row, col, radius = draw.uniform(0, 96), draw.uniform(0, 128), draw.uniform(3, 11)
        labels[(rows - row) ** 2 + 1.7 * (cols - col) ** 2 < radius**2] = label
    return labels


@pytest.mark.parametrize("direction", ["sign", "bins"])
@pytest.mark.parametrize("mirror", MIRRORS)
def test_the_maps_are_those_of_the_mask_in_the_mirror(mirror, direction):
    labels = mask()
    maps = layout_maps(labels, direction).stacked()
    found = mirrored_maps(maps, mirror, direction)
    expected = layout_maps(mirrored(labels, mirror, axes=(0, 1)), direction).stacked()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:2], expected[:2])
    # The pixel on a centroid has no direction of its own.
    assert np.mean((found[2:-1] != expected[2:-1]).any(axis=0)) < 0.002
    # Of edge pixels that are equally near, a distance map takes the first that it meets; so the
    # one of the mirrored mask is not quite the mirrored one.
    np.testing.assert_array_equal(found[-1], mirrored(maps[-1], mirror, axes=(0, 1)))
    assert np.abs(found[-1] - expected[-1]).mean() < 0.005


@pytest.mark.parametrize("direction", ["sign", "bins"])
def test_a_nucleus_to_the_right_is_then_to_the_left(direction):
    """A pixel right of the centroid and above it, in closed form."""
    labels = np.zeros((20, 20), np.int32)
    labels[5:14, 5:14] = 1  # its centroid is (9, 9)
    maps = layout_maps(labels, direction).stacked()
    seen = mirrored_maps(maps, (False, True), direction)
    if direction == "sign":
        assert list(seen[2:4, 7, 19 - 12]) == [-1, -1]
        assert list(mirrored_maps(maps, (True, False), direction)[2:4, 19 - 7, 12]) == [1, 1]
    else:
        sector = int(maps[2:18, 9, 12].argmax()) % 8
        assert sector == 0  # +x
        assert int(seen[2:18, 9, 19 - 12].argmax()) % 8 == 4  # -x


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_second_mirror_undoes_the_first(mirror):
    for direction in ("sign", "bins"):
        maps = layout_maps(mask(), direction).stacked()
        twice = mirrored_maps(mirrored_maps(maps, mirror, direction), mirror, direction)
        np.testing.assert_array_equal(twice, maps)


def test_nothing_is_copied_without_a_mirror():
    maps = layout_maps(mask()).stacked()
    assert mirrored_maps(maps, PLAIN, "sign") is maps


def test_all_four_are_equally_likely():
    counts = Counter(mirror_of(seed) for seed in range(800))
    assert set(counts) == set(MIRRORS)
    assert max(abs(count - 200) for count in counts.values()) < 50  # four deviations
    assert mirror_of(2**64 - 1) == mirror_of(2**64 - 1)


def test_the_nuclei_stay_where_the_mask_has_them():
    """One corner full of nuclei, in a mask whose margins are not the same on both sides."""
    synthesizer = Synthesizer.load(RELEASE)
    labels = np.zeros((72, 104), np.int32)
    for number, (row, col) in enumerate(itertools.product((4, 20), (4, 20, 36)), start=1):
        labels[row : row + 13, col : col + 13] = number
    seeds = {mirror_of(seed): seed for seed in range(40)}
    assert len(seeds) == 4
    for seed in seeds.values():
        style = synthesizer.styles.pick("kidney", seed)
        brightness = synthesizer.synthesize(labels, style, seed=seed).mean(axis=2)
        nuclei = brightness[labels > 0].mean()
        for elsewhere in (labels[::-1], labels[:, ::-1], labels[::-1, ::-1]):
            assert nuclei < brightness[elsewhere > 0].mean() - 20
