"""The rows of real tiles: what the distances of synthetic ones are to be compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.tiles import Tile
from training.experiments.judge import Judge
from training.experiments.laboratory import Laboratory
from training.experiments.rows import Row

REAL = {
    "real-beside": "real test tiles, cut between them",
    "real-training": "real training tiles: other slides, other organs",
    "real": "real test tiles",
}
"""Titles of the rows of real tiles. The first is what no method can be expected to go below: the
same slides, nothing synthetic. The second shows how far apart slides are."""


def floors(
    laboratory: Laboratory, judge: Judge, segnet: Path, titles: Mapping[str, str] = REAL
) -> list[Row]:
    """What real tiles reach: others against the judged ones; SegNet on the judged, and how these
    differ from another tile of the slide."""
    facts = {"style_source": None, "tiles": len(judge.tiles)}
    others = {
        "real-beside": laboratory.beside_judged,
        "real-training": _some(laboratory.training_tiles, len(judge.tiles)),
    }
    rows = [
        Row(name, titles[name], (0,), [judge.floor(tiles)], facts)
        for name, tiles in others.items()
        if len(tiles) > 1
    ]
    judged = judge.segmentation(segnet) | judge.appearance()
    return [*rows, Row("real", titles["real"], (0,), [judged], facts)]


def floors_by_organ(laboratory: Laboratory, judge: Judge) -> list[Row]:
    """Distances of real tiles of the same organ; of an organ that is not trained on, the first
    alone."""
    training = [
        tile
        for organ, chosen in judge.places.items()
        for tile in _some([t for t in laboratory.training_tiles if t.organ == organ], len(chosen))
    ]
    others = {"real-beside": laboratory.beside_judged, "real-training": training}
    titles = REAL | {"real-training": "real training tiles: other slides"}
    return [
        Row(name, titles[name], (0,), [measures], {"style_source": None, **of_organ(judge, organ)})
        for name, tiles in others.items()
        for organ, measures in judge.floor_by_organ(tiles).items()
    ]


def _some(tiles: Sequence[Tile], count: int) -> list[Tile]:
    """So many of the tiles, drawn at random, or all."""
    count = min(count, len(tiles))
    drawn = np.random.default_rng(0).choice(len(tiles), count, replace=False)
    return [tiles[k] for k in sorted(drawn)]


def of_organ(judge: Judge, organ: str) -> dict[str, Any]:
    """What a row tells of its organ."""
    chosen = [judge.tiles[k] for k in judge.places[organ]]
    return {
        "organ": organ,
        "slides": len({tile.slide_id for tile in chosen}),
        "tiles": len(chosen),
    }
