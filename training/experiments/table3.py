"""Table 3: what synthetic tiles add to the training of a SegNet, tested on the real test slides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.experiments.identity import made_by
from training.experiments.judge import Judge
from training.experiments.laboratory import Added, Laboratory, TileSet
from training.experiments.measures import Measures
from training.experiments.rows import Row
from training.experiments.styles import RandomMasks, organ_styles, random_set
from training.experiments.table1 import real_segnet
from training.segmentation.data import Annotated

REAL, AUGMENTED = "real", "real-augmented"
_TITLES = {REAL: "MoNuSeg training set", AUGMENTED: "MoNuSeg training set, augmented"}

BySlide = Mapping[str, Measures]


def table_3(laboratory: Laboratory, methods: Sequence[str]) -> list[Row]:
    """SegNet on real tiles, with traditional augmentation, and with each method's tiles besides,
    once for each seed.

    Every row from the second on has traditional augmentation. All methods draw the same random
    masks; those that take a style draw them in one style for each of the training organs.
    """
    laboratory.check_all(methods)
    judge, seeds = Judge(laboratory), laboratory.scale.seeds
    styles = organ_styles(laboratory)
    masks = RandomMasks(laboratory, list(styles))
    tile_set = random_set(masks, styles)

    def segnet(name: str, seed: int) -> Path:
        if name == REAL:
            return laboratory.segnet(REAL, seed, augment=False)
        if name == AUGMENTED:
            return real_segnet(laboratory, seed)
        added = _added(laboratory, name, seed, masks, tile_set)
        return laboratory.segnet(laboratory.label(name), seed, augment=True, added=added)

    # The real ones come last: processes that share a folder, each with methods of its own, all
    # need them, and only one can train them.
    segnets = {name: [segnet(name, seed) for seed in seeds] for name in (*methods, AUGMENTED, REAL)}
    found = {
        name: [judge.segmentation_by_slide(path) for path in paths]
        for name, paths in segnets.items()
    }
    return [
        Row(
            name,
            _title(laboratory, name),
            seeds,
            _values(found[name], None if name == AUGMENTED else found[AUGMENTED]),
            _facts(laboratory, name, segnets[name], found[name]),
        )
        for name in (REAL, AUGMENTED, *methods)
    ]


def _values(found: Sequence[BySlide], reference: Sequence[BySlide] | None) -> list[Measures]:
    """Of each seed: means over slides, and the gain over the ``reference`` of the same seed."""
    means = [_mean(each) for each in found]
    if reference is None:
        return means
    return [
        mean | gain(here, there) for mean, here, there in zip(means, found, reference, strict=True)
    ]


def gain(here: BySlide, there: BySlide) -> Measures:
    """How much more PQ one SegNet has than another on the same slides, and the standard error of
    that over the slides, where there are two or more."""
    gains = [here[slide]["pq"] - there[slide]["pq"] for slide in here]
    measures = {"pq_gain": float(np.mean(gains))}
    if len(gains) > 1:
        measures["pq_gain_error"] = float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
    return measures


def _mean(by_slide: BySlide) -> Measures:
    slides = list(by_slide.values())
    return {name: float(np.mean([each[name] for each in slides])) for name in slides[0]}


def _added(
    laboratory: Laboratory, method: str, seed: int, masks: RandomMasks, tile_set: TileSet
) -> Added:
    """The tiles that a method draws of the random masks."""
    trained = _trained(laboratory, method, seed)

    def images() -> list[Annotated]:
        tiles = laboratory.tiles(method, trained, tile_set).images
        return [Annotated(tile, masks[k]) for k, tile in enumerate(tiles)]

    return Added(laboratory.drawn(method, trained, tile_set).identity, images)


def _trained(laboratory: Laboratory, method: str, seed: int) -> int:
    """The seed of the generator whose tiles a SegNet of this seed is given."""
    trained = laboratory.scale.seeds_of(laboratory.methods[method])
    return seed if seed in trained else trained[0]


def _title(laboratory: Laboratory, name: str) -> str:
    return _TITLES[name] if name in _TITLES else f"+ {laboratory.methods[name].title}"


def _facts(
    laboratory: Laboratory, name: str, segnets: Sequence[Path], found: Sequence[BySlide]
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "synthetic": 0,
        "slides": len(laboratory.test_slides),
        **{f"segnet_{key}": told for key, told in made_by([s.parent for s in segnets]).items()},
        "pq_by_slide": {slide: [each[slide]["pq"] for each in found] for slide in found[0]},
    }
    if name in _TITLES:
        return facts
    generators = laboratory.scale.seeds_of(laboratory.methods[name])
    facts |= {"synthetic": laboratory.scale.synthetic, "generators": len(generators)}
    return facts | laboratory.facts(name, generators)
