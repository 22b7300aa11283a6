"""The protocol: what is synthesized, and what it is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from model.errors import DataInvalid
from training.data.monuseg import Slide
from training.evaluation.cache import FeatureCache
from training.evaluation.rows import (
    Comparison,
    Row,
    frame_rows,
    frechet_rows,
    organ_rows,
    placement_rows,
    stain_rows,
    texture_rows,
)
from training.evaluation.statistics import tile_statistics
from training.evaluation.tiles import Plan, Tile, cut_tiles, make_plan
from training.metrics.painted import mean_colours, paint

Image = NDArray[np.uint8]


class TileModel(Protocol):
    """What is judged: ``Synthesizer``, or a baseline with the same two methods."""

    def encode_style(self, image_u8: Image) -> NDArray[np.float32]: ...

    def synthesize(
        self, mask_labels: NDArray[Any], style: NDArray[np.float32], *, seed: int
    ) -> Image: ...


@dataclass(frozen=True)
class Evaluation:
    """The rows, and the pictures they were computed from, in the order of ``plan.tiles``."""

    rows: list[Row]
    tiles: list[Tile]
    plan: Plan
    synthetic: list[Image]
    restyled: list[Image]


def evaluate_model(
    model: TileModel,
    slides: Sequence[Slide],
    *,
    features: FeatureCache | None = None,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge ``model`` on the test slides among ``slides``.

    Each test tile's mask is synthesized twice: in the style of another tile of its slide, and
    in a foreign style, one of another slide. Without ``features`` the Frechet rows are left
    out; the distance between real training and test tiles needs the training slides among
    ``slides``. ``limit`` judges fewer tiles. The same arguments give the same result.

    Raises:
        DataInvalid: no test slides, or too few to take styles from.
    """
    test = [slide for slide in slides if slide.split == "test"]
    if not test:
        raise DataInvalid("The data folder has no test slides (split test). Add them.")
    progress = progress or Progress(disable=True)
    tiles = cut_tiles(test)
    plan = make_plan(tiles, seed, limit)
    synthetic, restyled = _synthesize(model, tiles, plan, seed, progress)
    comparison = _compare(tiles, plan, synthetic, restyled, progress)
    real = [tiles[k].image_u8 for k in plan.tiles]
    rows = [*placement_rows(comparison), *stain_rows(comparison), *texture_rows(comparison)]
    rows += frame_rows(synthetic, real)
    if features is not None:
        sets = {"synthetic": synthetic, "real": real, "painted": _painted(tiles, plan)}
        train = cut_tiles([slide for slide in slides if slide.split == "train"])
        if len(train) >= len(real):
            drawn = np.random.default_rng(seed).choice(len(train), len(real), replace=False)
            sets["train"] = [train[k].image_u8 for k in sorted(drawn)]
        rows += frechet_rows(**_features(features, sets, progress))
    rows += organ_rows(comparison)
    return Evaluation(rows, tiles, plan, synthetic, restyled)


def _synthesize(
    model: TileModel, tiles: list[Tile], plan: Plan, seed: int, progress: Progress
) -> tuple[list[Image], list[Image]]:
    """Each judged mask in its own and in its foreign style. A tile's noise is the same in
    both, so that only the style differs."""
    bar = progress.add_task("synthesizing tiles", total=2 * len(plan.tiles))
    vectors: dict[int, NDArray[np.float32]] = {}

    def draw(style: int, mask_labels: NDArray[np.int32], tile_seed: int) -> Image:
        if style not in vectors:
            vectors[style] = model.encode_style(tiles[style].image_u8)
        image_u8 = model.synthesize(mask_labels, vectors[style], seed=tile_seed)
        progress.advance(bar)
        return image_u8

    synthetic, restyled = [], []
    for index, style, foreign in zip(plan.tiles, plan.styles, plan.foreign_styles, strict=True):
        mask_labels = tiles[index].mask_labels
        synthetic.append(draw(style, mask_labels, seed + index))
        restyled.append(draw(foreign, mask_labels, seed + index))
    return synthetic, restyled


def _compare(
    tiles: list[Tile],
    plan: Plan,
    synthetic: list[Image],
    restyled: list[Image],
    progress: Progress,
) -> Comparison:
    used = sorted({*plan.tiles, *plan.styles, *plan.foreign_styles})
    bar = progress.add_task(
        "measuring stain and texture", total=len(used) + len(synthetic) + len(restyled)
    )

    def advance() -> None:
        progress.advance(bar)

    reals = tile_statistics(
        [tiles[k].image_u8 for k in used], [tiles[k].mask_labels for k in used], advance
    )
    masks = [tiles[k].mask_labels for k in plan.tiles]
    place = {tile: position for position, tile in enumerate(used)}
    return Comparison(
        organs=[tiles[k].organ for k in plan.tiles],
        real=reals.take([place[k] for k in plan.tiles]),
        synthetic=tile_statistics(synthetic, masks, advance),
        restyled=tile_statistics(restyled, masks, advance),
        style=reals.take([place[k] for k in plan.styles]),
        foreign_style=reals.take([place[k] for k in plan.foreign_styles]),
    )


def _painted(tiles: list[Tile], plan: Plan) -> list[Image]:
    """The painted picture of each judged tile, in the colours of its style tile."""
    return [
        paint(
            tiles[index].mask_labels,
            *mean_colours(tiles[style].image_u8, tiles[style].mask_labels),
        )
        for index, style in zip(plan.tiles, plan.styles, strict=True)
    ]


def _features(
    cache: FeatureCache, sets: dict[str, list[Image]], progress: Progress
) -> dict[str, Any]:
    bar = progress.add_task("features", total=sum(map(len, sets.values())))

    def advance(images: int) -> None:
        progress.advance(bar, images)

    return {
        name: cache.features(images, keep=name != "synthetic", advance=advance)
        for name, images in sets.items()
    }
