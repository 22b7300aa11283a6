"""Shapes of the tools against their definition."""

import numpy as np
import pytest

from tests.browser.editor import shapes

_SHAPE = (40, 48)

_FILLED = """(calls) => calls.map(([name, ...shape]) => {
    const image = new LabelImage(new Int32Array(40 * 48), 48, 40);
    image.edit(1, 0).fill(raster[name](...shape));
    return image.labels.join("");
})"""


def _filled(modules, *calls) -> list[np.ndarray]:
    """What each call of a function of raster.js, a name and its arguments, covers."""
    rows = modules.evaluate(_FILLED, [list(call) for call in calls])
    return [np.frombuffer(row.encode(), np.uint8).reshape(_SHAPE) == ord("1") for row in rows]


def _point(place):
    return {"x": int(place[0]), "y": int(place[1])}


def test_a_disc_has_the_pixels_within_its_radius(modules):
    for radius, pixels in {0: 1, 1: 9, 2: 21, 3: 37, 6: 137}.items():
        centre = _point((24, 20))
        (found,) = _filled(modules, ("stroke", centre, centre, radius))
        assert found.sum() == pixels
        np.testing.assert_array_equal(found, shapes.disc(_SHAPE, (24, 20), radius))


def test_strokes_cover_what_lies_within_the_radius_of_their_way(modules):
    draw = np.random.default_rng(1)
    # Also beyond the image, where they are cut off.
    ways = [[tuple(place) for place in draw.integers(-10, 58, (2, 2)).tolist()] for _ in range(300)]
    radii = draw.integers(0, 9, len(ways)).tolist()
    calls = [("stroke", *map(_point, way), radius) for way, radius in zip(ways, radii, strict=True)]
    for found, way, radius in zip(_filled(modules, *calls), ways, radii, strict=True):
        expected = shapes.stroke(_SHAPE, way, radius)
        np.testing.assert_array_equal(found, expected, err_msg=f"{way}, {radius}")


def test_a_line_of_one_pixel_has_no_gap(modules):
    (found,) = _filled(modules, ("stroke", _point((2, 3)), _point((45, 17)), 0))
    assert found[:, 2:46].any(axis=0).all()
    assert found.sum() < 2 * 44


@pytest.mark.parametrize(
    ("corners", "pixels"),
    [
        ([(2, 3), (10, 3), (10, 9), (2, 9)], 9 * 7),
        # Pick: area 32 plus half of the 24 pixels of the outline plus 1.
        ([(4, 4), (12, 4), (4, 12)], 45),
        ([(5, 5), (9, 5)], 5),
        ([(7, 7)], 1),
    ],
)
def test_a_polygon_holds_its_outline(modules, corners, pixels):
    (found,) = _filled(modules, ("polygon", [_point(corner) for corner in corners]))
    assert found.sum() == pixels
    np.testing.assert_array_equal(found, shapes.polygon(_SHAPE, corners))


def test_polygons_of_any_form_and_turn_match_their_winding_numbers(modules):
    draw = np.random.default_rng(2)
    outlines = [
        [tuple(place) for place in draw.integers(-6, 54, (draw.integers(3, 9), 2)).tolist()]
        for _ in range(300)
    ]
    calls = [("polygon", [_point(corner) for corner in corners]) for corners in outlines]
    for found, corners in zip(_filled(modules, *calls), outlines, strict=True):
        expected = shapes.polygon(_SHAPE, corners)
        np.testing.assert_array_equal(found, expected, err_msg=str(corners))
