"""Which tiles are judged, and which tile lends each its style."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import DataInvalid
from training.data.monuseg import Slide

TILE_PX = 256
STRIDE_PX = 248


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


def cut_tiles(slides: Sequence[Slide], *, offset: tuple[int, int] = (0, 0)) -> list[Tile]:
    """Tiles of 256 x 256 px at stride 248, row by row, slide after slide.

    MoNuSeg's 1000 x 1000 px give 4 x 4 a slide, which overlap by 8 px and cover all of it.
    offset: (top, left) of the first tile of a slide.
    Raises DataInvalid for a slide smaller than one tile.
    """
    tiles = []
    for slide in slides:
        image, labels = slide.image(), slide.labels()
        height, width = labels.shape
        if min(height, width) < TILE_PX:
            raise DataInvalid(
                f"Slide {slide.id} is {width} x {height} px, smaller than a tile of {TILE_PX} px. "
                "Leave it out of the data folder."
            )
        for top in range(offset[0], height - TILE_PX + 1, STRIDE_PX):
            for left in range(offset[1], width - TILE_PX + 1, STRIDE_PX):
                window = np.s_[top : top + TILE_PX, left : left + TILE_PX]
                tiles.append(Tile(slide.id, slide.organ, top, left, image[window], labels[window]))
    return tiles


def cut_between(slides: Sequence[Slide]) -> list[Tile]:
    """Tiles half a stride beside those of ``cut_tiles``, in rows or in columns: 24 a slide of
    MoNuSeg. None of a slide that has one tile."""
    half = STRIDE_PX // 2
    return [
        tile
        for slide in slides
        for offset in ((0, half), (half, 0))
        for tile in cut_tiles([slide], offset=offset)
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
    others = [k for k in siblings if k != index]
    if not others:
        raise DataInvalid(
            f"Slide {here.slide_id} gives a single tile, so it has no other tile to take the "
            f"style from. Use slides of at least {TILE_PX + STRIDE_PX} px on one side."
        )
    apart = [
        k
        for k in others
        if max(abs(tiles[k].top - here.top), abs(tiles[k].left - here.left)) >= TILE_PX
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
