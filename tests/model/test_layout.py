"""Layout maps against closed forms, a brute-force reference and their symmetries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.draw import disk

from model.errors import MaskFloat, MaskNegative, MaskShape
from model.layout import consecutive_ids, layout_maps, original_ids

Mask = NDArray[np.int32]


def empty(height: int = 64, width: int = 64) -> Mask:
    return np.zeros((height, width), np.int32)


def with_disc(mask: Mask, centre: tuple[float, float], radius: float, label: int) -> Mask:
    rows, cols = disk(centre, radius, shape=mask.shape)
    mask[rows, cols] = label
    return mask


def radius_from(centre: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.float64]:
    rows, cols = np.indices(shape)
    return np.hypot(rows - centre[0], cols - centre[1])


# One pixel at radius R is 1 / R of Q; the axis of a digital disc is a few pixels, not a point.
@pytest.mark.parametrize("radius", [6.5, 8.5, 10.5, 12.5, 20.5, 30.5])
def test_distance_in_a_disc_falls_linearly_from_centre_to_edge(radius: float) -> None:
    mask = with_disc(empty(), (32, 32), radius, 7)
    rho = radius_from((32, 32), mask.shape)
    expected = 1 - rho / radius
    distance = layout_maps(mask).distance[0]
    error = np.abs(distance - expected)[mask > 0]
    assert error.mean() < 0.4 / radius
    assert error.max() < 1.5 / radius


def test_distance_in_a_rectangle_rises_to_its_middle_line() -> None:
    mask = empty(64, 96)
    mask[20:35, 10:86] = 3  # 15 rows: the axis is row 27
    columns = slice(30, 66)  # clear of the diagonal branches at the ends
    expected = [(0.5 + min(r - 20, 34 - r)) / 8 for r in range(20, 35)]
    # Up to the axis there are 7 steps: d_edge + d_axis is 7.5 px everywhere.
    expected = [value * 8 / 7.5 for value in expected]
    distance = layout_maps(mask).distance[0]
    for row, value in zip(range(20, 35), expected, strict=True):
        np.testing.assert_allclose(distance[row, columns], value, atol=1e-6)
    assert (distance[27, columns] == 1).all()


def test_distance_in_a_rectangle_has_branches_towards_its_corners() -> None:
    mask = empty()
    mask[10:51, 10:51] = 1  # a square: its medial axis is both diagonals
    distance = layout_maps(mask).distance[0]
    for step in range(17):  # up to three pixels from the corner
        for row, col in ((-step, -step), (-step, step), (step, -step), (step, step)):
            assert distance[30 + row, 30 + col] > 0.9
    assert distance[30, 14] < 0.6  # between two branches


def test_direction_is_the_sign_of_the_offset_from_the_centroid() -> None:
    mask = with_disc(empty(), (30, 20), 9.5, 4)
    direction = layout_maps(mask).direction
    rows, cols = np.indices(mask.shape)
    inside = mask > 0
    np.testing.assert_array_equal(direction[0][inside], np.sign(cols - 20)[inside])
    np.testing.assert_array_equal(direction[1][inside], np.sign(rows - 30)[inside])
    assert not direction[:, ~inside].any()


def test_direction_bins_are_one_hot_sectors_inside_and_outside_half_the_radius() -> None:
    mask = with_disc(empty(), (32, 32), 20.5, 1)
    direction = layout_maps(mask, "bins").direction
    np.testing.assert_array_equal(direction.sum(0), mask > 0)
    assert direction[0, 32, 37]  # near, +x
    assert direction[8, 32, 50]  # far, +x
    assert direction[8 + 2, 50, 32]  # far, +y
    assert direction[8 + 4, 32, 14]  # far, -x
    assert direction[3, 36, 28]  # near, -x +y


def test_semantic_is_one_hot() -> None:
    mask = with_disc(empty(), (10, 10), 5, 900)
    semantic = layout_maps(mask).semantic
    np.testing.assert_array_equal(semantic[0], mask > 0)
    np.testing.assert_array_equal(semantic.sum(0), 1)


@pytest.mark.parametrize("direction", ["sign", "bins"])
def test_a_touching_nucleus_changes_nothing(direction: str) -> None:
    """Two discs side by side, one large and one small: each has the maps it has alone, although
    the small one's medial axis is nearer to the large one's edge than its own."""
    large = with_disc(empty(), (32, 24), 15.5, 5)
    small = with_disc(empty(), (32, 44), 4.5, 2)
    both = np.where(large > 0, large, small)
    assert (both[32, 39], both[32, 40]) == (5, 2)
    together = layout_maps(both, direction).stacked()  # type: ignore[arg-type]
    for alone in (large, small):
        here = alone > 0
        expected = layout_maps(alone, direction).stacked()  # type: ignore[arg-type]
        np.testing.assert_array_equal(together[:, here], expected[:, here])


def test_one_pixel_nuclei_are_their_own_axis() -> None:
    mask = empty(16, 16)
    mask[3, 3], mask[3, 4], mask[9, 9] = 1, 2, 70_000
    layout = layout_maps(mask)
    np.testing.assert_array_equal(layout.distance[0], mask > 0)
    assert not layout.direction.any()


def test_a_nucleus_cut_by_the_border_goes_on_outside() -> None:
    whole = with_disc(empty(), (32, 32), 20.5, 1)
    cut = layout_maps(whole[:, 32:]).distance[0]  # the border runs through the centre
    full = layout_maps(whole).distance[0][:, 32:]
    assert np.abs(cut - full).max() < 0.1


def test_an_id_in_two_pieces_has_one_centroid_and_two_axes() -> None:
    mask = empty(32, 64)
    mask = with_disc(mask, (16, 12), 6.5, 9)
    mask = with_disc(mask, (16, 50), 6.5, 9)
    layout = layout_maps(mask)
    assert (layout.direction[0][mask > 0][:1] == -1).all()
    np.testing.assert_array_equal(layout.direction[0, 16, 6:19], -1)
    np.testing.assert_array_equal(layout.direction[0, 16, 44:57], 1)
    assert layout.distance[0, 16, 12] == layout.distance[0, 16, 50] == 1


def test_a_boolean_mask_is_one_nucleus() -> None:
    mask = np.zeros((20, 24), bool)
    mask[5:12, 3:20] = True
    ids = consecutive_ids(mask)
    assert np.array_equal(ids, mask.astype(np.int32))
    assert original_ids(mask, ids).tolist() == [0, 1]
    stacked = layout_maps(mask).stacked()
    assert np.array_equal(stacked, layout_maps(mask.astype(np.uint16)).stacked())


def test_no_nuclei_and_nothing_but_one_nucleus() -> None:
    nothing = layout_maps(empty(20, 30))
    assert not nothing.distance.any()
    assert not nothing.direction.any()
    assert (nothing.semantic[1] == 1).all()
    full = layout_maps(np.full((20, 30), 6))
    assert (full.distance == 1).all()
    assert (full.semantic[0] == 1).all()


MASKS = hnp.arrays(np.int32, (16, 18), elements=st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(1, 2**31 - 5))
def test_maps_depend_on_the_partition_and_not_on_the_ids(mask: Mask, base: int) -> None:
    renamed = np.where(mask > 0, base + np.int64(4) - mask, 0)
    np.testing.assert_array_equal(layout_maps(mask).stacked(), layout_maps(renamed).stacked())


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_maps_are_in_range_and_confined_to_the_nuclei(mask: Mask) -> None:
    layout = layout_maps(mask)
    inside = mask > 0
    assert np.isin(layout.direction, (-1, 0, 1)).all()
    assert (layout.distance[0][inside] > 0).all()
    assert (layout.distance <= 1).all()
    assert not layout.distance[0][~inside].any()
    assert not layout.direction[:, ~inside].any()
    for label in np.unique(mask[inside]):
        assert layout.distance[0][mask == label].max() == 1  # every nucleus has an axis


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_direction_turns_with_the_mask(mask: Mask) -> None:
    plain, flipped = layout_maps(mask).direction, layout_maps(mask[:, ::-1]).direction
    np.testing.assert_array_equal(flipped[0], -plain[0][:, ::-1])
    np.testing.assert_array_equal(flipped[1], plain[1][:, ::-1])
    turned = layout_maps(mask.T).direction
    np.testing.assert_array_equal(turned, plain[::-1].transpose(0, 2, 1))


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int32, (24, 24), elements=st.integers(0, 2)))
def test_distance_to_the_edge_is_that_of_brute_force(mask: Mask) -> None:
    """On the medial axis Q is 1; elsewhere Q = d / (d + a) with d and a found pixel by pixel."""
    distance = layout_maps(mask).distance[0]
    for label in np.unique(mask[mask > 0]):
        here = np.argwhere(mask == label)
        axis = here[distance[tuple(here.T)] == 1]
        contour = [p for p in here if _touches_another(mask, *p)] or None
        if contour is None:
            continue
        for row, col in here:
            d = 0.5 + np.hypot(*(np.array(contour) - (row, col)).T).min()
            a = np.hypot(*(axis - (row, col)).T).min()
            assert distance[row, col] == pytest.approx(d / (d + a), abs=1e-5)


def _touches_another(mask: Mask, row: int, col: int) -> bool:
    height, width = mask.shape
    steps = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return any(
        0 <= row + dr < height
        and 0 <= col + dc < width
        and mask[row + dr, col + dc] != mask[row, col]
        for dr, dc in steps
    )


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        (np.zeros((4, 4, 3), np.uint8), MaskShape),
        (np.zeros((0, 4), np.uint8), MaskShape),
        (np.zeros((4, 4), np.float32), MaskFloat),
        (np.full((4, 4), -1), MaskNegative),
    ],
)
def test_what_is_no_instance_mask_is_refused(mask: NDArray[np.generic], error: type) -> None:
    with pytest.raises(error):
        layout_maps(mask)  # type: ignore[arg-type]
