"""What the methods are shown of an instance mask."""

import numpy as np
import pytest

from model.layout import layout_maps
from training.conditions import CONDITION_CHANNELS, Condition, condition_maps, instance_edges

# Two nuclei that touch, 7 and 9, and one alone.
MASK = np.zeros((12, 16), np.int32)
MASK[2:7, 2:6] = 7
MASK[2:7, 6:11] = 9
MASK[9:12, 13:16] = 70_000


@pytest.mark.parametrize("condition", CONDITION_CHANNELS)
def test_maps_have_the_channels_that_are_announced(condition: Condition) -> None:
    maps = condition_maps(MASK, condition, "sign")
    assert maps.shape == (CONDITION_CHANNELS[condition], 12, 16)
    assert maps.dtype == np.float32


def test_the_layout_is_sians() -> None:
    assert np.array_equal(
        condition_maps(MASK, "layout", "bins"), layout_maps(MASK, "bins").stacked()
    )


def test_semantic_maps_do_not_tell_nuclei_apart() -> None:
    merged = np.where(MASK > 0, 1, 0)
    assert np.array_equal(
        condition_maps(MASK, "semantic", "sign"), condition_maps(merged, "semantic", "sign")
    )


def test_edges_are_where_a_neighbour_has_another_id() -> None:
    expected = np.zeros(MASK.shape)
    for row, col in np.ndindex(*MASK.shape):
        around = [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
        inside = [place for place in around if 0 <= place[0] < 12 and 0 <= place[1] < 16]
        expected[row, col] = any(MASK[place] != MASK[row, col] for place in inside)
    assert np.array_equal(instance_edges(MASK), expected)
    assert np.array_equal(condition_maps(MASK, "semantic_edges", "sign")[2], expected)


def test_distance_is_one_at_the_deepest_pixel_of_every_nucleus() -> None:
    (distance,) = condition_maps(MASK, "distance", "sign")
    assert all(distance[label == MASK].max() == 1 for label in (7, 9, 70_000))
    assert (distance[MASK == 0] == 0).all()
    # A row of 7: depths of .5, 1.5, 1.5, .5 in the middle, of 1.5 at most.
    assert distance[4, 2:6] == pytest.approx([1 / 3, 1, 1, 1 / 3])


def test_a_nucleus_that_fills_the_image_has_no_edge() -> None:
    assert (condition_maps(np.ones((8, 8), int), "distance", "sign") == 1).all()
    assert (condition_maps(np.zeros((8, 8), int), "distance", "sign") == 0).all()
