"""The direction of edges, in closed form and on noise."""

import numpy as np
import pytest

from training.metrics.direction import edge_direction, preferred_direction


def stripes(angle_deg: float, side: int = 128) -> np.ndarray:
    """A wave whose gradient points at an angle, counted from +x towards +y."""
    rows, cols = np.indices((side, side))
    angle = np.radians(angle_deg)
    wave = np.sin(2 * np.pi * (cols * np.cos(angle) + rows * np.sin(angle)) / 16)
    return np.repeat((127 + 100 * wave).round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("angle_deg", [0, 30, 90, 135])
def test_stripes_have_the_direction_of_their_gradient(angle_deg):
    found = edge_direction(stripes(angle_deg))
    expected = np.exp(2j * np.radians(angle_deg))
    assert abs(found - expected) < 0.05


def test_the_opposite_gradient_is_the_same_edge():
    tile = stripes(20)
    assert edge_direction(255 - tile) == pytest.approx(edge_direction(tile), abs=1e-9)


def test_noise_and_nothing_have_none():
    draw = np.random.default_rng(1)
    assert abs(edge_direction(draw.integers(0, 256, (256, 256, 3), dtype=np.uint8))) < 0.03
    assert edge_direction(np.full((16, 16, 3), 9, np.uint8)) == 0


def test_stripes_at_right_angles_prefer_none_together():
    each = [edge_direction(stripes(angle)) for angle in (10, 100)]
    assert preferred_direction(each) < 0.05
    assert preferred_direction(each[:1]) > 0.95
