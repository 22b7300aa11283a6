"""Measures sets of pictures for the tables, each set once.

What was measured is kept in FOLDER/measures, by everything it depends on: pictures, masks, and
networks that look at them.
"""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from training.evaluation.tiles import Tile
from training.experiments.identity import Origin, digest, write_whole
from training.experiments.laboratory import ImageU8, Laboratory
from training.experiments.measures import (
    REVISION,
    FeatureSpaces,
    Measures,
    appearance,
    distances,
    segmentation,
    similarity,
)
from training.experiments.pictures import Pictures
from training.metrics.frechet import Features

Result = TypeVar("Result", Measures, dict[str, Measures])

_FEWEST = 2
"""Tiles that a distance needs on either side."""


class Judge:
    """The judged tiles of a laboratory, and what others are worth beside them.

    Raises (all methods): RunUnfinished when the sitting is over and a measure is not kept yet.
    """

    def __init__(self, laboratory: Laboratory, spaces: FeatureSpaces | None = None) -> None:
        self._laboratory = laboratory
        self._spaces = spaces or FeatureSpaces({})
        self.tiles: list[Tile] = laboratory.judged

    def distances(self, drawn: Pictures) -> Measures:
        """Between all real tiles and all synthetic ones."""

        def measure() -> Measures:
            return distances(self._real, self._features(drawn))

        return self._kept("distances", self._far(drawn), measure)

    def distances_by_organ(self, drawn: Pictures) -> dict[str, Measures]:
        """The same for the tiles of each organ that has two of them or more."""

        def measure() -> dict[str, Measures]:
            synthetic = self._features(drawn)
            return {
                organ: distances(_take(self._real, chosen), _take(synthetic, chosen))
                for organ, chosen in self.places.items()
            }

        return self._kept("distances by organ", self._far(drawn), measure)

    def floor(self, others: Sequence[ImageU8]) -> Measures:
        """Distances between the real tiles and other real tiles."""

        def measure() -> Measures:
            return distances(self._real, self._spaces.features("training", others, keep=True))

        return self._kept("distances", self._far(digest(*others)), measure)

    def similarity(self, drawn: Pictures) -> Measures:
        """SSIM of synthetic tiles with the real ones of their masks."""

        def measure() -> Measures:
            return similarity(self.tiles, drawn.images)

        return self._kept("similarity", {"drawn": drawn.identity}, measure)

    def appearance(self, drawn: Pictures | None = None) -> Measures:
        """Stain and texture of synthetic tiles, or of the real ones, against the tiles that lend
        each its style from its slide."""

        def measure() -> Measures:
            laboratory = self._laboratory
            styles = [laboratory.test_tiles[k] for k in laboratory.plan.styles]
            return appearance(self.tiles, styles, self._images(drawn))

        return self._kept("appearance", {"drawn": drawn.identity if drawn else None}, measure)

    def segmentation(self, segnet: Path, drawn: Pictures | None = None) -> Measures:
        """What a SegNet finds in synthetic tiles, or in the real ones, against their masks."""

        def measure() -> Measures:
            segmenter = self._laboratory.segmenter(segnet)
            return segmentation(segmenter, self.tiles, self._images(drawn))

        origin = {
            "segnet": self._laboratory.digest_of(segnet),
            "drawn": drawn.identity if drawn else None,
        }
        return self._kept("segmentation", origin, measure)

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Which of the judged tiles an organ has, for organs with enough of them."""
        found: dict[str, list[int]] = {}
        for k, tile in enumerate(self.tiles):
            found.setdefault(tile.organ, []).append(k)
        return {organ: chosen for organ, chosen in sorted(found.items()) if len(chosen) >= _FEWEST}

    def _images(self, drawn: Pictures | None) -> Sequence[ImageU8]:
        return drawn.images if drawn else [tile.image_u8 for tile in self.tiles]

    @cached_property
    def _real(self) -> dict[str, Features]:
        return self._spaces.features("real", self._images(None), keep=True)

    @cached_property
    def _identity(self) -> str:
        return digest(*(part for tile in self.tiles for part in (tile.image_u8, tile.mask_labels)))

    def _features(self, drawn: Pictures) -> dict[str, Features]:
        return self._spaces.features(drawn.title, drawn.images, keep=True)

    def _far(self, drawn: Pictures | str) -> Origin:
        identity = drawn if isinstance(drawn, str) else drawn.identity
        return {"drawn": identity, "spaces": self._spaces.fingerprints}

    def _kept(self, name: str, origin: Origin, measure: Callable[[], Result]) -> Result:
        """What ``measure`` gives, from disk if it was measured before."""
        origin = {"measure": name, "revision": REVISION, "judged": self._identity, **origin}
        path = self._laboratory.folder / "measures" / f"{digest(origin)}.json"
        if path.is_file():
            kept: Result = json.loads(path.read_text("utf-8"))["values"]
            return kept
        self._laboratory.sitting.go_on(f"the {name} of a set of tiles")
        values = measure()
        write_whole(path, json.dumps({"of": origin, "values": values}, indent=1) + "\n")
        return values


def _take(features: dict[str, Features], chosen: Sequence[int]) -> dict[str, Features]:
    return {space: np.asarray(rows[chosen]) for space, rows in features.items()}
