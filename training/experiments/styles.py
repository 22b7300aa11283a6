"""Where the style of a synthetic tile comes from."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.nuclei import random_mask
from model.nuclei_statistics import organ_statistics
from training.evaluation.protocol import TileModel
from training.evaluation.tiles import TILE_PX, Tile
from training.experiments.laboratory import Draw, Laboratory
from training.methods import METHODS

StyleSource = Literal["same", "slide", "none"]
"""``same``: the real tile of the mask, as reconstruction is measured. ``slide``: another tile of
its slide. ``none``: the method has one appearance a mask."""


def sources_of(method: str) -> tuple[StyleSource, ...]:
    return ("same", "slide") if METHODS[method].styled else ("none",)


def draw_test_tile(laboratory: Laboratory, source: StyleSource) -> Draw:
    """Judged tile k from its own mask, in the style that ``source`` says."""
    styles = laboratory.plan.styles if source == "slide" else laboratory.plan.tiles

    def draw(model: TileModel, k: int) -> NDArray[np.uint8]:
        style = model.encode_style(laboratory.test_tiles[styles[k]].image_u8)
        return model.synthesize(laboratory.judged[k].mask_labels, style, seed=k)

    return draw


def organ_styles(laboratory: Laboratory) -> dict[str, NDArray[np.uint8]]:
    """One style image for each training organ: the middle tile of its first slide."""
    by_organ: dict[str, list[Tile]] = {}
    for tile in laboratory.training_tiles:
        same_slide = by_organ.setdefault(tile.organ, [])
        if not same_slide or same_slide[0].slide_id == tile.slide_id:
            same_slide.append(tile)
    return {organ: tiles[len(tiles) // 2].image_u8 for organ, tiles in sorted(by_organ.items())}


class RandomMasks:
    """Mask k: nuclei as those of an organ, the organs in turn; the same masks for every method."""

    def __init__(self, organs: Sequence[str]) -> None:
        self._organs = list(organs)

    def organ(self, k: int) -> str:
        return self._organs[k % len(self._organs)]

    def __getitem__(self, k: int) -> NDArray[np.int32]:
        return random_mask(organ_statistics(self.organ(k)), TILE_PX, TILE_PX, seed=k)


def draw_random_tile(masks: RandomMasks, styles: dict[str, NDArray[np.uint8]]) -> Draw:
    """Tile k for the random mask k, in the style of the mask's organ."""

    def draw(model: TileModel, k: int) -> NDArray[np.uint8]:
        style = model.encode_style(styles[masks.organ(k)])
        return model.synthesize(masks[k], style, seed=k)

    return draw
