"""The generator of SPADE (Park et al., CVPR 2019, Sec. 3 and A), with the style of its VAE.

Its style encoder is ``model.encoder.SpadeEncoder(config.style_features)``. Spectral norm is
added by ``training.spectral`` and folded away on export.

Axes: B batch, C channels, H W height and width of the tile, h w of a coarser scale, D length
of the style vector.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.layers import Linear
from training.baselines.config import BaselineConfig
from training.conditions import Condition

_WIDTHS = (16, 16, 16, 8, 4, 2, 1)  # of the seven blocks, times ``width``
_UPSAMPLED = (1, 3, 4, 5, 6)  # blocks, from 0, whose input is upsampled two-fold first


@dataclass(frozen=True)
class SpadeConfig(BaselineConfig):
    """width: filters of the last block. hidden: filters between the semantic map and gamma, beta.
    style_features: length of the style vector. start_side: side of the square of features it
    becomes; 8 for crops of 256 px.
    """

    condition: ClassVar[Condition] = "semantic"
    width: int = 64
    hidden: int = 128
    style_features: int = 256
    start_side: int = 8

    @property
    def stride(self) -> int:
        return int(2 ** len(_UPSAMPLED))


class SpadeGenerator(nn.Module):
    """Seven residual blocks from the style vector to a tile, each modulated by the semantic map.

    H and W must be multiples of ``config.stride``.
    """

    def __init__(self, config: SpadeConfig) -> None:
        super().__init__()
        self.config = config
        widths = [factor * config.width for factor in _WIDTHS]
        self.start = Linear(config.style_features, widths[0] * config.start_side**2)
        self.blocks = nn.ModuleList(
            SpadeResBlk(c_in, c_out, config)
            for c_in, c_out in itertools.pairwise([widths[0], *widths])
        )
        self.to_image = nn.Conv2d(widths[-1], 3, 3, padding=1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(part.weight, gain=0.02)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def noise_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Empty: all that varies is the style."""
        return []

    def forward(self, condition: Tensor, style: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """condition (B C H W), style (B D); noise is not used -> (B 3 H W) in [-1, 1]."""
        h = self._start(condition, style)
        for number, block in enumerate(self.blocks):
            if number in _UPSAMPLED:
                h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = block(h, F.interpolate(condition, size=h.shape[-2:], mode="nearest"))
        return torch.tanh(self.to_image(F.leaky_relu(h, 0.2)))

    def _start(self, condition: Tensor, style: Tensor) -> Tensor:
        stride, side = self.config.stride, self.config.start_side
        size = (condition.shape[-2] // stride, condition.shape[-1] // stride)
        h = self.start(style).unflatten(1, (-1, side, side))
        return h if size == (side, side) else F.interpolate(h, size=size, mode="nearest")


class SpadeResBlk(nn.Module):
    """SPADE-LeakyReLU-conv twice; the skip connection is SPADE-conv where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, config: SpadeConfig) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.spade_0 = Spade(in_channels, config)
        self.conv_0 = nn.Conv2d(in_channels, middle, 3, padding=1)
        self.spade_1 = Spade(middle, config)
        self.conv_1 = nn.Conv2d(middle, out_channels, 3, padding=1)
        self.spade_skip: Spade | None = None
        if in_channels != out_channels:
            self.spade_skip = Spade(in_channels, config)
            self.conv_skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, h: Tensor, semantic: Tensor) -> Tensor:
        """h (B C h w), semantic map at the same h w -> (B C' h w)."""
        skip = h
        if self.spade_skip is not None:
            skip = self.conv_skip(self.spade_skip(h, semantic))
        h = self.conv_0(F.leaky_relu(self.spade_0(h, semantic), 0.2))
        h = self.conv_1(F.leaky_relu(self.spade_1(h, semantic), 0.2))
        return h + skip


class Spade(nn.Module):
    """Spatially-adaptive normalisation: (h - mu) / sigma * (1 + gamma) + beta.

    mu and sigma are those of the batch, per channel; gamma and beta are read off the semantic
    map, per channel and pixel.
    """

    def __init__(self, channels: int, config: SpadeConfig) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(config.condition_channels, config.hidden, 3, padding=1)
        self.gamma = nn.Conv2d(config.hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(config.hidden, channels, 3, padding=1)

    def forward(self, h: Tensor, semantic: Tensor) -> Tensor:
        """h (B C h w), semantic map at the same h w -> (B C h w)."""
        features = F.relu(self.shared(semantic))
        modulated: Tensor = self.normalise(h) * (1 + self.gamma(features)) + self.beta(features)
        return modulated
