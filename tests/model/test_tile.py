"""What the network takes for a tile; how the parts fit is tested with the synthesizer."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from model.config import PRESETS
from model.layout import layout_maps
from model.noise import nucleus_noise
from model.tile import padded_layout, padded_shape, tile_input
from tests.fakes import label_mask
from tests.networks import TINY, TINY_BY_NUCLEUS


def test_the_margin_is_two_pixels_of_the_coarsest_scale() -> None:
    layout = padded_layout(label_mask(64), TINY)
    assert TINY.stride == 16
    assert (layout.margin, layout.size, layout.shape) == (32, (64, 64), (128, 128))
    np.testing.assert_array_equal(
        layout.maps[:, 32:96, 32:96], layout_maps(label_mask(64)).stacked()
    )


def test_the_maps_are_continued() -> None:
    maps = padded_layout(label_mask(64), TINY).maps
    np.testing.assert_array_equal(maps[:, :33], maps[:, 32:33].repeat(33, axis=1))
    np.testing.assert_array_equal(maps[:, :, 95:], maps[:, :, 95:96].repeat(33, axis=2))


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 100), (1024, 1023)])
def test_sides_are_what_the_generator_takes(size: tuple[int, int]) -> None:
    for side, padded in zip(size, padded_shape(size, TINY), strict=True):
        assert padded % TINY.stride == 0
        assert 0 <= padded - side - 64 < TINY.stride


def test_a_network_that_starts_from_the_style_has_no_margin() -> None:
    paper = PRESETS["paper"]
    assert padded_shape((256, 256), paper) == (256, 256)
    assert padded_shape((16, 300), paper) == (128, 320)
    assert padded_layout(label_mask(64), replace(TINY, start="style")).margin == 0


def test_noise_follows_the_seed() -> None:
    layout, style = padded_layout(label_mask(64), TINY), np.zeros(TINY.style_dim)
    shapes = [(1, 8, 8), (2, 16, 16)]
    first, same, other = (
        tile_input(layout, style, seed=seed, config=TINY, noise_shapes=shapes)  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    )
    assert [plane.shape for plane in first.noise] == shapes
    assert first.style.dtype == np.float32
    for plane, again, changed in zip(first.noise, same.noise, other.noise, strict=True):
        np.testing.assert_array_equal(plane, again)
        assert not np.array_equal(plane, changed)
    assert not np.array_equal(first.noise[1][0], first.noise[1][1])


def test_noise_per_nucleus_is_that_of_its_id_and_goes_on_in_the_margin() -> None:
    mask = label_mask(64) * 70_001
    layout, style = padded_layout(mask, TINY_BY_NUCLEUS), np.zeros(TINY.style_dim, np.float32)
    tile = tile_input(layout, style, seed=3, config=TINY_BY_NUCLEUS, noise_shapes=[(1, 8, 8)])
    assert [plane.shape for plane in tile.noise] == [(1, 8, 8), (1, 128, 128)]
    plane = tile.noise[1][0]
    expected = nucleus_noise(3, mask.ravel()).reshape(64, 64)
    np.testing.assert_array_equal(plane, np.pad(expected, 32, mode="edge"))
    assert len(np.unique(plane)) == len(np.unique(mask)) > 2


def test_needs_no_torch() -> None:
    code = "import model.tile, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
