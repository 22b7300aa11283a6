"""What a dataset is made of: tile k is a function of the request and k alone."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from model.errors import ParameterInvalid
from model.formats import MaskFormat
from model.mask import LARGEST_MASK_PX
from model.nuclei import SMALLEST_PX
from model.nuclei_statistics import POOLED, organs_with_statistics
from model.styles import StyleBank, shares_of
from worker.random_masks import MaskRequest
from worker.request import MAX_SEED

MOST_TILES = 100_000
DEFAULT_FORMATS: tuple[MaskFormat, ...] = ("coco",)


@dataclass(frozen=True)
class DatasetRequest:
    """A dataset of random masks and their tiles.

    count: tiles, 1 to 100,000.
    organs: organ to weight. The tiles of each are as many as its part of the weights, to within
        one; the organs come in random order.
    height, width: of every tile, 64 to 1024 px.
    seed: 0..2**63 - 1.
    formats: of the annotations, beside the label PNG that every tile has.

    Raises:
        ParameterInvalid: a value out of range; no organ, one without statistics, or weights that
            cannot be used.
    """

    count: int
    organs: dict[str, float]
    height: int = 256
    width: int = 256
    seed: int = 0
    formats: tuple[MaskFormat, ...] = DEFAULT_FORMATS

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST_TILES:
            raise ParameterInvalid(f"count is {self.count}; it must lie in 1..{MOST_TILES}.")
        if not 0 <= self.seed <= MAX_SEED:
            raise ParameterInvalid(f"seed is {self.seed}; it must lie in 0..{MAX_SEED}.")
        for name, side in (("height", self.height), ("width", self.width)):
            if not SMALLEST_PX <= side <= LARGEST_MASK_PX:
                raise ParameterInvalid(
                    f"{name} is {side}; it must lie in {SMALLEST_PX}..{LARGEST_MASK_PX} px."
                )
        unknown = [name for name in self.formats if name not in get_args(MaskFormat)]
        if unknown:
            raise ParameterInvalid(
                f"There is no mask format {unknown[0]!r}; there are "
                f"{', '.join(get_args(MaskFormat))}."
            )
        object.__setattr__(self, "formats", tuple(dict.fromkeys(self.formats)))
        self._check_organs()

    def _check_organs(self) -> None:
        fitted = _fitted_organs()
        for organ, weight in self.organs.items():
            if organ not in fitted:
                raise ParameterInvalid(
                    f"The organs of a dataset have statistics of their nuclei, which {organ!r} has "
                    f"not. Choose from {', '.join(fitted)}."
                )
            if not math.isfinite(weight) or weight < 0:
                raise ParameterInvalid(
                    f"The weight of {organ!r} is {weight}; it must be a number from 0 on."
                )
        if not sum(self.organs.values()) > 0:
            raise ParameterInvalid(
                'No organ has a weight above 0. Give one to an organ, such as {"kidney": 1}.'
            )

    def check_styles(self, bank: StyleBank) -> None:
        """Raises StyleUnknown for an organ that the checkpoint has no preset of."""
        for organ in self.organs:
            bank.exemplars(organ)

    def organ(self, k: int) -> str:
        """Of tile k."""
        return str(self._order[k])

    def mask(self, k: int) -> MaskRequest:
        """Of tile k."""
        return MaskRequest(self.height, self.width, self._seed("mask", k), self.organ(k))

    def tile_seed(self, k: int) -> int:
        """Of the style exemplar and the noise of tile k."""
        return self._seed("tile", k)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "DatasetRequest":
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> "DatasetRequest":
        """From what the JSON holds."""
        return cls(**{**values, "formats": tuple(values["formats"])})

    def _seed(self, what: str, k: int) -> int:
        # Hashed, so that neighbouring seeds of datasets share no tile. 53 bits, as ``draw_seed``.
        digest = hashlib.sha256(f"{self.seed}/{what}/{k}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 11

    @cached_property
    def _order(self) -> NDArray[np.str_]:
        names = sorted(self.organs)  # in whatever order they were named
        shares = shares_of(self.organs)
        share = np.array([shares[name] for name in names])
        whole = np.floor(share * self.count).astype(int)
        # The largest remainders get what is left, the first of equal ones first.
        left = np.argsort(whole - share * self.count, kind="stable")[: self.count - whole.sum()]
        whole[left] += 1
        return np.random.default_rng(self.seed).permutation(np.repeat(names, whole))


def usual_organs(bank: StyleBank) -> dict[str, float]:
    """Equal weights of all organs that can be asked for: a preset may have no statistics."""
    return dict.fromkeys((organ for organ in _fitted_organs() if organ in bank.organs), 1.0)


def _fitted_organs() -> list[str]:
    return [organ for organ in organs_with_statistics() if organ != POOLED]
