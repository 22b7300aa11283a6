"""The generator of pix2pix: U-Net-256 (Isola et al., CVPR 2017, Sec. 6.1).

Axes: B batch, C channels, H W height and width of the tile, D length of the style vector.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.baselines.config import BaselineConfig
from training.baselines.initialise import initialise_normal
from training.conditions import Condition

_WIDEST = 8  # times the first layer's filters
_DROPOUT_BLOCKS = 3


@dataclass(frozen=True)
class UNetConfig(BaselineConfig):
    """width: filters of the first layer. depth: number of two-fold downsamplings."""

    condition: ClassVar[Condition] = "semantic"
    width: int = 64
    depth: int = 8

    @property
    def stride(self) -> int:
        return int(2**self.depth)


class UNet(nn.Module):
    """An encoder of stride-2 convolutions and a decoder that reads its features at every scale.

    H and W must be multiples of ``config.stride``.

    The dropout of the three innermost decoder blocks is the method's only noise. As published
    it stays on at synthesis: in evaluation mode batch norm uses its stored statistics, and
    dropout goes on drawing from torch's global generator, which the caller seeds.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * min(2**level, _WIDEST) for level in range(config.depth)]
        first = nn.Conv2d(config.condition_channels, widths[0], 4, 2, 1, bias=False)
        self.encoder = nn.ModuleList([first])
        for c_in, c_out in itertools.pairwise(widths):
            # The coarsest map may be a single pixel: batch norm would leave nothing of it.
            coarsest = len(self.encoder) == config.depth - 1
            self.encoder.append(_encoder_block(c_in, c_out, norm=not coarsest))
        self.decoder = nn.ModuleList()
        for level in reversed(range(1, config.depth)):
            innermost = level == config.depth - 1
            c_in = widths[level] if innermost else 2 * widths[level]
            dropout = len(self.decoder) < _DROPOUT_BLOCKS
            self.decoder.append(_decoder_block(c_in, widths[level - 1], dropout=dropout))
        self.to_image = nn.ConvTranspose2d(2 * widths[0], 3, 4, 2, 1)
        initialise_normal(self)

    def noise_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Empty: dropout is the only noise."""
        return []

    def forward(self, condition: Tensor, style: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """condition (B C H W); style (B 0) and noise are not used -> (B 3 H W) in [-1, 1]."""
        h = condition
        skips = []
        for block in self.encoder:
            h = block(h)
            skips.append(h)
        h = skips.pop()
        for block in self.decoder:
            h = torch.cat([skips.pop(), block(h)], 1)
        return torch.tanh(self.to_image(F.relu(h)))


class Dropout(nn.Module):
    """Zero half of the values and double the others, in training and in evaluation mode."""

    def forward(self, h: Tensor) -> Tensor:
        return F.dropout(h, 0.5, training=True)


def _encoder_block(c_in: int, c_out: int, *, norm: bool) -> nn.Sequential:
    """LeakyReLU-conv-BN, halving the side."""
    block = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(c_in, c_out, 4, 2, 1, bias=False))
    return block.append(nn.BatchNorm2d(c_out)) if norm else block


def _decoder_block(c_in: int, c_out: int, *, dropout: bool) -> nn.Sequential:
    """ReLU-transposed conv-BN, doubling the side; then dropout."""
    conv = nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False)
    block = nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(c_out))
    return block.append(Dropout()) if dropout else block
