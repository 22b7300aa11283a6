"""What is measured of every tile alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics.direction import edge_direction
from training.metrics.stain import gradient_energy, haematoxylin_auc, mean_lab

Values = NDArray[np.float64]

_TINY = 1e-12


@dataclass(frozen=True)
class TileStatistics:
    """Per tile: haematoxylin AUC (N,), mean L*a*b* (N, 3), gradient energy (N,), direction of the
    edges (N,), complex."""

    auc: Values
    lab: Values
    energy: Values
    direction: NDArray[np.complex128]

    def take(self, positions: Sequence[int]) -> "TileStatistics":
        """The statistics at these positions, in this order."""
        chosen = np.array(positions, dtype=np.intp)
        return TileStatistics(
            self.auc[chosen], self.lab[chosen], self.energy[chosen], self.direction[chosen]
        )


def tile_statistics(
    images_u8: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.int32]],
    advance: Callable[[], object] = lambda: None,
) -> TileStatistics:
    """Statistics of tiles with their masks, in order; ``advance`` is called after each."""
    auc, lab, energy, direction = [], [], [], []
    for image_u8, mask_labels in zip(images_u8, masks, strict=True):
        auc.append(haematoxylin_auc(image_u8, mask_labels))
        lab.append(mean_lab(image_u8))
        energy.append(gradient_energy(image_u8))
        direction.append(edge_direction(image_u8))
        advance()
    return TileStatistics(
        np.array(auc), np.array(lab).reshape(-1, 3), np.array(energy), np.array(direction, complex)
    )


def energy_ratio(tile: TileStatistics, style: TileStatistics) -> Values:
    """Gradient energies of tiles over those of the tiles that lend each its style, (N,)."""
    return np.asarray(tile.energy / np.maximum(style.energy, _TINY), dtype=np.float64)
