"""What an instance mask looks like in numbers; the same numbers of real and of random masks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import regionprops_table

from model.mask import Labels, check_mask
from model.nuclei_statistics import TILE_AREA

_QUADRAT_PX = 64
_ELONGATED = 1.3  # axis ratio from which the direction of a nucleus means something
_LEAST_EXCESS = 0.01  # of an axis ratio over 1, so that it has a logarithm
_QUARTILES = (0.25, 0.5, 0.75)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MaskStatistics:
    """Statistics of a set of masks. Lengths in px.

    Of the masks, the median over them: ``count``, nuclei per 256 x 256 px; ``foreground``, share
    of nuclear pixels; ``poisson_ratio``, mean distance to the nearest neighbour over what it would
    be at random (Clark and Evans, 1954); ``clumping``, variance over mean of the number of
    centroids in quadrats of 64 px (1 at random, less if regular, more if clustered).
    ``count_spread`` and ``area_drift`` are standard deviations over the masks, of the logarithms of
    the count and of the median area; ``density_area_correlation`` is that of the two logarithms.

    Of the nuclei, all masks together: ``area`` and ``elongation`` (ratio of the axes of the
    ellipse with the same second moments), quartiles; ``roughness``, 1 - median solidity;
    ``neighbour_px``, median distance to the nearest centroid; ``touching``, share with a pixel
    beside another nucleus; ``area_elongation_correlation``, of the logarithms of the area and of
    the axis ratio less 1. Nuclei cut by the border have no say in area and shape.

    Of nearest neighbours in a mask: ``size_coherence``, correlation of the logarithms of their
    areas; ``alignment``, mean cosine of twice the angle between their major axes.

    What needs more nuclei than there are is 0.
    """

    masks: int
    nuclei: int
    count: float
    count_spread: float
    foreground: float
    area: tuple[float, float, float]
    area_drift: float
    density_area_correlation: float
    elongation: tuple[float, float, float]
    area_elongation_correlation: float
    roughness: float
    neighbour_px: float
    poisson_ratio: float
    touching: float
    clumping: float
    size_coherence: float
    alignment: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


@dataclass(frozen=True)
class _Measured:
    """One mask: numbers of its own, and one entry a nucleus or a pair of neighbours."""

    count: float
    foreground: float
    poisson_ratio: float
    clumping: float
    area: Values
    elongation: Values
    solidity: Values
    neighbour_px: Values
    touching: NDArray[np.bool_]
    area_pairs: Values  # (2, P), logarithms less the mask's mean
    angle_pairs: Values  # (P,) difference of the directions of elongated neighbours


def measure_masks(masks: Iterable[Labels]) -> MaskStatistics:
    """Measure masks (H, W) of one tissue, best of the size they will be used in.

    Raises:
        ValueError: there are fewer than two nuclei that no border cuts.
        MaskShape, MaskFloat, MaskNegative, MaskIdTooLarge: one is no instance mask.
    """
    rows = [_measure(mask) for mask in masks]
    areas = np.concatenate([row.area for row in rows]) if rows else np.empty(0)
    if len(areas) < 2:
        raise ValueError(f"{len(rows)} masks with {len(areas)} whole nuclei cannot be measured")
    peopled = [row for row in rows if len(row.area) > 0]
    log_count = np.log([row.count for row in peopled])
    log_area = np.log([np.median(row.area) for row in peopled])
    elongations = np.concatenate([row.elongation for row in rows])
    excess = np.maximum(elongations - 1, _LEAST_EXCESS)
    angles = np.concatenate([row.angle_pairs for row in rows])
    first, second = np.concatenate([row.area_pairs for row in rows], axis=1)
    return MaskStatistics(
        masks=len(rows),
        nuclei=sum(len(row.touching) for row in rows),
        count=float(np.median([row.count for row in rows])),
        count_spread=float(log_count.std()),
        foreground=float(np.median([row.foreground for row in rows])),
        area=_quartiles(areas),
        area_drift=float(log_area.std()),
        density_area_correlation=_correlation(log_count, log_area),
        elongation=_quartiles(elongations),
        area_elongation_correlation=_correlation(np.log(areas), np.log(excess)),
        roughness=1 - float(np.median(np.concatenate([row.solidity for row in rows]))),
        neighbour_px=float(np.median(np.concatenate([row.neighbour_px for row in rows]))),
        poisson_ratio=_median([row.poisson_ratio for row in rows]),
        touching=float(np.concatenate([row.touching for row in rows]).mean()),
        clumping=_median([row.clumping for row in rows]),
        size_coherence=_correlation(first, second),
        alignment=float(np.cos(2 * angles).mean()) if len(angles) > 0 else 0.0,
    )


def touching_nuclei(mask: Labels) -> NDArray[np.integer[Any]]:
    """The ids that have a pixel beside (4-neighbourhood) a pixel of another id, sorted."""
    found = []
    for first, second in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
        differs = (first != second) & (first > 0) & (second > 0)
        found += [first[differs], second[differs]]
    return np.unique(np.concatenate(found))


def _measure(mask: Labels) -> _Measured:
    check_mask(mask)
    height, width = mask.shape
    table = regionprops_table(
        mask,
        properties=(
            "label",
            "area",
            "axis_major_length",
            "axis_minor_length",
            "bbox",
            "centroid",
            "orientation",
            "solidity",
        ),
    )
    centres = np.column_stack([table["centroid-0"], table["centroid-1"]])
    count = len(centres)
    whole = (table["bbox-0"] > 0) & (table["bbox-1"] > 0)
    whole &= (table["bbox-2"] < height) & (table["bbox-3"] < width)
    # A nucleus one pixel wide has a minor axis of 0.
    elongation = table["axis_major_length"] / np.maximum(table["axis_minor_length"], 1)
    distance, nearest = _nearest(centres)
    paired = np.flatnonzero(whole & whole[nearest]) if count > 1 else np.empty(0, np.int64)
    pairs = np.stack([paired, nearest[paired]])
    log_area = np.log(table["area"])
    directed = pairs[:, (elongation[pairs] > _ELONGATED).all(axis=0)]
    turns = table["orientation"][directed[0]] - table["orientation"][directed[1]]
    at_random = 0.5 * np.sqrt(mask.size / max(count, 1))
    return _Measured(
        count=count * TILE_AREA / mask.size,
        foreground=float((mask > 0).mean()),
        poisson_ratio=float(distance.mean() / at_random) if count > 1 else np.nan,
        clumping=_clumping(centres, mask.shape),
        area=table["area"][whole],
        elongation=elongation[whole],
        solidity=table["solidity"][whole],
        neighbour_px=distance,
        touching=np.isin(table["label"], touching_nuclei(mask)),
        area_pairs=log_area[pairs] - (log_area[whole].mean() if whole.any() else 0),
        angle_pairs=turns,
    )


def _nearest(centres: Values) -> tuple[Values, NDArray[np.int64]]:
    """Distance to the nearest other point, and which it is; empty for a single point."""
    if len(centres) < 2:
        return np.empty(0), np.zeros(len(centres), np.int64)
    distances, neighbours = cKDTree(centres).query(centres, k=2)
    return distances[:, 1], neighbours[:, 1]


def _clumping(centres: Values, shape: tuple[int, ...]) -> float:
    """Variance over mean of the counts in whole quadrats; nan where there is nothing to compare."""
    rows, cols = (side // _QUADRAT_PX for side in shape)
    at = (centres // _QUADRAT_PX).astype(np.int64)
    at = at[(at < (rows, cols)).all(axis=1)]
    if rows * cols < 2 or len(at) == 0:
        return np.nan
    counts = np.bincount(at[:, 0] * cols + at[:, 1], minlength=rows * cols)
    return float(counts.var(ddof=1) / counts.mean())


def _median(values: Sequence[float]) -> float:
    """The median of those that are numbers; 0 where none is."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.median(numbers)) if numbers else 0.0


def _quartiles(values: Values) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, _QUARTILES)
    return float(low), float(middle), float(high)


def _correlation(first: Values, second: Values) -> float:
    """Pearson's; 0 where one does not vary."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
