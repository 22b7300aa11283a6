"""Frames and combs: gradients that follow the tile's border or the network's pixel grid.

Padding leaks the position into a generator, which then draws a frame around every tile;
upsampling leaves steps every 2, 4, 8 or 16 pixels. Neither shows in a Frechet distance, both
show once steps between neighbouring pixels are averaged by position over many tiles: tissue
does not know where the tile was cut, so its average is flat.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BORDER_PX = 8
PERIODS_PX = (2, 4, 8, 16)
_MIN_SIDE_PX = 2 * BORDER_PX + 2 * max(PERIODS_PX)
_TINY = 1e-12


@dataclass(frozen=True)
class Step:
    """The step between neighbouring pixels at one position, averaged over R, G, B, along the
    line and over tiles, in units of the mean size of a step in the interior.

    Two averages, because each is blind where the other sees: the size shows added or missing
    texture whatever its sign; the signed mean shows faint lines that texture would drown, and
    stripes 1 px wide, where every step has the same size.
    """

    size: float
    """Mean absolute step; 1 = as in the interior."""
    signed: float
    """Mean signed step; 0 = no line. Rightwards, downwards, and on the border inwards."""


@dataclass(frozen=True)
class Frames:
    """Steps by position."""

    border: dict[str, Step]
    """ "<side> <k>": from pixel k of that side, counted inwards from 0, to pixel k + 1."""
    grid: dict[str, Step]
    """ "<axis> <i> of <p>": from pixels at positions congruent to i modulo p to the next;
    i = p - 1 enters a cell of the network's grid."""

    @property
    def band(self) -> float:
        """Mean size of the steps in the outermost 8 px."""
        return float(np.mean([step.size for step in self.border.values()]))

    def over(self, reference: "Frames") -> "Frames":
        """Sizes over those of real tiles, whose own are not all 1: slides that were JPEG once
        keep its 8 px grid. Signed steps stay as they are."""
        return Frames(
            {place: _over(step, reference.border[place]) for place, step in self.border.items()},
            {place: _over(step, reference.grid[place]) for place, step in self.grid.items()},
        )


def worst_size(steps: dict[str, Step]) -> tuple[float, str]:
    """The size furthest from 1, as a factor, and its place."""
    place = max(steps, key=lambda name: abs(np.log(max(steps[name].size, _TINY))))
    return steps[place].size, place


def worst_signed(steps: dict[str, Step]) -> tuple[float, str]:
    """The signed step furthest from 0 and its place."""
    place = max(steps, key=lambda name: abs(steps[name].signed))
    return steps[place].signed, place


def measure_frames(images_u8: Iterable[NDArray[np.uint8]]) -> Frames:
    """Steps by position of RGB tiles (H, W, 3) of one size, at least 48 px a side, whose top
    left pixel is the origin of the network's grid.

    The interior leaves out the outermost 8 px. The grid is read there only, so that a frame
    does not pass for a comb. Tiles are summed before dividing, so flat ones weigh little.
    Raises ValueError without tiles and for smaller ones.
    """
    total: list[NDArray[np.float64]] = []
    for image_u8 in images_u8:
        if min(image_u8.shape[:2]) < _MIN_SIDE_PX:
            raise ValueError(f"tiles of at least {_MIN_SIDE_PX} px needed, not {image_u8.shape}")
        profiles = [_profile(image_u8), _profile(image_u8.transpose(1, 0, 2))]
        total = [a + b for a, b in zip(total, profiles, strict=True)] if total else profiles
    if not total:
        raise ValueError("frames need at least one tile")
    border: dict[str, Step] = {}
    grid: dict[str, Step] = {}
    for axis, near, far, profile in zip(
        ("down", "across"), ("top", "left"), ("bottom", "right"), total, strict=True
    ):
        steps = profile / max(profile[0, BORDER_PX:-BORDER_PX].mean(), _TINY)
        for depth in range(BORDER_PX):
            border[f"{near} {depth}"] = Step(*steps[:, depth].tolist())
            size, outwards = steps[:, -1 - depth].tolist()
            border[f"{far} {depth}"] = Step(size, -outwards)
        grid.update(_phases(steps, axis))
    return Frames(border, grid)


def _profile(image_u8: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean absolute and mean signed step from each row to the next, (2, H - 1)."""
    steps = np.diff(image_u8.astype(np.int16), axis=0)
    return np.stack([np.abs(steps).mean(axis=(1, 2)), steps.mean(axis=(1, 2))])


def _phases(steps: NDArray[np.float64], axis: str) -> dict[str, Step]:
    inside = slice(BORDER_PX, -BORDER_PX)
    positions = np.arange(steps.shape[1])[inside]
    return {
        f"{axis} {phase} of {period}": Step(
            *steps[:, inside][:, positions % period == phase].mean(axis=1).tolist()
        )
        for period in PERIODS_PX
        for phase in range(period)
    }


def _over(step: Step, reference: Step) -> Step:
    return Step(step.size / max(reference.size, _TINY), step.signed)
