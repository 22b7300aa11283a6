"""Masks larger than one pass: windows that leave no trace."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.config import PRESETS
from model.errors import MaskTooLarge, MaskTooSmall
from model.nuclei import random_mask
from model.nuclei_statistics import organ_statistics
from model.synthesizer import Synthesizer
from model.tile import margin_px, padded_layout, padded_shape
from model.tiling import TiledLayout, core, windows

RELEASE = PRESETS["release"]
HALO = 6 * RELEASE.stride
ONE_PASS_PX = 224
"""Small windows, so that a small mask has many."""


def nuclei(height: int, width: int) -> NDArray[np.int32]:
    return random_mask(organ_statistics("stomach"), height, width, seed=4)


@pytest.fixture(scope="module")
def release() -> Synthesizer:
    return Synthesizer.load(Path(__file__).parents[2] / "checkpoints" / "sian-release.safetensors")


@given(st.integers(16, 3000), st.integers(16, 3000))
def test_every_pixel_is_kept_once_and_lies_deep_in_its_window(height: int, width: int) -> None:
    margin, places = margin_px(RELEASE), windows((height, width), RELEASE)
    tall, wide = padded_shape((height, width), RELEASE)
    kept = np.zeros((height, width), np.int8)
    for place in places:
        kept[place.rows, place.cols] += 1
        assert place.top % RELEASE.stride == place.left % RELEASE.stride == 0
        for part, start, length, whole in (
            (place.rows, place.top, place.height, tall),
            (place.cols, place.left, place.width, wide),
        ):
            assert 0 <= start <= start + length <= whole
            assert start == 0 or part.start + margin - start >= HALO
            assert start + length == whole or start + length - part.stop - margin >= HALO
    assert (kept == 1).all()
    assert len({(place.height, place.width) for place in places}) == 1


@pytest.mark.parametrize(("side", "count"), [(16, 1), (1024, 1), (1025, 4), (8192, 81)])
def test_how_many_windows(side: int, count: int) -> None:
    assert len(windows((side, side), RELEASE)) == count


def test_windows_read_the_layout_of_the_whole() -> None:
    """With nuclei that windows cut, one longer than a window among them."""
    mask = nuclei(500, 400)
    mask[100:140, 10:390] = 9999
    whole, tiled = padded_layout(mask, RELEASE), TiledLayout(mask, RELEASE)
    places = windows((500, 400), RELEASE, largest_px=ONE_PASS_PX)
    assert len(places) > 9
    for place in places:
        expected = whole.maps[
            :, place.top : place.top + place.height, place.left : place.left + place.width
        ]
        maps = tiled.window(place).maps
        np.testing.assert_array_equal(maps[:-1], expected[:-1])
        # Of two edges that are equally near to a pixel, which counts depends on the window.
        assert (maps[-1] != expected[-1]).mean() < 1e-4
        np.testing.assert_allclose(maps[-1], expected[-1], atol=0.1)


def test_windows_have_the_nuclei_of_the_whole() -> None:
    config = replace(RELEASE, nucleus_noise=True)
    mask = nuclei(500, 400) * 5
    whole, tiled = padded_layout(mask, config).nuclei, TiledLayout(mask, config)
    assert whole is not None
    for place in windows((500, 400), config, largest_px=ONE_PASS_PX):
        here = (slice(place.top, place.top + place.height),
                slice(place.left, place.left + place.width))  # fmt: skip
        found = tiled.window(place).nuclei
        assert found is not None
        np.testing.assert_array_equal(found.ids[found.ranks], whole.ids[whole.ranks[here]])


def test_a_mask_without_nuclei() -> None:
    mask = np.zeros((300, 300), np.int32)
    (place, *_) = windows((300, 300), RELEASE, largest_px=ONE_PASS_PX)
    maps = TiledLayout(mask, RELEASE).window(place).maps
    assert (maps[1] == 1).all()
    assert not maps[[0, 2, 3, 4]].any()


def test_one_window_gives_the_bytes_of_one_pass(release: Synthesizer) -> None:
    mask, style = nuclei(100, 90), release.styles.pick("colon", 0)
    ((place, image),) = release.synthesize_large(mask, style, seed=3)
    assert (place.rows, place.cols) == (slice(0, 100), slice(0, 90))
    np.testing.assert_array_equal(image, release.synthesize(mask, style, seed=3))


def test_windows_join_without_a_seam(release: Synthesizer) -> None:
    """Against one great pass; and across their borders colours change as they do elsewhere."""
    size = 440, 320
    mask, style = nuclei(*size), release.styles.pick("colon", 0)
    tiled, joined = release.tiled_layout(mask), np.zeros((*size, 3), np.uint8)
    places = windows(size, RELEASE, largest_px=ONE_PASS_PX)
    for place in places:
        (image,) = release.paint([release.window(tiled, place, style, seed=3)])
        joined[place.rows, place.cols] = core(place, image, RELEASE)
    whole = release.synthesize(mask, style, seed=3)
    apart = np.abs(joined.astype(int) - whole)
    assert apart.max() <= 4
    assert apart.mean() < 0.1
    steps = np.abs(np.diff(joined.astype(int), axis=0)).mean((1, 2))
    borders = sorted({place.rows.stop for place in places} - {size[0]})
    assert len(borders) == 3
    assert all(after - before >= 16 for before, after in pairwise(borders))
    across = np.array(borders) - 1
    assert steps[across].mean() == pytest.approx(np.delete(steps, across).mean(), rel=0.1)


def test_a_network_that_starts_from_the_style_paints_in_one_pass_only() -> None:
    with pytest.raises(MaskTooLarge, match="largest tile is 1024 px"):
        TiledLayout(np.zeros((1025, 64), np.int32), PRESETS["paper"])


@pytest.mark.parametrize(
    ("shape", "error"), [((8193, 64), MaskTooLarge), ((15, 2000), MaskTooSmall)]
)
def test_sizes_that_are_refused(shape: tuple[int, int], error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{shape[1]} x {shape[0]} px"):
        TiledLayout(np.zeros(shape, np.int32), RELEASE)
