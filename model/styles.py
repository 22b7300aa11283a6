"""Style vectors by name, those of the training organs above all, and mixing them. No torch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from model.errors import StyleUnknown, StyleWeightsInvalid

STYLE_PREFIX = "styles."
"""Names of the preset tensors in a checkpoint: ``styles.<organ>``, (K, D)."""

StyleVector = NDArray[np.float32]

Name = TypeVar("Name")


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

    def joined(self, vectors: Mapping[str, StyleVector]) -> "StyleBank":
        """This bank with further styles of one vector (D,) each; a preset is never replaced."""
        single = {name: vector[None] for name, vector in vectors.items()}
        return StyleBank({**single, **self._exemplars})

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
        shares = shares_of(weights)
        return mixed([self.vector(name) for name in shares], list(shares.values()))


def shares_of(weights: Mapping[Name, float]) -> dict[Name, float]:
    """The weights of a mix as shares that sum to 1.

    Raises:
        StyleWeightsInvalid: no weights, a negative or non-finite one, or all zero.
    """
    if not weights:
        raise StyleWeightsInvalid(
            'The style mix is empty; give weights such as {"kidney": 0.7, "liver": 0.3}.'
        )
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight < 0:
            raise StyleWeightsInvalid(
                f"The weight of {name!r} is {weight}; weights must be finite and not negative."
            )
    largest = max(weights.values())
    if largest <= 0:
        raise StyleWeightsInvalid("All weights of the style mix are 0; make one positive.")
    # Relative to the largest first: the sum of huge weights would be infinite.
    relative = {name: weight / largest for name, weight in weights.items()}
    total = sum(relative.values())
    return {name: weight / total for name, weight in relative.items()}


def mixed(vectors: Sequence[StyleVector], shares: Sequence[float]) -> StyleVector:
    """(D,) convex combination of style vectors (D,), whose shares sum to 1."""
    terms = (
        vector.astype(np.float64) * share for vector, share in zip(vectors, shares, strict=True)
    )
    return np.asarray(sum(terms), dtype=np.float32)
