"""Random fields: what a tissue is like from place to place.

A mask is a window of an endless tissue. Density, size and direction of its nuclei are functions
of position: smooth Gaussian fields, so that any window of any size has the same statistics and
neighbours resemble each other. Two scales: what changes slowly, as from slide to slide, and what
changes over a few nuclei.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.nuclei_statistics import TILE_AREA, NucleiStatistics

Values = NDArray[np.float64]

_SLOW_PX = 600.0
_CLUMP = 0.6  # length of the clumps over that of the other fast fields
_DRIFTS = (-2.0, 2.0)  # no tissue is further from the median, in standard deviations
_SIZES = (0.2, 2.5)  # of the root of the area, over its median
_SMALLEST_AREA = 20.0
_MOST_ELONGATED = 5.0
_STRAY = 0.5  # how far the last try may lie, as a standard deviation in domains
_CELL_PX = 8  # grid on which the density is tabulated
_NODES = 3.0  # nodes of a field's lattice per length of its kernel
_TRUNCATE = 3.0  # kernel lengths


class Field:
    """A Gaussian random field: mean 0, variance 1, correlation exp(-d^2 / (4 length^2))."""

    def __init__(self, shape: tuple[int, int], length_px: float, rng: np.random.Generator) -> None:
        self._step = length_px / _NODES
        margin = round(_TRUNCATE * _NODES) + 2
        nodes = [int(side / self._step) + 2 + 2 * margin for side in shape]
        smooth = ndimage.gaussian_filter(rng.standard_normal(nodes), _NODES, truncate=_TRUNCATE)
        # White noise filtered by a Gaussian of n nodes has the variance 1 / (4 pi n^2).
        self._values = smooth * (2 * np.sqrt(np.pi) * _NODES)
        self._margin = margin

    def __call__(self, rows: Values, cols: Values) -> Values:
        """Values at positions in px, each of the shape of ``rows``."""
        places = np.stack([rows, cols]) / self._step + self._margin
        return np.asarray(ndimage.map_coordinates(self._values, places, order=1))


@dataclass(frozen=True)
class Tissue:
    """The fields of one mask's canvas of ``shape`` px."""

    statistics: NucleiStatistics
    shape: tuple[int, int]
    density_drift: Field
    area_drift: Field
    clumps: Field
    size: Field
    direction: tuple[Field, Field]

    @classmethod
    def draw(
        cls, statistics: NucleiStatistics, shape: tuple[int, int], rng: np.random.Generator
    ) -> "Tissue":
        near = domain_px(statistics)
        return cls(
            statistics,
            shape,
            density_drift=Field(shape, _SLOW_PX, rng),
            area_drift=Field(shape, _SLOW_PX, rng),
            clumps=Field(shape, _CLUMP * near, rng),
            size=Field(shape, near, rng),
            direction=(Field(shape, near, rng), Field(shape, near, rng)),
        )

    def places(self, tries: int, rng: np.random.Generator) -> Values:
        """Candidate centres (N, tries, 2), row and column: N nuclei, each with several.

        The first is where the density puts the nucleus, the others lie ever further around it.
        """
        cells = [-(-side // _CELL_PX) for side in self.shape]
        rows, cols = (np.indices(cells) + 0.5) * _CELL_PX
        statistics = self.statistics
        drift = np.clip(self.density_drift(rows, cols), *_DRIFTS)
        log_density = statistics.density_drift * drift
        # A log-normal factor with mean 1: clumping moves nuclei and adds none.
        log_density += statistics.clumping * self.clumps(rows, cols) - statistics.clumping**2 / 2
        weight = np.exp(log_density).ravel() * statistics.density / TILE_AREA * _CELL_PX**2
        count = int(weight.sum() + rng.random())
        drawn = rng.choice(weight.size, count, p=weight / weight.sum())
        corners = np.stack(np.unravel_index(drawn, cells), axis=-1)
        first = (corners + rng.random(corners.shape)) * _CELL_PX
        step = np.linspace(0, _STRAY * domain_px(statistics), tries)
        return first[:, None] + step[:, None] * rng.standard_normal((count, tries, 2))

    def shapes(self, places: Values, rng: np.random.Generator) -> tuple[Values, Values]:
        """Areas and elongations of nuclei at (N, 2) places."""
        statistics, at = self.statistics, tuple(places.T)
        joint = statistics.density_area_correlation
        drift = joint * self.density_drift(*at) + np.sqrt(1 - joint**2) * self.area_drift(*at)
        size = _blend(self.size(*at), statistics.size_coherence, rng)
        joint = statistics.area_elongation_correlation
        slender = joint * size + np.sqrt(1 - joint**2) * rng.standard_normal(size.shape)
        size *= np.where(size < 0, statistics.size_below, statistics.size_above)
        root = np.clip(1 + size, *_SIZES)
        # Slow and fast parts both act on the root: slides, too, lie evenly about their median.
        root *= np.maximum(1 + statistics.area_drift / 2 * np.clip(drift, *_DRIFTS), _SIZES[0])
        area = np.maximum(statistics.area * root**2, _SMALLEST_AREA)
        excess = (statistics.elongation - 1) * np.exp(statistics.elongation_spread * slender)
        return area, np.minimum(1 + excess, _MOST_ELONGATED)

    def directions(self, places: Values, rng: np.random.Generator) -> Values:
        """Directions of long axes at (N, 2) places, radians; an axis has no head."""
        cosine, sine = (
            _blend(field(*places.T), self.statistics.alignment, rng) for field in self.direction
        )
        return np.asarray(np.arctan2(sine, cosine) / 2)


def domain_px(statistics: NucleiStatistics) -> float:
    """Length over which neighbours resemble each other: the mean spacing of nuclei."""
    return float(np.sqrt(TILE_AREA / statistics.density))


def _blend(shared: Values, share: float, rng: np.random.Generator) -> Values:
    """Standard normal values, of which ``share`` of the variance is ``shared``."""
    own = rng.standard_normal(shared.shape)
    return np.asarray(np.sqrt(share) * shared + np.sqrt(1 - share) * own)
