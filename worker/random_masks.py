"""Instance masks on demand: what a caller asks for, and the mask that it gives."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskTooLarge, ParameterInvalid
from model.nuclei import random_mask
from model.nuclei_statistics import POOLED, NucleiStatistics, organ_statistics
from worker.request import MAX_SEED


@dataclass(frozen=True)
class MaskRequest:
    """A random mask; the same request gives the same mask.

    organ: whose nuclei it has; see ``organs_with_statistics``.
    statistics: values of ``NucleiStatistics`` that replace the organ's.
    height, width: 64 px or more.
    seed: 0..2**63 - 1.

    Raises:
        ParameterInvalid: no such organ or statistic, a value out of range.
    """

    height: int
    width: int
    seed: int
    organ: str = POOLED
    statistics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise ParameterInvalid(f"seed is {self.seed}; it must lie in 0..{MAX_SEED}.")
        self.nuclei()

    def nuclei(self) -> NucleiStatistics:
        """What the mask is drawn from."""
        values = organ_statistics(self.organ).to_dict()
        unknown = sorted(set(self.statistics) - set(values))
        if unknown:
            raise ParameterInvalid(
                f"There is no statistic {unknown[0]!r}; there are {', '.join(values)}."
            )
        return NucleiStatistics.from_dict(values | self.statistics)

    def draw(self, *, max_side: int) -> NDArray[np.int32]:
        """The mask (height, width). Raises MaskTooLarge; ParameterInvalid for one that is too
        small."""
        if max(self.height, self.width) > max_side:
            raise MaskTooLarge(
                f"A mask of {self.width} x {self.height} px is too large; the limit is {max_side} "
                "px a side."
            )
        return random_mask(self.nuclei(), self.height, self.width, seed=self.seed)
