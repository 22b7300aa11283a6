"""Colours of ids: stable, different, and seen on light and on dark."""

import numpy as np

_COLOURS = "(ids) => ids.map((id) => colours.colourOf(id))"


def _luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB bytes, as WCAG 2.2 defines it."""
    value = colours / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_all_colours_are_seen_on_white_and_on_near_black(page):
    luminance = _luminance(np.array(page.evaluate(_COLOURS, list(range(1, 3001)))))
    near_black = _luminance(np.array([20, 23, 27]))
    assert (1.05 / (luminance + 0.05)).min() >= 3
    assert ((luminance + 0.05) / (near_black + 0.05)).min() >= 3


def test_ids_close_to_each_other_look_different(page):
    colours = np.array(page.evaluate(_COLOURS, list(range(1, 401))), float)
    for apart in range(1, 13):
        distance = np.linalg.norm(colours[apart:] - colours[:-apart], axis=1)
        assert distance.min() > 20


def test_large_ids_have_colours_of_their_own(page):
    ids = [65_536, 65_537, 2**31 - 2, 2**31 - 1]
    colours = page.evaluate(_COLOURS, ids)
    assert len({tuple(colour) for colour in colours}) == len(ids)
    assert np.array(colours).min() >= 0
    assert np.array(colours).max() <= 255


def test_css_says_the_same(page):
    css = page.evaluate("colours.cssColour(70000, 0.5)")
    red, green, blue = page.evaluate("colours.colourOf(70000)")
    assert css == f"rgb({red} {green} {blue} / 0.5)"
