"""Shapes of the tools against their definition."""

import numpy as np
import pytest

from tests.browser.editor import shapes

_SHAPE = (40, 48)

_FILLED = """([name, ...shape]) => {
    const spans = raster[name](...shape);
    const image = new LabelImage(new Int32Array(40 * 48), 48, 40);
    image.edit(1, 0).fill(spans);
    return [...image.labels];
}"""


def _filled(page, name: str, *arguments) -> np.ndarray:
    return np.reshape(page.evaluate(_FILLED, [name, *arguments]), _SHAPE) == 1


def _point(place):
    return {"x": int(place[0]), "y": int(place[1])}


def test_a_disc_has_the_pixels_within_its_radius(page):
    for radius, pixels in {0: 1, 1: 9, 2: 21, 3: 37, 6: 137}.items():
        centre = _point((24, 20))
        found = _filled(page, "stroke", centre, centre, radius)
        assert found.sum() == pixels
        np.testing.assert_array_equal(found, shapes.disc(_SHAPE, (24, 20), radius))


def test_strokes_cover_what_lies_within_the_radius_of_their_way(page):
    draw = np.random.default_rng(1)
    for _ in range(150):
        # Also beyond the image, where they are cut off.
        places = [(int(x), int(y)) for x, y in draw.integers(-10, 58, (2, 2))]
        radius = int(draw.integers(0, 9))
        found = _filled(page, "stroke", *map(_point, places), radius)
        np.testing.assert_array_equal(
            found, shapes.stroke(_SHAPE, places, radius), err_msg=f"{places}, {radius}"
        )


def test_a_line_of_one_pixel_has_no_gap(page):
    found = _filled(page, "stroke", _point((2, 3)), _point((45, 17)), 0)
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
def test_a_polygon_holds_its_outline(page, corners, pixels):
    found = _filled(page, "polygon", [_point(corner) for corner in corners])
    assert found.sum() == pixels
    np.testing.assert_array_equal(found, shapes.polygon(_SHAPE, corners))


def test_polygons_of_any_form_and_turn_match_their_winding_numbers(page):
    draw = np.random.default_rng(2)
    for _ in range(150):
        count = int(draw.integers(3, 9))
        corners = [(int(x), int(y)) for x, y in draw.integers(-6, 54, (count, 2))]
        found = _filled(page, "polygon", [_point(corner) for corner in corners])
        np.testing.assert_array_equal(found, shapes.polygon(_SHAPE, corners), err_msg=str(corners))
