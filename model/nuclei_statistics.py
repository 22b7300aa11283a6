"""NucleiStatistics: how the nuclei of a tissue are drawn, and the values fitted per organ.

``nuclei.json`` beside this file holds one entry an organ of MoNuSeg's training slides and
``pooled``, all of them together. ``python -m training.data.fit_nuclei`` makes it.
"""

import json
import math
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

from model.errors import ParameterInvalid

TILE_AREA = 256 * 256
"""Px; nuclei are counted per tile of this area."""

POOLED = "pooled"
"""The entry for an organ that has none: all training organs together."""


@dataclass(frozen=True)
class NucleiStatistics:
    """What a random mask is drawn from. Lengths and areas in px at 0.25 um/px.

    Spreads are standard deviations of logarithms. ``*_drift`` is the part that varies slowly, as
    from slide to slide; the rest is drawn nucleus by nucleus. Correlations lie in [-1, 1].

    density: nuclei per 256 x 256 px, the median over tiles; density_drift: its spread.
    clumping: spread of the density over a few nuclei's distance: islands and empty stroma.
    spacing: free margin around a nucleus that touches none, in units of its own radius.
    touching: share of nuclei that are placed against another one.
    area: median; area_drift: its spread, which is twice that of its root.
    size_below, size_above: standard deviation of the root of the area in one place, over its
        median; of nuclei smaller and larger than that.
    density_area_correlation: of the two drifts; negative where crowded nuclei are small.
    size_coherence: how alike in size neighbours are, 0 to 1.
    elongation: median ratio of the axes, above 1; elongation_spread: of the ratio less 1.
    area_elongation_correlation: in one place; negative where slender nuclei are small.
    alignment: how alike in direction neighbours are, 0 to 1.
    roughness: RMS amplitude of an outline's third harmonic over its mean radius.
    """

    density: float
    density_drift: float
    clumping: float
    spacing: float
    touching: float
    area: float
    area_drift: float
    size_below: float
    size_above: float
    density_area_correlation: float
    size_coherence: float
    elongation: float
    elongation_spread: float
    area_elongation_correlation: float
    alignment: float
    roughness: float

    def __post_init__(self) -> None:
        for item in fields(self):
            low, high = RANGES[item.name]
            value = getattr(self, item.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not low <= value <= high:
                raise ParameterInvalid(
                    f"{item.name} is {value!r}; it must be a number from {low:g} to {high:g}."
                )

    def to_dict(self) -> dict[str, float]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NucleiStatistics":
        """Raises ParameterInvalid for unknown or missing names and for values out of range."""
        unknown = sorted(set(values) - set(RANGES))
        missing = sorted(set(RANGES) - set(values))
        if unknown or missing:
            wrong = [f"no {name}" for name in missing] + [f"the unknown {name}" for name in unknown]
            raise ParameterInvalid(
                f"The statistics of nuclei have {', '.join(wrong)}. They need exactly: "
                f"{', '.join(RANGES)}."
            )
        return cls(**values)


RANGES: dict[str, tuple[float, float]] = {
    "density": (0.5, 400.0),
    "density_drift": (0.0, 1.5),
    "clumping": (0.0, 2.0),
    "spacing": (0.0, 1.0),
    "touching": (0.0, 0.9),
    "area": (30.0, 5000.0),
    "area_drift": (0.0, 1.0),
    "size_below": (0.0, 0.8),
    "size_above": (0.0, 0.8),
    "density_area_correlation": (-1.0, 1.0),
    "size_coherence": (0.0, 1.0),
    "elongation": (1.0, 4.0),
    "elongation_spread": (0.0, 1.2),
    "area_elongation_correlation": (-1.0, 1.0),
    "alignment": (0.0, 1.0),
    "roughness": (0.0, 0.3),
}
"""Lowest and highest value of each field; wider than any tissue needs, narrow enough to place."""


def organ_statistics(organ: str) -> NucleiStatistics:
    """The fitted statistics of an organ, or of ``pooled``.

    Raises:
        ParameterInvalid: nothing was fitted for it; the message lists what there is.
    """
    entries = _fitted()
    if organ not in entries:
        raise ParameterInvalid(
            f"There are no nucleus statistics for {organ!r}. Choose one of {', '.join(entries)}; "
            f"{POOLED} is all organs together."
        )
    return entries[organ]


def organs_with_statistics() -> list[str]:
    """The names that ``organ_statistics`` knows, ``pooled`` among them."""
    return list(_fitted())


@cache
def _fitted() -> dict[str, NucleiStatistics]:
    text = resources.files("model").joinpath("nuclei.json").read_text("utf-8")
    return {
        organ: NucleiStatistics.from_dict(values)
        for organ, values in json.loads(text)["organs"].items()
    }
