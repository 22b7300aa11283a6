"""Which tiles are judged, and which tile lends each its style."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import DataInvalid
from training.data.monuseg import Slide

TILE_PX = 256
"""Side of a tile where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A square of a slide: image (S, S, 3) uint8 and its instance mask (S, S)."""

    slide_id: str
    organ: str
    top: int
    left: int
    image_u8: NDArray[np.uint8]
    mask_labels: NDArray[np.int32]


@dataclass(frozen=True)
class Plan:
    """Per judged tile, indices into the list of all tiles."""

    tiles: list[int]
    styles: list[int]
    """Another tile of the same slide."""
    foreign_styles: list[int]
    """A tile of another slide: the style tile of some tile there."""


def stride_of(side_px: int) -> int:
    """From one tile to the next: 31/32 of their side. MoNuSeg's 1000 px are covered by 4 tiles of
    256 px, and all but 4 px of them by 8 of 128 px."""
    return side_px - side_px // 32


def cut_tiles(
    slides: Sequence[Slide], side_px: int = TILE_PX, *, offset: tuple[int, int] = (0, 0)
) -> list[Tile]:
    """Square tiles at ``stride_of`` their side, row by row, slide after slide.

    offset: (top, left) of the first tile of a slide.
    Raises DataInvalid for a slide smaller than one tile.
    """
    tiles, stride = [], stride_of(side_px)
    for slide in slides:
        image, labels = slide.image(), slide.labels()
        height, width = labels.shape
        if min(height, width) < side_px:
            raise DataInvalid(
                f"Slide {slide.id} is {width} x {height} px, smaller than a tile of {side_px} px. "
                "Leave it out of the data folder."
            )
        for top in range(offset[0], height - side_px + 1, stride):
            for left in range(offset[1], width - side_px + 1, stride):
                window = np.s_[top : top + side_px, left : left + side_px]
                tiles.append(Tile(slide.id, slide.organ, top, left, image[window], labels[window]))
    return tiles


def cut_between(slides: Sequence[Slide], side_px: int = TILE_PX) -> list[Tile]:
    """Tiles half a stride beside those of ``cut_tiles``, in rows or in columns. None of a slide
    that has one tile."""
    half = stride_of(side_px) // 2
    return [
        tile
        for slide in slides
        for offset in ((0, half), (half, 0))
        for tile in cut_tiles([slide], side_px, offset=offset)
    ]


def make_plan(tiles: Sequence[Tile], seed: int, limit: int | None = None) -> Plan:
    """Draws styles for all tiles, then keeps ``limit`` tiles spread evenly over the slides.

    A tile's style is drawn from the tiles of its slide that do not overlap it, or, on a slide
    too small for that, from the other ones. A tile depends on the seed, its slide and its
    place only, so a limited plan is part of the whole one. A foreign style is the style tile
    of a tile of another slide, slide and tile drawn likewise.
    Raises DataInvalid when a slide has one tile, or there is one slide.
    """
    by_slide: dict[str, list[int]] = {}
    for index, tile in enumerate(tiles):
        by_slide.setdefault(tile.slide_id, []).append(index)
    if len(by_slide) < 2:
        raise DataInvalid(
            f"The evaluation needs at least two test slides to shuffle styles, and the data "
            f"folder has {len(by_slide)}. Add test slides."
        )
    draws = [_generator(tile, seed) for tile in tiles]
    styles = [
        int(draw.choice(_style_candidates(tiles, index, by_slide[tiles[index].slide_id])))
        for index, draw in enumerate(draws)
    ]
    foreign = []
    for tile, draw in zip(tiles, draws, strict=True):
        others = sorted(by_slide.keys() - {tile.slide_id})
        foreign.append(styles[int(draw.choice(by_slide[others[draw.integers(len(others))]]))])
    kept = range(len(tiles)) if limit is None else _spread(list(by_slide.values()), limit)
    return Plan(list(kept), [styles[k] for k in kept], [foreign[k] for k in kept])


def _generator(tile: Tile, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(tile.slide_id.encode()), tile.top, tile.left])


def _style_candidates(tiles: Sequence[Tile], index: int, siblings: list[int]) -> list[int]:
    here = tiles[index]
    side_px = len(here.mask_labels)
    others = [k for k in siblings if k != index]
    if not others:
        raise DataInvalid(
            f"Slide {here.slide_id} gives a single tile, so it has no other tile to take the "
            f"style from. Use slides of at least {side_px + stride_of(side_px)} px on one side."
        )
    apart = [
        k
        for k in others
        if max(abs(tiles[k].top - here.top), abs(tiles[k].left - here.left)) >= side_px
    ]
    return apart or others


def _spread(groups: list[list[int]], limit: int) -> list[int]:
    """Up to ``limit`` indices, taking one of each group in turn, evenly spaced within a group."""
    count = -(-limit // len(groups))
    picked = [
        [group[int(k)] for k in np.linspace(0, len(group) - 1, min(count, len(group))).round()]
        for group in groups
    ]
    turns = [group[turn] for turn in range(count) for group in picked if turn < len(group)]
    return sorted(turns[:limit])
