"""Where the style of a synthetic tile comes from."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.nuclei import random_mask
from model.nuclei_statistics import (
    POOLED,
    NucleiStatistics,
    organ_statistics,
    organs_with_statistics,
)
from training.digest import digest
from training.evaluation.protocol import TileModel
from training.evaluation.tiles import Tile
from training.experiments.laboratory import Laboratory, TileSet
from training.experiments.pictures import Pictures
from training.methods import Method

StyleSource = Literal["same", "slide", "none"]
"""``same``: the real tile of the mask, as reconstruction is measured. ``slide``: another tile of
its slide. ``none``: the method has one appearance a mask."""


DRAWING = 1
"""Part of what tiles and random masks are known by: raise it when the code changes how a network
draws a tile, or how a random mask is drawn, so that those of before are not taken for new ones."""


def sources_of(method: Method) -> tuple[StyleSource, ...]:
    return ("same", "slide") if method.styled else ("none",)


def judged_set(laboratory: Laboratory, source: StyleSource) -> TileSet:
    """Every judged tile from its own mask, in the style that ``source`` says."""
    tiles, plan = laboratory.test_tiles, laboratory.plan
    places = plan.styles if source == "slide" else plan.tiles
    styles = [tiles[place].image_u8 for place in places]

    def draw(model: TileModel, k: int) -> NDArray[np.uint8]:
        style = model.encode_style(styles[k])
        return model.synthesize(laboratory.judged[k].mask_labels, style, seed=k)

    origins = [
        digest(DRAWING, tile.mask_labels, style, k)
        for k, (tile, style) in enumerate(zip(laboratory.judged, styles, strict=True))
    ]
    return TileSet(f"test-{source}", origins, draw)


def organ_styles(laboratory: Laboratory) -> dict[str, NDArray[np.uint8]]:
    """One style image for each training organ: the tile in the middle of its first slide."""
    by_organ: dict[str, list[Tile]] = {}
    for tile in laboratory.training_tiles:
        same_slide = by_organ.setdefault(tile.organ, [])
        if not same_slide or same_slide[0].slide_id == tile.slide_id:
            same_slide.append(tile)
    return {organ: tiles[middle_of(tiles)].image_u8 for organ, tiles in sorted(by_organ.items())}


def middle_of(tiles: Sequence[Tile]) -> int:
    """Which tile is nearest the middle of them all; the first of several that are as near."""
    middle_top = sum(tile.top for tile in tiles) / len(tiles)
    middle_left = sum(tile.left for tile in tiles) / len(tiles)
    away = [abs(tile.top - middle_top) + abs(tile.left - middle_left) for tile in tiles]
    return away.index(min(away))


class RandomMasks:
    """Mask k: nuclei as those of an organ, the organs in turn; the same masks for every method.

    Each is drawn once and kept in FOLDER/random-masks of the laboratory. Indexing raises
    RunUnfinished when the sitting is over and the mask is still to be drawn.
    """

    def __init__(self, laboratory: Laboratory, organs: Sequence[str]) -> None:
        self._organs, self._sitting = list(organs), laboratory.sitting
        self._side_px = laboratory.scale.tile_px
        statistics = {organ: asdict(_statistics_of(organ)) for organ in organs}
        count = laboratory.scale.synthetic
        origins = [
            digest(DRAWING, statistics[self.organ(k)], self._side_px, k) for k in range(count)
        ]
        self._kept = Pictures(laboratory.folder / "random-masks", origins)

    @property
    def origins(self) -> list[str]:
        return self._kept.origins

    def organ(self, k: int) -> str:
        return self._organs[k % len(self._organs)]

    def __getitem__(self, k: int) -> NDArray[np.int32]:
        if not self._kept.has(k):
            self._sitting.go_on("the random masks")
            side_px, statistics = self._side_px, _statistics_of(self.organ(k))
            drawn = random_mask(statistics, side_px, side_px, seed=k)
            self._kept.keep(k, drawn.astype(np.uint16))
        return self._kept.read(k).astype(np.int32)


def _statistics_of(organ: str) -> NucleiStatistics:
    """Those of all organs together, for one of somebody's own data that has none."""
    return organ_statistics(organ if organ in organs_with_statistics() else POOLED)


def random_set(masks: RandomMasks, styles: dict[str, NDArray[np.uint8]]) -> TileSet:
    """A tile for every random mask, in the style of the mask's organ."""
    vectors = _Vectors(styles)

    def draw(model: TileModel, k: int) -> NDArray[np.uint8]:
        return model.synthesize(masks[k], vectors.of(model, masks.organ(k)), seed=k)

    known = {organ: digest(style) for organ, style in styles.items()}
    origins = [digest(origin, known[masks.organ(k)]) for k, origin in enumerate(masks.origins)]
    return TileSet("random", origins, draw)


class _Vectors:
    """The style vectors of a few images, encoded once by a model that draws many tiles."""

    def __init__(self, styles: dict[str, NDArray[np.uint8]]) -> None:
        self._styles = styles
        self._model: TileModel | None = None
        self._known: dict[str, NDArray[np.float32]] = {}

    def of(self, model: TileModel, organ: str) -> NDArray[np.float32]:
        if model is not self._model:
            self._model, self._known = model, {}
        if organ not in self._known:
            self._known[organ] = model.encode_style(self._styles[organ])
        return self._known[organ]
