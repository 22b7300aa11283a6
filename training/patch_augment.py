"""DiffAugment (Zhao et al., 2020): what a discriminator is shown is changed at random, so that it
cannot learn a small training set by heart.

The generator is trained through the change. Axes: B batch, C channels, S side.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_SHIFT = 1 / 8
"""Largest shift, in sides."""

_CUT = 1 / 2
"""Side of the square that is cut out, in sides."""


@dataclass(frozen=True, eq=False)
class PatchAugment:
    """One change for each crop of a batch: of colour, then a shift, then a square cut out. The
    condition moves along with the image. The same change for the real and the synthetic crop of a
    pair, since their features are compared.

    brightness, saturation, contrast: (B 1 1 1), -.5 to .5, 0 to 2, .5 to 1.5.
    shift: (B 2), pixels down and right; what comes in is 0.
    hole: (B 2), the first row and column of the square, which may lie partly outside.
    """

    brightness: Tensor
    saturation: Tensor
    contrast: Tensor
    shift: Tensor
    hole: Tensor

    @classmethod
    def draw(cls, batch: int, side: int, source: torch.Generator) -> "PatchAugment":
        """A change for each of ``batch`` crops, on the device of ``source``."""

        def uniform(*shape: int) -> Tensor:
            return torch.rand((batch, *shape), generator=source, device=source.device)

        return cls(
            brightness=uniform(1, 1, 1) - 0.5,
            saturation=2 * uniform(1, 1, 1),
            contrast=uniform(1, 1, 1) + 0.5,
            shift=((2 * uniform(2) - 1) * _SHIFT * side).round().long(),
            hole=(side * (uniform(2) - _CUT / 2)).round().long(),
        )

    def __call__(self, condition: Tensor, image_pm1: Tensor) -> tuple[Tensor, Tensor]:
        """Condition (B C S S) and image (B 3 S S) in [-1, 1], which may leave that range."""
        return self._moved(condition), self._moved(self._recoloured(image_pm1))

    def _recoloured(self, image: Tensor) -> Tensor:
        image = image.float() + self.brightness
        grey = image.mean(1, keepdim=True)
        image = grey + self.saturation * (image - grey)
        mean = image.mean((1, 2, 3), keepdim=True)
        return mean + self.contrast * (image - mean)

    def _moved(self, h: Tensor) -> Tensor:
        if h.shape[-2] != h.shape[-1]:
            raise ValueError(f"crops are square, these are {tuple(h.shape[-2:])}")
        side = h.shape[-1]
        place = torch.arange(side, device=h.device)
        of_rows, of_columns = (place - self.shift[:, k, None] for k in (0, 1))
        comes_in = _outside(of_rows, 0, side)[:, :, None] | _outside(of_columns, 0, side)[:, None]
        first, last = self.hole, self.hole + round(_CUT * side)
        is_cut = ~(
            _outside(place, first[:, :1], last[:, :1])[:, :, None]
            | _outside(place, first[:, 1:], last[:, 1:])[:, None]
        )
        rows, columns = of_rows.clamp(0, side - 1), of_columns.clamp(0, side - 1)
        crops = torch.arange(len(h), device=h.device)[:, None, None]
        moved = h.permute(0, 2, 3, 1)[crops, rows[:, :, None], columns[:, None]]
        moved = moved.masked_fill((comes_in | is_cut)[..., None], 0)
        return moved.permute(0, 3, 1, 2)


def _outside(places: Tensor, first: int | Tensor, end: int | Tensor) -> Tensor:
    return (places < first) | (places >= end)
