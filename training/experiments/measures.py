"""What a set of synthetic tiles is worth: the columns of the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.crops import LoadedSlide
from training.evaluation.cache import FeatureCache
from training.evaluation.statistics import TileStatistics, energy_ratio, tile_statistics
from training.evaluation.tiles import Tile
from training.metrics.frechet import Features, frechet_distance
from training.metrics.kid import jackknife_error, kernel_distance
from training.metrics.panoptic import aji, mean_panoptic
from training.metrics.ssim import structural_similarity
from training.metrics.stain import lab_distance
from training.segmentation.segmenter import Segmenter
from training.sitting import progress_bar

KID_SUBSETS = 100

REVISION = 2
"""Part of what kept measures are known by: raise it when the way they are computed changes."""

_TOGETHER = 8  # tiles in a pass of a SegNet

Measures = dict[str, float]


@dataclass(frozen=True)
class FeatureSpaces:
    """The networks in whose features distances are measured, by the name of their columns."""

    caches: Mapping[str, FeatureCache]

    @property
    def fingerprints(self) -> dict[str, str]:
        """The networks and their weights, by name."""
        return {name: cache.fingerprint for name, cache in self.caches.items()}

    def features(
        self, title: str, images_u8: Sequence[NDArray[np.uint8]], *, keep: bool
    ) -> dict[str, Features]:
        """{column suffix, such as ``768``: (N, D)}; ``keep`` for sets that others will ask for."""
        found: dict[str, Features] = {}
        for name, cache in self.caches.items():
            with progress_bar(f"{title}: {name} features", len(images_u8), 0) as bar:
                done = 0

                def advance(images: int) -> None:
                    nonlocal done
                    done += images
                    bar(done, None)

                rows = cache.features(images_u8, keep=keep, advance=advance)
            for dims, part in sorted(rows.items()):  # a file has them in the order of its own
                found[f"{name}_{dims}" if name != "inception" else str(dims)] = part
        return found


@dataclass(frozen=True)
class Sample:
    """Features of tiles by space, each (N, D), and the slide that each of the N tiles is of."""

    features: dict[str, Features]
    slides: Sequence[str]

    def take(self, chosen: Sequence[int]) -> "Sample":
        """Some of the tiles."""
        rows = {space: np.asarray(each[chosen]) for space, each in self.features.items()}
        return Sample(rows, [self.slides[k] for k in chosen])


def distances(real: Sample, others: Sample) -> Measures:
    """Frechet distances in every space, and the kernel distance in the first one.

    kid_deviation: over subsets of half the tiles. kid_error: over the slides, where they can
    tell.
    """
    here, there = real.features, others.features
    measures = {
        f"fid_{space}": frechet_distance(there[space], rows) for space, rows in here.items()
    }
    first = next(iter(here))
    fewest = min(len(here[first]), len(there[first]))
    kernel = kernel_distance(
        there[first], here[first], subsets=KID_SUBSETS, subset_size=max(2, fewest // 2)
    )
    measures |= {"kid": kernel.mean, "kid_deviation": kernel.deviation}
    error = jackknife_error(there[first], here[first], others.slides, real.slides)
    return measures if error is None else measures | {"kid_error": error}


def similarity(tiles: Sequence[Tile], images_u8: Sequence[NDArray[np.uint8]]) -> Measures:
    """SSIM with the real tile of the same mask."""
    values = [
        structural_similarity(tile.image_u8, image_u8)
        for tile, image_u8 in zip(tiles, images_u8, strict=True)
    ]
    return {"ssim": float(np.mean(values))}


def appearance(
    tiles: Sequence[Tile], styles: TileStatistics, images_u8: Sequence[NDArray[np.uint8]]
) -> Measures:
    """How stain and texture follow the tiles that lend each its style, whose statistics are given,
    as ``sian evaluate`` measures them.

    auc: of the haematoxylin in nuclei over that outside, a mean. lab: CIELAB distance between the
    mean colours of tile and style, a median. energy: mean squared luminance gradient over the
    style's, a median.
    """
    drawn = tile_statistics(images_u8, [tile.mask_labels for tile in tiles])
    return {
        "auc": float(np.nanmean(drawn.auc)),
        "lab": float(np.median(lab_distance(drawn.lab, styles.lab))),
        "energy": float(np.median(energy_ratio(drawn, styles))),
    }


def segmentation(
    segmenter: Segmenter, tiles: Sequence[Tile], images_u8: Sequence[NDArray[np.uint8]]
) -> Measures:
    """What a SegNet finds in the images against the masks of the tiles: a mean over tiles."""
    found: list[NDArray[np.int32]] = []
    with progress_bar("SegNet", len(tiles), 0) as bar:
        for first in range(0, len(tiles), _TOGETHER):
            found += segmenter.segment_many(images_u8[first : first + _TOGETHER])
            bar(len(found), None)
    return _quality([(tile.mask_labels, labels) for tile, labels in zip(tiles, found, strict=True)])


def segmentation_by_slide(
    segmenter: Segmenter, slides: Sequence[LoadedSlide]
) -> dict[str, Measures]:
    """What a SegNet finds in whole slides against their masks, by the id of the slide."""
    found = {}
    with progress_bar("SegNet", len(slides), 0) as bar:
        for slide in slides:
            found[slide.id] = _quality([(slide.labels, segmenter.segment(slide.image_u8))])
            bar(len(found), None)
    return found


def _quality(pairs: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]]) -> Measures:
    mean = mean_panoptic(pairs)
    return {
        "dq": mean.dq,
        "sq": mean.sq,
        "pq": mean.pq,
        # A tile without nuclei in either mask has none, as it has no panoptic quality.
        "aji": float(np.nanmean([aji(truth, labels) for truth, labels in pairs])),
    }
