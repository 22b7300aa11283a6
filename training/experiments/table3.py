"""Table 3: what synthetic tiles add to the training of a SegNet, tested on the real test tiles."""

from collections.abc import Sequence

from training.experiments.laboratory import Laboratory
from training.experiments.measures import segmentation
from training.experiments.rows import Row
from training.experiments.styles import RandomMasks, organ_styles, random_set
from training.experiments.table1 import real_segmenter
from training.methods import METHODS
from training.segmentation.data import Annotated
from training.segmentation.segmenter import Segmenter


def table_3(laboratory: Laboratory, methods: Sequence[str]) -> list[Row]:
    """SegNet on real tiles, with traditional augmentation, and with each method's tiles besides.

    Every row from the second on has traditional augmentation. All methods draw the same random
    masks; those that take a style draw them in one style for each of the training organs.
    """
    seed = laboratory.scale.seeds[0]
    plain = laboratory.segmenter("real", seed, laboratory.real_images, augment=False)
    rows = [
        _row(laboratory, "real", "MoNuSeg training set", plain),
        _row(
            laboratory,
            "real-augmented",
            "MoNuSeg training set, augmented",
            real_segmenter(laboratory),
        ),
    ]
    styles = organ_styles(laboratory)
    count = laboratory.scale.synthetic
    masks = RandomMasks(list(styles), count, laboratory.folder / "random-masks")
    tile_set = random_set(masks, styles)
    for method in methods:

        def images(method: str = method) -> list[Annotated]:
            tiles = laboratory.tiles(method, seed, tile_set)
            added = [Annotated(tile, masks[k]) for k, tile in enumerate(tiles)]
            return [*laboratory.real_images(), *added]

        added = laboratory.drawn(method, seed, tile_set).identity
        segmenter = laboratory.segmenter(method, seed, images, augment=True, added=added)
        rows.append(_row(laboratory, method, f"+ {METHODS[method].title}", segmenter))
    return rows


def _row(laboratory: Laboratory, name: str, title: str, segmenter: Segmenter) -> Row:
    tiles = laboratory.judged
    measures = segmentation(segmenter, tiles, [tile.image_u8 for tile in tiles])
    added = laboratory.scale.synthetic if name in METHODS else 0
    facts = {"synthetic": added, "tiles": len(tiles)}
    return Row(name, title, laboratory.scale.seeds[:1], [measures], facts)
