"""Table 3: what synthetic tiles add to the training of a SegNet, tested on the real test slides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.experiments.identity import code_of
from training.experiments.judge import Judge
from training.experiments.laboratory import Added, Laboratory
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
    judge, seeds = Judge(laboratory), laboratory.scale.seeds
    # The real ones come last: processes that share a folder, each with methods of its own, all
    # need them, and only one can train them.
    segnets = {
        name: [_segnet(laboratory, name, seed) for seed in seeds]
        for name in (*methods, AUGMENTED, REAL)
    }
    found = {
        name: [judge.segmentation_by_slide(each) for each in segnets[name]] for name in segnets
    }
    rows = []
    for name in (REAL, AUGMENTED, *methods):
        values = [
            _mean(here) | ({} if name == AUGMENTED else gain(here, there))
            for here, there in zip(found[name], found[AUGMENTED], strict=True)
        ]
        rows.append(Row(name, _title(laboratory, name), seeds, values, _facts(laboratory, name)))
        rows[-1].facts["segnet_code"] = [code_of(path.parent) for path in segnets[name]]
        rows[-1].facts["pq_by_slide"] = {
            slide: [by_slide[slide]["pq"] for by_slide in found[name]] for slide in found[name][0]
        }
    return rows


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


def _segnet(laboratory: Laboratory, name: str, seed: int) -> Path:
    if name == REAL:
        return laboratory.segnet(REAL, seed, augment=False)
    if name == AUGMENTED:
        return real_segnet(laboratory, seed)
    return laboratory.segnet(
        laboratory.label(name), seed, augment=True, added=_added(laboratory, name, seed)
    )


def _added(laboratory: Laboratory, method: str, seed: int) -> Added:
    """The tiles that a method draws of the random masks."""
    styles = organ_styles(laboratory)
    masks = RandomMasks(laboratory, list(styles))
    tile_set, trained = random_set(masks, styles), _trained(laboratory, method, seed)

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


def _facts(laboratory: Laboratory, name: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"synthetic": 0, "slides": len(laboratory.test_slides)}
    if name in _TITLES:
        return facts
    generators = laboratory.scale.seeds_of(laboratory.methods[name])
    facts |= {"synthetic": laboratory.scale.synthetic, "generators": len(generators)}
    return facts | laboratory.facts(name, generators)
