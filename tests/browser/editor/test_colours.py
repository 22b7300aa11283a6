"""Colours of ids: stable, different, and seen on light and on dark."""

import numpy as np

_COLOURS = "(ids) => ids.map((id) => colours.colourOf(id))"


def _linear(colours: np.ndarray) -> np.ndarray:
    value = colours / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB bytes, as WCAG 2.2 defines it."""
    return _linear(colours) @ [0.2126, 0.7152, 0.0722]


def _oklab(colours: np.ndarray) -> np.ndarray:
    """From sRGB bytes; distances in it are those that are seen."""
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    axes = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(_linear(colours) @ np.transpose(cones)) @ np.transpose(axes)


def test_all_colours_are_seen_on_white_and_on_near_black(modules):
    luminance = _luminance(np.array(modules.evaluate(_COLOURS, list(range(1, 3001)))))
    near_black = _luminance(np.array([20, 23, 27]))
    assert (1.05 / (luminance + 0.05)).min() >= 3
    assert ((luminance + 0.05) / (near_black + 0.05)).min() >= 3


def test_ids_close_to_each_other_look_different(modules):
    colours = _oklab(np.array(modules.evaluate(_COLOURS, list(range(1, 1001)))))
    for apart in range(1, 35):
        distance = np.linalg.norm(colours[apart:] - colours[:-apart], axis=1)
        assert distance.min() > 0.02, apart  # what can just be told apart


def test_large_ids_have_colours_of_their_own(modules):
    ids = [65_536, 65_537, 2**31 - 2, 2**31 - 1]
    colours = modules.evaluate(_COLOURS, ids)
    assert len({tuple(colour) for colour in colours}) == len(ids)
    assert np.array(colours).min() >= 0
    assert np.array(colours).max() <= 255


def test_css_says_the_same(modules):
    css = modules.evaluate("colours.cssColour(70000, 0.5)")
    red, green, blue = modules.evaluate("colours.colourOf(70000)")
    assert css == f"rgb({red} {green} {blue} / 0.5)"
