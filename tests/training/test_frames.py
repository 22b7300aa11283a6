"""Planted frames and combs are found, and nothing is found where nothing was planted."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from training.metrics.frames import measure_frames, worst_signed, worst_size

Tile = NDArray[np.uint8]


def noise(count: int = 12, side: int = 128, sigma: float = 10) -> list[Tile]:
    rng = np.random.default_rng(0)
    return [
        rng.normal(128, sigma, (side, side, 3)).clip(0, 255).astype(np.uint8) for _ in range(count)
    ]


def changed(tiles: list[Tile], change: Callable[[NDArray[np.int16]], None]) -> list[Tile]:
    result = []
    for tile in tiles:
        pixels = tile.astype(np.int16)
        change(pixels)
        result.append(pixels.clip(0, 255).astype(np.uint8))
    return result


def darken_frame(pixels: NDArray[np.int16]) -> None:
    for edge in (pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]):
        edge -= 15


def comb(period: int) -> Callable[[NDArray[np.int16]], None]:
    def darken(pixels: NDArray[np.int16]) -> None:
        pixels[:, ::period] -= 15

    return darken


def test_white_noise_has_neither_frame_nor_comb() -> None:
    frames = measure_frames(noise())
    assert frames.band == pytest.approx(1, abs=0.02)
    for steps in (frames.border, frames.grid):
        assert worst_size(steps)[0] == pytest.approx(1, abs=0.05)
        assert worst_signed(steps)[0] == pytest.approx(0, abs=0.06)


def test_a_frame_of_one_pixel() -> None:
    frames = measure_frames(changed(noise(), darken_frame))
    size, place = worst_size(frames.border)
    assert size > 1.3
    assert place in {"top 0", "bottom 0", "left 0", "right 0"}
    assert {side for side, step in frames.border.items() if step.signed > 0.5} == {
        "top 0",
        "bottom 0",
        "left 0",
        "right 0",
    }
    assert worst_size(frames.grid)[0] == pytest.approx(1, abs=0.05)
    assert abs(worst_signed(frames.grid)[0]) < 0.06


def test_a_frame_too_faint_for_the_size_of_steps() -> None:
    def darken(pixels: NDArray[np.int16]) -> None:
        pixels[0] -= 4

    frames = measure_frames(changed(noise(), darken))
    assert frames.border["top 0"].size < 1.1
    signed, place = worst_signed(frames.border)
    assert place == "top 0"
    assert signed == pytest.approx(4 / 11.3, abs=0.06)  # 2 sigma / sqrt(pi) is the mean step


def test_a_border_without_texture() -> None:
    smooth = gaussian_filter(np.stack(noise()).astype(float), (0, 2, 2, 0)).astype(np.int16)
    blurred = []
    for tile, flat in zip(noise(), smooth, strict=True):
        framed = flat.astype(np.uint8)
        framed[8:-8, 8:-8] = tile[8:-8, 8:-8]
        blurred.append(framed)
    frames = measure_frames(blurred)
    assert frames.band < 0.4
    assert worst_size(frames.border)[0] < 0.3


@pytest.mark.parametrize("period", [4, 8, 16])
def test_a_comb(period: int) -> None:
    frames = measure_frames(changed(noise(), comb(period)))
    signed, place = worst_signed(frames.grid)
    # Phase p - 1 steps down into the dark column, phase 0 up out of it; a comb of 4 px is
    # one of 8 and of 16 px too.
    axis, phase = place.split()[:2]
    assert axis == "across"
    assert int(phase) % period in (0, period - 1)
    assert abs(signed) > 0.9
    assert frames.grid[f"across {period - 1} of {period}"].signed < -0.9
    assert frames.grid[f"across {period - 1} of {period}"].size > 1.2
    down = {place: step for place, step in frames.grid.items() if place.startswith("down")}
    assert abs(worst_signed(down)[0]) < 0.06


def test_stripes_of_one_pixel_show_in_signed_steps_only() -> None:
    frames = measure_frames(changed(noise(), comb(2)))
    assert worst_size(frames.grid)[0] == pytest.approx(1, abs=0.05)
    assert frames.grid["across 1 of 2"].signed < -0.7
    assert frames.grid["across 0 of 2"].signed > 0.7


def test_a_comb_that_real_tiles_have_too_is_no_fault() -> None:
    jpeg = measure_frames(changed(noise(), comb(8)))
    assert worst_size(jpeg.grid)[0] > 1.2
    assert worst_size(jpeg.over(jpeg).grid)[0] == 1
    assert worst_size(jpeg.over(jpeg).border)[0] == 1
    assert jpeg.over(jpeg).grid["across 7 of 8"].signed < -0.9


def test_flat_tiles_and_tiles_that_do_not_fit() -> None:
    flat = measure_frames([np.full((64, 64, 3), 50, np.uint8)])
    assert flat.band == 0
    with pytest.raises(ValueError, match="at least 48 px"):
        measure_frames(noise(1, side=47))
    with pytest.raises(ValueError, match="at least one tile"):
        measure_frames([])
