"""What a set of synthetic tiles is worth: the columns of the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.cache import FeatureCache
from training.evaluation.rows import energy_ratio, tile_statistics
from training.evaluation.tiles import Tile
from training.metrics.frechet import Features, frechet_distance
from training.metrics.kid import kernel_distance
from training.metrics.panoptic import aji, mean_panoptic
from training.metrics.ssim import structural_similarity
from training.metrics.stain import lab_distance
from training.segmentation.segmenter import Segmenter
from training.sitting import progress_bar

KID_SUBSETS = 100

REVISION = 1
"""Part of what kept measures are known by: raise it when the way they are computed changes."""

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


def distances(real: dict[str, Features], synthetic: dict[str, Features]) -> Measures:
    """Frechet distances in every space, and the kernel distance in the first one."""
    measures = {
        f"fid_{space}": frechet_distance(synthetic[space], rows) for space, rows in real.items()
    }
    first = next(iter(real))
    kernel = kernel_distance(
        synthetic[first],
        real[first],
        subsets=KID_SUBSETS,
        subset_size=max(2, len(real[first]) // 2),
    )
    return measures | {"kid": kernel.mean, "kid_deviation": kernel.deviation}


def similarity(tiles: Sequence[Tile], images_u8: Sequence[NDArray[np.uint8]]) -> Measures:
    """SSIM with the real tile of the same mask."""
    values = [
        structural_similarity(tile.image_u8, image_u8)
        for tile, image_u8 in zip(tiles, images_u8, strict=True)
    ]
    return {"ssim": float(np.mean(values))}


def appearance(
    tiles: Sequence[Tile], styles: Sequence[Tile], images_u8: Sequence[NDArray[np.uint8]]
) -> Measures:
    """How stain and texture follow the style tiles, as ``sian evaluate`` measures them.

    auc: of the haematoxylin in nuclei over that outside, a mean. lab: CIELAB distance between the
    mean colours of tile and style, a median. energy: mean squared luminance gradient over the
    style's, a median.
    """
    drawn = tile_statistics(images_u8, [tile.mask_labels for tile in tiles])
    asked = tile_statistics(
        [tile.image_u8 for tile in styles], [tile.mask_labels for tile in styles]
    )
    return {
        "auc": float(np.nanmean(drawn.auc)),
        "lab": float(np.median(lab_distance(drawn.lab, asked.lab))),
        "energy": float(np.median(energy_ratio(drawn, asked))),
    }


def segmentation(
    segmenter: Segmenter, tiles: Sequence[Tile], images_u8: Sequence[NDArray[np.uint8]]
) -> Measures:
    """What a SegNet finds in the images against the masks of the tiles: a mean over tiles."""
    found = segmenter.segment_many(images_u8)
    pairs = [(tile.mask_labels, labels) for tile, labels in zip(tiles, found, strict=True)]
    mean = mean_panoptic(pairs)
    return {
        "dq": mean.dq,
        "sq": mean.sq,
        "pq": mean.pq,
        "aji": float(np.mean([aji(truth, labels) for truth, labels in pairs])),
    }
