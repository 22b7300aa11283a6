"""Table 3: what synthetic tiles add to the training of a SegNet, tested on the real test tiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.experiments.judge import Judge
from training.experiments.laboratory import Laboratory
from training.experiments.rows import Row
from training.experiments.styles import RandomMasks, organ_styles, random_set
from training.experiments.table1 import real_segnet
from training.segmentation.data import Annotated


def table_3(laboratory: Laboratory, methods: Sequence[str]) -> list[Row]:
    """SegNet on real tiles, with traditional augmentation, and with each method's tiles besides.

    Every row from the second on has traditional augmentation. All methods draw the same random
    masks; those that take a style draw them in one style for each of the training organs.
    """
    seed = laboratory.scale.seeds[0]
    judge = Judge(laboratory)

    def row(name: str, title: str, segnet: Path, synthetic: int) -> Row:
        facts: dict[str, Any] = {"synthetic": synthetic, "tiles": len(judge.tiles)}
        if synthetic:
            facts |= laboratory.facts(name, [seed])
        return Row(name, title, (seed,), [judge.segmentation(segnet)], facts)

    plain = laboratory.segnet("real", seed, laboratory.real_images, augment=False)
    augmented = real_segnet(laboratory)
    rows = [
        row("real", "MoNuSeg training set", plain, 0),
        row("real-augmented", "MoNuSeg training set, augmented", augmented, 0),
    ]
    styles = organ_styles(laboratory)
    count = laboratory.scale.synthetic
    masks = RandomMasks(laboratory, list(styles))
    tile_set = random_set(masks, styles)
    for method in methods:

        def images(method: str = method) -> list[Annotated]:
            tiles = laboratory.tiles(method, seed, tile_set).images
            added = [Annotated(tile, masks[k]) for k, tile in enumerate(tiles)]
            return [*laboratory.real_images(), *added]

        added = laboratory.drawn(method, seed, tile_set).identity
        name = laboratory.label(method)
        segnet = laboratory.segnet(name, seed, images, augment=True, added=added)
        rows.append(row(method, f"+ {laboratory.methods[method].title}", segnet, count))
    return rows
