"""The global generator of pix2pixHD (Wang et al., CVPR 2018, Sec. 3.1; after Johnson et al., 2016).

Axes: B batch, C channels, H W height and width of the tile, D length of the style vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from training.baselines.config import BaselineConfig
from training.baselines.initialise import initialise_normal
from training.conditions import Condition


@dataclass(frozen=True)
class GlobalShape(BaselineConfig):
    """width: filters at full resolution, doubled by each of the two-fold ``downsamplings``.
    blocks: residual blocks at the coarsest scale.
    """

    width: int = 64
    downsamplings: int = 4
    blocks: int = 9

    @property
    def stride(self) -> int:
        return int(2**self.downsamplings)


@dataclass(frozen=True)
class GlobalConfig(GlobalShape):
    """The generator of pix2pixHD, which is shown the outlines of the instances too."""

    condition: ClassVar[Condition] = "semantic_edges"


class GlobalGenerator(nn.Module):
    """Down, residual blocks, up; instance norm throughout and reflection at the borders.

    H and W must be multiples of ``config.stride`` and at least twice it: reflection needs two
    pixels at the coarsest scale.
    """

    def __init__(self, config: GlobalShape) -> None:
        super().__init__()
        self.config = config
        width = config.width
        stages: list[nn.Module] = [_wide_conv(config.condition_channels, width), *_norm_relu(width)]
        for _ in range(config.downsamplings):
            stages += [nn.Conv2d(width, 2 * width, 3, 2, 1), *_norm_relu(2 * width)]
            width *= 2
        stages += [ResidualBlock(width) for _ in range(config.blocks)]
        for _ in range(config.downsamplings):
            conv = nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1)
            stages += [conv, *_norm_relu(width // 2)]
            width //= 2
        self.stages = nn.Sequential(*stages, _wide_conv(width, 3), nn.Tanh())
        initialise_normal(self)

    def noise_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """Empty: the method is deterministic."""
        return []

    def forward(self, condition: Tensor, style: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        """condition (B C H W); style (B 0) and noise are not used -> (B 3 H W) in [-1, 1]."""
        image: Tensor = self.stages(condition)
        return image


class ResidualBlock(nn.Module):
    """h + (conv-norm-ReLU-conv-norm)(h), 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            *_norm_relu(channels),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.branch(h)
        return out


def _wide_conv(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 7, padding=3, padding_mode="reflect")


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.InstanceNorm2d(channels), nn.ReLU()
