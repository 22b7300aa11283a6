"""Tables 1 and 2: every method's tiles of the test masks, against the real test tiles.

Table 1 covers all organs, table 2 takes the same tiles apart by organ.
"""

from collections.abc import Sequence

import numpy as np

from training.experiments.laboratory import ImageU8, Laboratory
from training.experiments.measures import (
    FeatureSpaces,
    Measures,
    distances,
    segmentation,
    similarity,
)
from training.experiments.rows import Row
from training.experiments.styles import StyleSource, judged_set, sources_of
from training.methods import METHODS
from training.metrics.frechet import Features
from training.segmentation.segmenter import Segmenter

_SEGNET = "real-augmented"


def table_1(laboratory: Laboratory, spaces: FeatureSpaces, methods: Sequence[str]) -> list[Row]:
    """A row for each method and source of styles, below two rows of floors.

    DQ, SQ, PQ and AJI are of a SegNet trained on real training tiles, applied to the synthetic
    tiles and scored against the masks that these were drawn from.
    """
    tiles, segmenter = laboratory.judged, real_segmenter(laboratory)
    real = spaces.features("real", [tile.image_u8 for tile in tiles], keep=True)
    rows = _floors(laboratory, spaces, real, segmenter)
    for method in methods:
        for source in sources_of(method):
            seeds = laboratory.scale.seeds_of(method)
            values: list[Measures] = []
            for seed in seeds:
                images = test_tiles(laboratory, method, seed, source)
                synthetic = spaces.features(method, images, keep=True)
                values.append(
                    distances(real, synthetic)
                    | similarity(tiles, images)
                    | segmentation(segmenter, tiles, images)
                )
            facts = {"style_source": source, "tiles": len(tiles)}
            rows.append(Row(method, METHODS[method].title, seeds, values, facts))
    return rows


def table_2(laboratory: Laboratory, spaces: FeatureSpaces, methods: Sequence[str]) -> list[Row]:
    """A row for each method, source of styles and organ."""
    tiles = laboratory.judged
    real = spaces.features("real", [tile.image_u8 for tile in tiles], keep=True)
    organs = sorted({tile.organ for tile in tiles})
    places = {organ: [k for k, tile in enumerate(tiles) if tile.organ == organ] for organ in organs}
    rows = []
    for method in methods:
        for source in sources_of(method):
            seeds = laboratory.scale.seeds_of(method)
            drawn = [
                spaces.features(method, test_tiles(laboratory, method, seed, source), keep=True)
                for seed in seeds
            ]
            for organ, chosen in places.items():
                values = [distances(_take(real, chosen), _take(each, chosen)) for each in drawn]
                facts = {"style_source": source, "organ": organ, "tiles": len(chosen)}
                rows.append(Row(method, METHODS[method].title, seeds, values, facts))
    return rows


def test_tiles(
    laboratory: Laboratory, method: str, seed: int, source: StyleSource
) -> list[ImageU8]:
    """A method's tiles of the judged masks."""
    return laboratory.tiles(method, seed, judged_set(laboratory, source))


def real_segmenter(laboratory: Laboratory) -> Segmenter:
    """SegNet trained on the real training slides with traditional augmentation."""
    seed = laboratory.scale.seeds[0]
    return laboratory.segmenter(_SEGNET, seed, laboratory.real_images, augment=True)


def _floors(
    laboratory: Laboratory,
    spaces: FeatureSpaces,
    real: dict[str, Features],
    segmenter: Segmenter,
) -> list[Row]:
    """What real tiles reach: test against training tiles, and SegNet on the real test tiles."""
    tiles, train = laboratory.judged, laboratory.training_tiles
    drawn = np.random.default_rng(0).choice(len(train), min(len(tiles), len(train)), replace=False)
    others = spaces.features("training", [train[k].image_u8 for k in sorted(drawn)], keep=True)
    images = [tile.image_u8 for tile in tiles]
    facts = {"style_source": None, "tiles": len(tiles)}
    return [
        Row("real-training", "real training tiles", (0,), [distances(real, others)], facts),
        Row("real", "real test tiles", (0,), [segmentation(segmenter, tiles, images)], facts),
    ]


def _take(features: dict[str, Features], chosen: Sequence[int]) -> dict[str, Features]:
    return {space: rows[chosen] for space, rows in features.items()}
