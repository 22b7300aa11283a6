"""Sharp-GAN (Butte et al., ISBI 2022), an approximation.

Known, from the abstract: the input is the normalised nucleus distance map instead of the
binary mask, to keep touching nuclei apart; and a sharpness loss "enhances the contrast of
nuclei contour pixels". No code and no formula was found.

Ours: the network, which is pix2pixHD's global generator at its published size, trained with
pix2pixHD's other losses; the distance map, ``model.layout.normalised_distance``; and the
formula and weight of the sharpness loss, ``training.losses.sharpness``.
"""

from dataclasses import dataclass
from typing import ClassVar

from training.baselines.pix2pixhd import GlobalShape
from training.conditions import Condition


@dataclass(frozen=True)
class SharpGanConfig(GlobalShape):
    """A global generator that is shown the distance map; build it with ``GlobalGenerator``."""

    condition: ClassVar[Condition] = "distance"
