"""The preset bank: style vectors of the training organs, and mixing them. No torch."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from model.errors import StyleUnknown, StyleWeightsInvalid

STYLE_PREFIX = "styles."
"""Names of the preset tensors in a checkpoint: ``styles.<organ>``, (K, D)."""

StyleVector = NDArray[np.float32]


class StyleBank:
    """Several exemplars (K, D) of each organ, each the style vector of a training slide."""

    def __init__(self, exemplars: Mapping[str, StyleVector]) -> None:
        self._exemplars = {organ: exemplars[organ] for organ in sorted(exemplars)}

    @classmethod
    def load(cls, checkpoint: Path) -> "StyleBank":
        """Read the presets of a checkpoint (``.safetensors``) that has been verified."""
        with safe_open(checkpoint, "numpy") as file:
            return cls(
                {
                    name.removeprefix(STYLE_PREFIX): file.get_tensor(name).astype(np.float32)
                    for name in file.keys()  # noqa: SIM118 (not a mapping)
                    if name.startswith(STYLE_PREFIX)
                }
            )

    @property
    def organs(self) -> list[str]:
        """Names of the presets, sorted."""
        return list(self._exemplars)

    def exemplars(self, organ: str) -> StyleVector:
        """(K, D) float32. Raises StyleUnknown, naming the organs there are."""
        if organ not in self._exemplars:
            raise StyleUnknown(
                f"There is no preset style {organ!r}. Choose one of {', '.join(self.organs)}, "
                "or send a reference image as 'style'."
            )
        return self._exemplars[organ]

    def vector(self, organ: str) -> StyleVector:
        """(D,) the mean of the organ's exemplars."""
        return np.asarray(self.exemplars(organ).mean(axis=0), np.float32)

    def pick(self, organ: str, seed: int) -> StyleVector:
        """(D,) one exemplar, chosen by the seed: tiles of one organ then vary as slides do."""
        return np.asarray(self.exemplars(organ)[self.pick_index(organ, seed)], np.float32)

    def pick_index(self, organ: str, seed: int) -> int:
        """Which exemplar ``pick`` takes."""
        return int(np.random.default_rng(seed).integers(len(self.exemplars(organ))))

    def mix(self, weights: Mapping[str, float]) -> StyleVector:
        """(D,) convex combination of organs' mean vectors; the weights need not sum to 1.

        Raises:
            StyleUnknown: an organ without a preset.
            StyleWeightsInvalid: no weights, a negative or non-finite one, or all zero.
        """
        if not weights:
            raise StyleWeightsInvalid(
                'The style mix is empty; give weights such as {"kidney": 0.7, "liver": 0.3}.'
            )
        for organ, weight in weights.items():
            if not math.isfinite(weight) or weight < 0:
                raise StyleWeightsInvalid(
                    f"The weight of {organ!r} is {weight}; weights must be finite and not negative."
                )
        largest = max(weights.values())
        if largest <= 0:
            raise StyleWeightsInvalid("All weights of the style mix are 0; make one positive.")
        # Relative to the largest first: the sum of huge weights would be infinite.
        relative = {organ: weight / largest for organ, weight in weights.items()}
        total = sum(relative.values())
        mixed = sum(
            self.vector(organ).astype(np.float64) * (weight / total)
            for organ, weight in relative.items()
        )
        return np.asarray(mixed, dtype=np.float32)
