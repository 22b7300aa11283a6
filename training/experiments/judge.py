"""Measures sets of pictures for the tables, each set once.

What was measured is kept in FOLDER/measures, by everything it depends on: pictures, masks, and
networks that look at them.
"""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from model.files import write_whole
from training.data.crops import LoadedSlide, load_slides
from training.digest import digest
from training.evaluation.statistics import TileStatistics, tile_statistics
from training.evaluation.tiles import Tile
from training.experiments.identity import Origin
from training.experiments.laboratory import ImageU8, Laboratory
from training.experiments.measures import (
    REVISION,
    FeatureSpaces,
    Measures,
    Sample,
    appearance,
    distances,
    segmentation,
    segmentation_by_slide,
    similarity,
)
from training.experiments.pictures import Pictures

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

        return self._kept("distances", self._far(drawn.identity), measure)

    def distances_by_organ(self, drawn: Pictures) -> dict[str, Measures]:
        """The same for the tiles of each organ that has two of them or more."""

        def measure() -> dict[str, Measures]:
            synthetic = self._features(drawn)
            return {
                organ: distances(self._real.take(chosen), synthetic.take(chosen))
                for organ, chosen in self.places.items()
            }

        return self._kept("distances by organ", self._far(drawn.identity), measure)

    def floor(self, others: Sequence[Tile]) -> Measures:
        """Distances between the real tiles and other real tiles, two or more."""

        def measure() -> Measures:
            return distances(self._real, self._features_of(others))

        return self._kept("distances", self._far(_identity(others)), measure)

    def floor_by_organ(self, others: Sequence[Tile]) -> dict[str, Measures]:
        """The same for the organs that have two tiles or more on both sides."""
        there = _places(others)
        shared = [organ for organ in self.places if organ in there]

        def measure() -> dict[str, Measures]:
            found = self._features_of(others)
            return {
                organ: distances(self._real.take(self.places[organ]), found.take(there[organ]))
                for organ in shared
            }

        return self._kept("distances by organ", self._far(_identity(others)), measure)

    def similarity(self, drawn: Pictures) -> Measures:
        """SSIM of synthetic tiles with the real ones of their masks."""

        def measure() -> Measures:
            return similarity(self.tiles, drawn.images)

        return self._kept("similarity", {"drawn": drawn.identity}, measure)

    def appearance(self, drawn: Pictures | None = None) -> Measures:
        """Stain and texture of synthetic tiles, or of the real ones, against the tiles that lend
        each its style from its slide."""

        def measure() -> Measures:
            return appearance(self.tiles, self._styles, self._images(drawn))

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

    def segmentation_by_slide(self, segnet: Path) -> dict[str, Measures]:
        """What a SegNet finds in the whole test slides, by their ids."""

        def measure() -> dict[str, Measures]:
            segmenter = self._laboratory.segmenter(segnet)
            return segmentation_by_slide(segmenter, self._slides)

        origin = {
            "segnet": self._laboratory.digest_of(segnet),
            "slides": self._laboratory.test_data,
        }
        return self._kept("segmentation by slide", origin, measure)

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """Which of the judged tiles an organ has, for organs with enough of them."""
        return _places(self.tiles)

    def _images(self, drawn: Pictures | None) -> Sequence[ImageU8]:
        return drawn.images if drawn else [tile.image_u8 for tile in self.tiles]

    @cached_property
    def _slides(self) -> list[LoadedSlide]:
        return load_slides(self._laboratory.test_slides, smallest_px=0)

    @cached_property
    def _real(self) -> Sample:
        return self._features_of(self.tiles)

    @cached_property
    def _judged(self) -> str:
        return _identity(self.tiles)

    @cached_property
    def _styles(self) -> TileStatistics:
        """Of the tiles that lend each judged tile its style from its slide."""
        styles = [self._laboratory.test_tiles[k] for k in self._laboratory.plan.styles]
        return tile_statistics(
            [tile.image_u8 for tile in styles], [tile.mask_labels for tile in styles]
        )

    def _features(self, drawn: Pictures) -> Sample:
        rows = self._spaces.features(drawn.title, drawn.images, keep=True)
        return Sample(rows, [tile.slide_id for tile in self.tiles])

    def _features_of(self, tiles: Sequence[Tile]) -> Sample:
        rows = self._spaces.features("real", [tile.image_u8 for tile in tiles], keep=True)
        return Sample(rows, [tile.slide_id for tile in tiles])

    def _far(self, identity: str) -> Origin:
        return {"drawn": identity, "spaces": self._spaces.fingerprints}

    def _kept(self, name: str, origin: Origin, measure: Callable[[], Result]) -> Result:
        """What ``measure`` gives, from disk if it was measured before."""
        origin = {"measure": name, "revision": REVISION, "judged": self._judged, **origin}
        path = self._laboratory.folder / "measures" / f"{digest(origin)}.json"
        if path.is_file():
            kept: Result = json.loads(path.read_text("utf-8"))["values"]
            return kept
        self._laboratory.sitting.go_on(f"the {name} of a set of tiles")
        values = measure()
        write_whole(path, json.dumps({"of": origin, "values": values}, indent=1) + "\n")
        return values


def _places(tiles: Sequence[Tile]) -> dict[str, list[int]]:
    """Which of the tiles an organ has, for organs with enough of them."""
    found: dict[str, list[int]] = {}
    for k, tile in enumerate(tiles):
        found.setdefault(tile.organ, []).append(k)
    return {organ: chosen for organ, chosen in sorted(found.items()) if len(chosen) >= _FEWEST}


def _identity(tiles: Sequence[Tile]) -> str:
    return digest(*(part for tile in tiles for part in (tile.image_u8, tile.mask_labels)))
